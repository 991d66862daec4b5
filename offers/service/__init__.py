"""What offers are built from and kept apart by: each verb takes a session, loads, asks the pure core, writes."""
