"""The verbs of approval: each takes a session, loads, asks the pure core, writes the state and the audit row."""
