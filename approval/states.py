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
    REVISED = "revised"  # an edit opened the next round


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


class TaskKind(StrEnum):
    DECISION = "decision"
    ADVICE = "advice"  # asked for by the owner of another task; it is no vote
    OVERRIDE = "override"  # an administrator's, made in the moment of her decision


class TaskState(StrEnum):
    WAITING = "waiting"  # for its level to open, or for another task's decision
    OPEN = "open"
    OUT = "out"  # advice is asked for: its owner cannot decide meanwhile
    DECIDED = "decided"
    SKIPPED = "skipped"  # the same person approved at an earlier level
    CANCELLED = "cancelled"  # settled without it
    REMOVED = "removed"  # given to somebody else, or its person may not decide any more
    VOID = "void"  # its decision was taken back or returned past


class DecisionKind(StrEnum):
    APPROVE = "approve"
    RETURN_TO_DRAFTER = "return to drafter"
    RETURN_TO_PREVIOUS = "return to previous level"
    RETURN_TO_LEVEL = "return to chosen level"
    REJECT = "reject"


#: What an administrator may decide over the heads of a level, and what time may.
OVERRIDES = (DecisionKind.APPROVE, DecisionKind.RETURN_TO_DRAFTER, DecisionKind.REJECT)
