"""Who gets a coupon, of those who ask one after the other: what offers allow, and what of that is left."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from offers.claim_refusal import ClaimRefusal, ClaimRefused
from offers.preset import ClaimWay
from offers.states import Closed, Source

EVERYBODY, ANYWHERE = 0, ""

_CLOSED: Mapping[Closed, ClaimRefusal] = MappingProxyType(
    {
        Closed.PAUSED: ClaimRefusal.PAUSED,
        Closed.ENDED: ClaimRefusal.OVER,
        Closed.TAKEN_DOWN: ClaimRefusal.TAKEN_DOWN,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a live offer allows; none of it changes while it is live."""

    id: int
    theme: str
    theme_id: int
    offer: str
    claim_way: ClaimWay | None  # None: an activity, which nobody claims
    newcomers: bool
    timezone: str
    claim_from: datetime | None
    claim_to: datetime | None
    valid_from: datetime | None
    valid_to: datetime | None
    valid_days: int | None
    total: int | None
    per_customer: int | None
    per_day: int | None
    per_customer_day: int | None
    per_channel: Mapping[str, int]
    budget_minor: int | None
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.theme}/{self.offer}"

    @property
    def points(self) -> int | None:
        return self.parameters["points"] if self.claim_way is ClaimWay.POINTS else None

    @property
    def is_package(self) -> bool:
        return self.claim_way is ClaimWay.PACKAGE

    def valid(self, claimed_at: datetime) -> tuple[datetime, datetime]:
        """From when, and up to but not including when, a coupon that is claimed now may be used."""
        if self.valid_days is not None:
            return claimed_at, claimed_at + timedelta(days=self.valid_days)
        if self.valid_from is None or self.valid_to is None:
            raise ValueError(f"{self.name} says neither a period nor days")
        return self.valid_from, self.valid_to


class Bucket(NamedTuple):
    """What is counted together: all that one customer, one day or one channel had of an offer; None: on any day."""

    offer_id: int
    customer_id: int
    day: date | None
    channel: str


class Standing(NamedTuple):
    """What changes of a live offer."""

    closed: Closed | None
    claimed: int
    spent_minor: int


class TakenCode(NamedTuple):
    customer_id: int | None  # whose it is; None: anybody's
    held_id: int | None  # what was claimed with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Somebody is to get the first of `offers`; of a package, all of those after it."""

    offers: Sequence[Terms]
    customer_id: int
    channel: str
    source: Source
    code: int | None = None
    points_receipt: str | None = None
    trigger_order: str | None = None

    @property
    def given(self) -> Sequence[Terms]:
        return self.offers[1:] if self.offers[0].is_package else self.offers

    @property
    def package(self) -> Terms | None:
        return self.offers[0] if self.offers[0].is_package else None


