"""Who runs a command."""

import getpass


def operator() -> str:
    """For the record: nobody of the database, so it is marked as the machine's word."""
    return f"console:{getpass.getuser()}"
