"""The verbs of a theme's life: each takes a session, loads, asks the pure core, writes state and audit row."""
