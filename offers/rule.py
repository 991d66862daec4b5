"""An offer as pricing sees it, and the place that it has in the order of application."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum

from offers.effect import (
    Bundle,
    By,
    Cheapest,
    Effect,
    FreightAmount,
    FreightFixed,
    FreightPercent,
    Gift,
    Per,
    Percent,
    Tiers,
    UnitAmount,
    UnitPrice,
)
from offers.preset import OfferKind
from offers.scope import EVERYTHING, Scope


class Stage(IntEnum):
    """In this order offers are applied."""

    PRICE = 1
    ITEM = 2
    ACTIVITY = 3
    COUPON = 4
    FREIGHT = 5
    GIFT = 6


Order = tuple[Stage, int, int, bool, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Holds where so much money, or so many pieces, are of `scope`: the offer's own, unless another is given.

    Of pieces that are in both scopes `apart` are not counted: as many as the offer makes cheaper.
    """

    min_amount: int = 0
    min_qty: int = 0
    scope: Scope | None = None
    apart: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`excludes` holds the ids of offers that may not take effect beside this one; one side is enough."""

    id: str
    effect: Effect
    kind: OfferKind = OfferKind.COUPON
    priority: int = 0
    exclusive: bool = False
    excludes: AbstractSet[str] = frozenset()
    scope: Scope = EVERYTHING
    condition: Condition = field(default_factory=Condition)
    only_undiscounted: bool = False
    expires: datetime | None = None

    stage: Stage = field(init=False, repr=False, compare=False)
    #: Within a stage the higher priority first, then the higher threshold, then percent before amount, then ids.
    order: Order = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Both are asked for again and again, on every cart."""
        object.__setattr__(self, "stage", _stage_of(self.kind, self.effect))
        percent_first = not isinstance(self.effect, Percent)
        object.__setattr__(self, "order", (self.stage, -self.priority, -self.threshold, percent_first, self.id))

    @property
    def threshold(self) -> int:
        if isinstance(self.effect, Tiers):
            return max(step.at for step in self.effect.tiers)
        return self.condition.min_amount or self.condition.min_qty


def _stage_of(kind: OfferKind, effect: Effect) -> Stage:
    match effect:
        case UnitPrice():
            return Stage.PRICE
        case UnitAmount() | Cheapest() | Bundle() | Percent(per=Per.LINE | Per.UNIT) | Tiers(by=By.QTY):
            return Stage.ITEM
        case FreightPercent() | FreightAmount() | FreightFixed():
            return Stage.FREIGHT
        case Gift():
            return Stage.GIFT
    return Stage.ACTIVITY if kind is OfferKind.ACTIVITY else Stage.COUPON


def excluded(one: Rule, other: Rule) -> bool:
    """Whether only one of the two may take effect."""
    return one.exclusive or other.exclusive or other.id in one.excludes or one.id in other.excludes
