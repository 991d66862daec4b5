"""Prefect tasks: one service verb each, the unit of retry. Only ids and plain values cross a task's boundary."""
