"""Upkeep runs one at a time.

Not by a concurrency limit of the deployment: its slot outlives a run that is lost while it is being submitted, and
then nothing would ever be reconciled again.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from models.queries import turns
from tasks.connection import database


@contextmanager
def turn(name: str) -> Iterator[bool]:
    """Whether it is our turn; it lasts as long as the block, and no longer than the process."""
    with database().begin() as session:
        yield turns.take_turn(session, f"upkeep:{name}")
