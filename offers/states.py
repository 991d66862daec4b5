"""The life of a coupon that somebody holds, and why an offer gives nothing for now."""

from enum import StrEnum


class HeldState(StrEnum):
    ISSUED = "issued"
    LOCKED = "locked"  # for an order that is being placed
    USED = "used"
    RETURNED = "returned"  # its order was cancelled; it may be used again
    EXPIRED = "expired"
    VOID = "void"  # taken back, by a takedown or with the order that it was given for


USABLE = frozenset({HeldState.ISSUED, HeldState.RETURNED})
#: Whoever holds one of these could still use it.
OPEN = USABLE | {HeldState.LOCKED}

#: From which state a coupon comes into which. A used one comes back with its order only; nothing leaves the last two.
MOVES = frozenset(
    {
        *((state, HeldState.LOCKED) for state in USABLE),
        (HeldState.LOCKED, HeldState.ISSUED),
        *((state, HeldState.USED) for state in OPEN),
        (HeldState.USED, HeldState.RETURNED),
        *((state, HeldState.EXPIRED) for state in OPEN | {HeldState.USED}),
        *((state, HeldState.VOID) for state in OPEN | {HeldState.USED}),
    }
)


class Source(StrEnum):
    """How somebody came by a coupon."""

    CLAIM = "claim"
    CODE = "code"
    PACKAGE = "package"
    ORDER = "order"  # consumption-triggered
    POINTS = "points"


class Closed(StrEnum):
    """Why an offer of a launched theme is not open."""

    PAUSED = "paused"
    ENDED = "ended"
    TAKEN_DOWN = "taken_down"


class RedemptionState(StrEnum):
    REDEEMED = "redeemed"
    CANCELLED = "cancelled"
