"""An offer of a launched theme as carts meet it: its rule, where and when it applies, and what is left of it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from offers.claim_rules import ANYWHERE, EVERYBODY, Bucket
from offers.preset import ClaimWay, OfferKind
from offers.refund import RefundPolicy
from offers.refusals import UseRefusal
from offers.rule import Rule
from offers.states import Closed
from themes.theme import RedeemIn

REFUSED_WHEN: Mapping[Closed, UseRefusal] = MappingProxyType(
    {
        Closed.PAUSED: UseRefusal.PAUSED,
        Closed.ENDED: UseRefusal.OVER,
        Closed.TAKEN_DOWN: UseRefusal.TAKEN_DOWN,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UseLimits:
    """How often a coupon may be claimed, or an activity used. None: as often as comes."""

    total: int | None = None
    per_customer: int | None = None
    per_day: int | None = None
    per_customer_day: int | None = None
    per_channel: Mapping[str, int] = field(default_factory=dict)

    @property
    def per_person(self) -> bool:
        return self.per_customer is not None or self.per_customer_day is not None

    @property
    def counts(self) -> bool:
        """Whether anything but the total is counted."""
        return self.per_person or self.per_day is not None or bool(self.per_channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How much of an offer is taken, in all and of what limits count for one customer, channel and day."""

    claimed: int = 0
    spent: int = 0  # minor units
    by_customer: int = 0
    on_day: int = 0
    by_customer_on_day: int = 0
    in_channel: int = 0


NOTHING = Taken()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRule:
    """`name` is THEME/OFFER, which is also the id of the rule. Without a rule it takes nothing off by itself."""

    id: int
    name: str
    theme_id: int
    revision_id: int
    offer: str
    title: str
    kind: OfferKind
    claim_way: ClaimWay | None  # None: an activity
    newcomers: bool  # only they may use it
    rule: Rule | None
    redeem_in: Collection[RedeemIn]  # none: everywhere
    timezone: str
    claim_from: datetime | None
    claim_to: datetime | None
    valid_from: datetime | None
    valid_to: datetime | None
    limits: UseLimits
    budget: int | None
    given_back: bool
    refund: RefundPolicy
    closed: Closed | None

    def today(self, at: datetime) -> date:
        """The day of the theme that an instant is in."""
        return at.astimezone(ZoneInfo(self.timezone)).date()

    def refused_in(self, channel: RedeemIn) -> UseRefusal | None:
        return UseRefusal.WRONG_CHANNEL if self.redeem_in and channel not in self.redeem_in else None

    def refused_as_activity(self, now: datetime) -> UseRefusal | None:
        """Whether it applies by itself at all."""
        if self.closed is not None:
            return REFUSED_WHEN[self.closed]
        return _outside(self.valid_from, self.valid_to, now, before=UseRefusal.NOT_YET, after=UseRefusal.OVER)

    def refused_as_claim(self, now: datetime) -> UseRefusal | None:
        """Whether a coupon of it could be claimed."""
        if self.closed is not None:
            return REFUSED_WHEN[self.closed]
        return _outside(self.claim_from, self.claim_to, now, before=UseRefusal.NOT_YET, after=UseRefusal.OVER)

    def refused_by_limits(self, taken: Taken, *, channel: RedeemIn, customer_known: bool) -> UseRefusal | None:
        """What of its limits leaves no room for one more."""
        limits = self.limits
        if limits.per_person and not customer_known:
            return UseRefusal.NO_CUSTOMER
        rooms = (
            (limits.total, taken.claimed, UseRefusal.SOLD_OUT),
            (limits.per_customer, taken.by_customer, UseRefusal.PERSONAL_LIMIT),
            (limits.per_customer_day, taken.by_customer_on_day, UseRefusal.PERSONAL_DAY_LIMIT),
            (limits.per_day, taken.on_day, UseRefusal.DAY_LIMIT),
            (limits.per_channel.get(channel), taken.in_channel, UseRefusal.CHANNEL_LIMIT),
        )
        return next((why for most, count, why in rooms if most is not None and count >= most), None)

    def leaves(self, taken: Taken, off: int) -> bool:
        """Whether its budget covers what it would take off."""
        return self.budget is None or taken.spent + off <= self.budget

    def buckets(
        self, *, customer_id: int | None, channel: RedeemIn, at: datetime
    ) -> Iterator[tuple[Bucket, UseRefusal]]:
        """What one use of an activity adds to, and what stands for its end: only what one of its limits counts."""
        limits, today = self.limits, self.today(at)
        if limits.per_customer is not None and customer_id is not None:
            yield Bucket(self.id, customer_id, None, ANYWHERE), UseRefusal.PERSONAL_LIMIT
        if limits.per_customer_day is not None and customer_id is not None:
            yield Bucket(self.id, customer_id, today, ANYWHERE), UseRefusal.PERSONAL_DAY_LIMIT
        if limits.per_day is not None:
            yield Bucket(self.id, EVERYBODY, today, ANYWHERE), UseRefusal.DAY_LIMIT
        if channel in limits.per_channel:
            yield Bucket(self.id, EVERYBODY, None, channel.value), UseRefusal.CHANNEL_LIMIT


def _outside(
    since: datetime | None, until: datetime | None, now: datetime, *, before: UseRefusal, after: UseRefusal
) -> UseRefusal | None:
    if since is not None and now < since:
        return before
    return after if until is not None and now >= until else None
