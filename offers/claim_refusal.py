"""Why somebody does not get a coupon."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from offers.errors import OfferError


class ClaimRefusal(StrEnum):
    OFFER_UNKNOWN = "offer_unknown"
    CUSTOMER_UNKNOWN = "customer_unknown"
    CODE_UNKNOWN = "code_unknown"
    CODE_TAKEN = "code_taken"
    CODE_NEEDED = "code_needed"
    NOT_CLAIMABLE = "not_claimable"
    NOT_OPEN_YET = "not_open_yet"
    OVER = "over"
    PAUSED = "paused"
    TAKEN_DOWN = "taken_down"
    NOT_NEWCOMER = "not_newcomer"
    POINTS_MISSING = "points_missing"
    POINTS_USED = "points_used"
    PERSONAL_LIMIT = "personal_limit"
    PERSONAL_DAY_LIMIT = "personal_day_limit"
    SOLD_OUT = "sold_out"
    BUDGET_SPENT = "budget_spent"
    DAY_LIMIT = "day_limit"
    CHANNEL_LIMIT = "channel_limit"


_WORDS: Mapping[ClaimRefusal, str] = MappingProxyType(
    {
        ClaimRefusal.OFFER_UNKNOWN: "there is no such offer",
        ClaimRefusal.CUSTOMER_UNKNOWN: "there is no such customer",
        ClaimRefusal.CODE_UNKNOWN: "there is no such code for it: it may be mistyped",
        ClaimRefusal.CODE_TAKEN: "the code was used already, or is somebody else's",
        ClaimRefusal.CODE_NEEDED: "it is given for a code only",
        ClaimRefusal.NOT_CLAIMABLE: "it is not given to those who ask: it applies by itself, or comes after an order",
        ClaimRefusal.NOT_OPEN_YET: "it cannot be claimed yet",
        ClaimRefusal.OVER: "it cannot be claimed any more",
        ClaimRefusal.PAUSED: "it is paused",
        ClaimRefusal.TAKEN_DOWN: "it was taken down",
        ClaimRefusal.NOT_NEWCOMER: "it is for those who have not ordered before",
        ClaimRefusal.POINTS_MISSING: "it costs {points} points: say what proves that they were taken",
        ClaimRefusal.POINTS_USED: "another coupon was given for these points",
        ClaimRefusal.PERSONAL_LIMIT: "this customer has had as many as one person gets",
        ClaimRefusal.PERSONAL_DAY_LIMIT: "this customer has had as many today as one person gets in a day",
        ClaimRefusal.SOLD_OUT: "all are given",
        ClaimRefusal.BUDGET_SPENT: "what it may take off in all is spent",
        ClaimRefusal.DAY_LIMIT: "all of today are given",
        ClaimRefusal.CHANNEL_LIMIT: "all for this channel are given",
    }
)


class ClaimRefused(OfferError):
    """`offer` is the one that stands in the way: of a package it may be a coupon in it. None: it is not known which."""

    def __init__(self, *, why: ClaimRefusal, offer: str | None = None, points: int | None = None) -> None:
        self.why, self.offer, self.points = why, offer, points
        words = _WORDS[why].format(points=points)
        super().__init__(words if offer is None else f"{offer}: {words}")


class ClaimMalformed(OfferError, ValueError):
    """A claim that cannot be kept as it is."""

    def __init__(self, *, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field} of the claim {problem}")


class CountsMoved(OfferError):
    """A guard refused what the counts had allowed, though the offers were locked: something counts past the lock."""

    def __init__(self, *, what: str, asked: int, done: int) -> None:
        self.what, self.asked, self.done = what, asked, done
        super().__init__(f"{what}: {done} of {asked} could be written; nothing was given, ask again")
