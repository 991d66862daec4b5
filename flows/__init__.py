"""Prefect flows: order, waiting, fan-out. Each line of a flow is a verb of the domain."""
