"""Turns: where fewer senders may work than distributions wait, nobody keeps a place for ever."""

from collections.abc import Sequence
from datetime import datetime, timedelta

#: A sender that others wait for works at least so long.
TURN = timedelta(seconds=60)
#: A sender that was asked for so long ago and has not begun waits for a place; a place that is free is found sooner.
WAITS = timedelta(seconds=35)


def waiting(asked_at: Sequence[datetime], *, now: datetime) -> int:
    """How many places are wanted by senders that have not begun, by when each was asked for.

    Whoever gave way lately was asked for again at that moment: its place will do for one of those that wait.
    """
    long_ago = sum(now - asked >= WAITS for asked in asked_at)
    return max(0, 2 * long_ago - len(asked_at))


def gives_way(*, began_at: datetime, others_began_at: Sequence[datetime], waiting: int, now: datetime) -> bool:
    """Whether the sender that began then lets another have its place.

    For each one that waits one gives way, the one that has worked longest first; nobody before its turn is over.
    """
    before = sum(other < began_at for other in others_began_at)
    return now - began_at >= TURN and before < waiting
