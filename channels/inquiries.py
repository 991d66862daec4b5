"""Asking a provider what became of a message whose answer was lost: what its word settles, and when to ask again."""

from datetime import datetime, timedelta

from channels.message import Fate, Found
from channels.states import DeliveryState

#: A provider may list a message some time after it took it. So "there is no such message" is believed only when it has
#: been said this often, the last time so long after the call began.
ABSENT_TIMES = 3
ABSENT_AFTER = timedelta(minutes=15)
#: The waits before the first question and between the next ones; after the last it is a person's.
WAITS = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
    timedelta(hours=48),
)

_STATES = {
    Fate.SENT: DeliveryState.SENT,
    Fate.DELIVERED: DeliveryState.DELIVERED,
    Fate.FAILED: DeliveryState.FAILED,
}


def settles(
    found: Found, *, ours: bool, only_ours: bool, absent_before: int, began_at: datetime, now: datetime
) -> DeliveryState | None:
    """The state that the answer brings a delivery in doubt to; None: it stays in doubt.

    Args:
        found: The answer.
        ours: Something that was found is a message of this delivery.
        only_ours: Everything that was found is.
        absent_before: How often in a row the provider had said before that there is no such message.
        began_at: When the call in doubt began.
        now: The time of the answer.
    """
    if found.fate is None or not ours:
        # A message of somebody else's to the same address is none of this delivery.
        long_ago = now - began_at >= ABSENT_AFTER
        absent = found.fate is None or bool(found.references)
        return DeliveryState.RETRYING if absent and long_ago and absent_before + 1 >= ABSENT_TIMES else None
    return _STATES[found.fate if only_ours else Fate.SENT]


def is_absent(found: Found, *, ours: bool) -> bool:
    """The provider knows of no message of this delivery."""
    return found.fate is None or (not ours and bool(found.references))


def ask_again_at(*, asked: int, now: datetime) -> datetime | None:
    """When to ask next after `asked` answers; None: no more, a person settles it."""
    return now + WAITS[asked] if asked < len(WAITS) else None
