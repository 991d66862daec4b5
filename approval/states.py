"""The words of approval: what is approved, and the states of a round, a chain, a level and a task."""

from enum import StrEnum


class ObjectKind(StrEnum):
    THEME = "theme"
    COUPON = "coupon"
    ACTIVITY = "activity"


class RoundState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"
    REJECTED = "rejected"
    RECALLED = "recalled"


class ChainState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    VOID = "void"


class LevelState(StrEnum):
    WAITING = "waiting"
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    VOID = "void"


class TaskState(StrEnum):
    WAITING = "waiting"  # its level is not open yet
    OPEN = "open"
    DECIDED = "decided"
    CANCELLED = "cancelled"


class DecisionKind(StrEnum):
    APPROVE = "approve"
    RETURN_TO_DRAFTER = "return to drafter"
    REJECT = "reject"