@dataclass(slots=True, kw_only=True)
class Stock:
    """What is left of the offers that are asked for. `taken` and `counted` are what was given since it was read."""

    now: datetime
    standing: Mapping[int, Standing]
    counts: Mapping[Bucket, int]
    codes: Mapping[int, TakenCode]
    used_points: set[tuple[int, str]]
    buyers: frozenset[int]  # customers who have ordered before
    taken: dict[int, int] = field(default_factory=dict)
    counted: dict[Bucket, int] = field(default_factory=dict)
    used_codes: set[int] = field(default_factory=set)

    def take(self, wish: Wish) -> ClaimRefused | None:
        """Count one of each of its offers, or none of any and why."""
        for terms in wish.offers:
            if (why := self._why_not(wish, terms)) is not None:
                return ClaimRefused(why=why, offer=terms.name, points=terms.points)
        for terms in wish.offers:
            self._count(wish, terms)
        if wish.code is not None:
            self.used_codes.add(wish.code)
        if wish.points_receipt is not None:
            self.used_points.add((wish.offers[0].id, wish.points_receipt))
        return None

    def _why_not(self, wish: Wish, terms: Terms) -> ClaimRefusal | None:
        asked = terms is wish.offers[0]
        return (
            self._why_closed(terms, asked=asked)
            or (self._why_not_this_time(wish, terms) if asked else None)
            or (ClaimRefusal.NOT_NEWCOMER if terms.newcomers and wish.customer_id in self.buyers else None)
            or self._why_none_left(wish, terms)
        )

    def _why_closed(self, terms: Terms, *, asked: bool) -> ClaimRefusal | None:
        closed = self.standing[terms.id].closed
        if closed is not None:
            return _CLOSED[closed]
        if terms.claim_from is None or terms.claim_to is None:
            return ClaimRefusal.NOT_CLAIMABLE
        if asked and self.now < terms.claim_from:  # a coupon in a package is given when the package is
            return ClaimRefusal.NOT_OPEN_YET
        is_over = (asked and self.now >= terms.claim_to) or (terms.valid_to is not None and self.now >= terms.valid_to)
        return ClaimRefusal.OVER if is_over else None

    def _why_not_this_time(self, wish: Wish, terms: Terms) -> ClaimRefusal | None:
        if wish.code is not None:
            code = self.codes.get(wish.code)
            if code is None:
                return ClaimRefusal.CODE_UNKNOWN
            free = code.held_id is None and wish.code not in self.used_codes
            if not free or code.customer_id not in {None, wish.customer_id}:
                return ClaimRefusal.CODE_TAKEN
        if wish.points_receipt is not None and (terms.id, wish.points_receipt) in self.used_points:
            return ClaimRefusal.POINTS_USED
        return None

    def _why_none_left(self, wish: Wish, terms: Terms) -> ClaimRefusal | None:
        full = {why for bucket, most, why in buckets(wish, terms, self.now) if self._count_of(bucket) >= most}
        standing = self.standing[terms.id]
        if terms.total is not None and standing.claimed + self.taken.get(terms.id, 0) >= terms.total:
            full.add(ClaimRefusal.SOLD_OUT)
        if terms.budget_minor is not None and standing.spent_minor >= terms.budget_minor:
            full.add(ClaimRefusal.BUDGET_SPENT)
        return next(why for why in ClaimRefusal if why in full) if full else None

    def _count(self, wish: Wish, terms: Terms) -> None:
        self.taken[terms.id] = self.taken.get(terms.id, 0) + 1
        for bucket, _, _ in buckets(wish, terms, self.now):
            self.counted[bucket] = self.counted.get(bucket, 0) + 1

    def _count_of(self, bucket: Bucket) -> int:
        return self.counts.get(bucket, 0) + self.counted.get(bucket, 0)


def buckets(wish: Wish, terms: Terms, now: datetime) -> Iterator[tuple[Bucket, int, ClaimRefusal]]:
    """What a limit of the offer counts of this wish, with the limit, and what stands for its end."""
    if terms.per_customer is not None:
        yield Bucket(terms.id, wish.customer_id, None, ANYWHERE), terms.per_customer, ClaimRefusal.PERSONAL_LIMIT
    if terms.per_customer_day is not None:
        personal = Bucket(terms.id, wish.customer_id, day_of(terms, now), ANYWHERE)
        yield personal, terms.per_customer_day, ClaimRefusal.PERSONAL_DAY_LIMIT
    if terms.per_day is not None:
        yield Bucket(terms.id, EVERYBODY, day_of(terms, now), ANYWHERE), terms.per_day, ClaimRefusal.DAY_LIMIT
    if (most := terms.per_channel.get(wish.channel)) is not None:
        yield Bucket(terms.id, EVERYBODY, None, wish.channel), most, ClaimRefusal.CHANNEL_LIMIT


def all_buckets(wishes: Iterable[Wish], now: datetime) -> dict[Bucket, int]:
    """Each with its limit."""
    return {bucket: most for wish in wishes for terms in wish.offers for bucket, most, _ in buckets(wish, terms, now)}


def day_of(terms: Terms, now: datetime) -> date:
    """The day it is where the theme is at home."""
    return now.astimezone(ZoneInfo(terms.timezone)).date()
