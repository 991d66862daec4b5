"""Undoing a theme that was taken down: the words, and the table of what becomes of each channel."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from themes.lifecycle import Move, MoveRefused, ThemeState, allowed_moves


class ClaimedRule(StrEnum):
    """What becomes of coupons that somebody had claimed before the takedown."""

    HONOUR = "honour"  # they may still be used
    VOID = "void"  # they may not


class RevocationState(StrEnum):
    """How far a takedown is on one channel."""

    PENDING = "pending"
    DONE = "done"


class Look(StrEnum):
    """What a look at a channel finds."""

    SOMETHING_LEFT = "something may still leave"
    NOTHING_LEFT = "nothing can leave any more"


LOOKS: Mapping[tuple[RevocationState, Look], RevocationState] = MappingProxyType(
    {
        (RevocationState.PENDING, Look.SOMETHING_LEFT): RevocationState.PENDING,
        (RevocationState.PENDING, Look.NOTHING_LEFT): RevocationState.DONE,
    }
)

#: A channel that is not undone by then is an alert.
ALERT_AFTER = timedelta(minutes=5)

#: Nothing of a theme in one of these is sent or claimed any more.
TAKEN_DOWN = frozenset({ThemeState.REVOKING, ThemeState.REVOKED})


class AlreadyTakenDown(MoveRefused):
    """A theme is taken down once."""

    def __init__(self, *, key: str, state: ThemeState, by: str, at: datetime, comment: str) -> None:
        super().__init__(Move.TAKEDOWN, state, allowed_moves(state))
        self.key, self.by, self.at = key, by, at
        when = at.isoformat(timespec="seconds")
        self.args = (f"theme {key!r} is {state}: {by} took it down at {when} ({comment}); a new launch is a new theme",)


def look_at(*, claimable: int, under_way: int) -> tuple[Look, str]:
    """What a look finds, and in words what is still missing ("" when nothing is)."""
    waiting = f"{claimable} waiting to be cancelled" if claimable else ""
    calls = f"{under_way} held by senders: their outcome, or the end of their lease, is awaited" if under_way else ""
    missing = "; ".join(filter(None, [waiting, calls]))
    return (Look.SOMETHING_LEFT if missing else Look.NOTHING_LEFT), missing


def as_mermaid() -> str:
    """The table as a Mermaid state diagram; docs/delivery-states.md holds exactly this text."""
    arrows = [f"    {origin} --> {target}: {look}" for (origin, look), target in LOOKS.items()]
    return "\n".join(
        ["stateDiagram-v2", f"    [*] --> {RevocationState.PENDING}", *arrows, f"    {RevocationState.DONE} --> [*]"]
    )
