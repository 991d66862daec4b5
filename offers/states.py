"""The life of a coupon that somebody holds, and why an offer gives nothing for now."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class HeldState(StrEnum):
    ISSUED = "issued"
    LOCKED = "locked"  # for an order that is being placed
    USED = "used"
    RETURNED = "returned"  # its order was cancelled; it may be used again
    EXPIRED = "expired"
    VOID = "void"  # taken back, by a takedown or with the order that it was given for


class HeldMove(StrEnum):
    LOCK = "lock"
    UNLOCK = "unlock"
    USE = "use"
    GIVE_BACK = "give_back"
    EXPIRE = "expire"
    VOID = "void"


#: From which states a move leads where. A used coupon comes back with its order only; nothing leaves the last two.
MOVES: Mapping[HeldMove, Mapping[HeldState, HeldState]] = MappingProxyType(
    {
        HeldMove.LOCK: {HeldState.ISSUED: HeldState.LOCKED, HeldState.RETURNED: HeldState.LOCKED},
        HeldMove.UNLOCK: {HeldState.LOCKED: HeldState.ISSUED},
        HeldMove.USE: {
            HeldState.ISSUED: HeldState.USED,
            HeldState.RETURNED: HeldState.USED,
            HeldState.LOCKED: HeldState.USED,
        },
        HeldMove.GIVE_BACK: {HeldState.USED: HeldState.RETURNED},
        HeldMove.EXPIRE: {
            HeldState.ISSUED: HeldState.EXPIRED,
            HeldState.RETURNED: HeldState.EXPIRED,
            HeldState.LOCKED: HeldState.EXPIRED,
            HeldState.USED: HeldState.EXPIRED,  # given back after its time
        },
        HeldMove.VOID: {
            HeldState.ISSUED: HeldState.VOID,
            HeldState.RETURNED: HeldState.VOID,
            HeldState.LOCKED: HeldState.VOID,
        },
    }
)

USABLE = frozenset({HeldState.ISSUED, HeldState.RETURNED})
#: Whoever holds one of these could still use it.
OPEN = USABLE | {HeldState.LOCKED}


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
