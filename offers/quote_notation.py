"""What the keys of a quote document may hold. Money is integer minor units, shares are basis points.

The limits keep one document from asking for more than a moment's work, and every sum within what JSON can carry.
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from documents.shape import refuse
from offers.combination import Mode
from offers.effect import By, Per, Step, Target
from offers.preset import OfferKind
from offers.pricing import Threshold
from offers.rule import Condition
from offers.scope import Items, Scope

MOST_UNITS = 100_000  # of all lines together: some effects look at every piece
MOST_LINES = 500
MOST_OFFERS = 200


def _as_text(value: object) -> object:
    """A product may well be called 85123."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _not_blank(text: str) -> str:
    if not text.strip():
        raise refuse("is empty")
    return text


def _instant(value: object) -> datetime:
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise refuse("is not a time with its zone", allowed="for example 2027-03-06T00:00+00:00")
    return instant


Name = Annotated[str, BeforeValidator(_as_text), Field(strict=True, max_length=200), AfterValidator(_not_blank)]
Names = tuple[Name, ...]
SomeNames = Annotated[Names, Field(min_length=1, max_length=10_000)]
Money = Annotated[int, Field(strict=True, ge=0, le=10_000_000_000)]
Positive = Annotated[int, Field(strict=True, ge=1, le=10_000_000_000)]
Qty = Annotated[int, Field(strict=True, ge=1, le=MOST_UNITS)]
BasisPoints = Annotated[int, Field(strict=True, ge=0, le=10_000)]
Flag = Annotated[bool, Field(strict=True)]
Instant = Annotated[datetime, BeforeValidator(_instant)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ItemsPart(Part):
    """`product` is another word for `sku`."""

    sku: SomeNames = ()
    product: SomeNames = ()
    shop: SomeNames = ()
    category: SomeNames = ()
    brand: SomeNames = ()

    def items(self) -> Items:
        return Items(
            sku=frozenset(self.sku + self.product),
            shop=frozenset(self.shop),
            category=frozenset(self.category),
            brand=frozenset(self.brand),
        )


class ScopePart(ItemsPart):
    everything: Flag = Field(default=False, alias="all")
    excluded: ItemsPart = Field(default=ItemsPart(), alias="except")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        named, excluded = bool(self.items()), bool(self.excluded.items())
        if self.everything == named and (named or not excluded):
            raise refuse("has to be everything or a list", allowed="{all: true}, or product, shop, category, brand")
        return self

    def scope(self) -> Scope:
        return Scope(named=self.items(), excluded=self.excluded.items())


class ConditionPart(Part):
    min_amount: Money = 0
    min_qty: Annotated[int, Field(strict=True, ge=0, le=MOST_UNITS)] = 0
    scope: ScopePart | None = None

    def condition(self) -> Condition:
        scope = None if self.scope is None else self.scope.scope()
        return Condition(min_amount=self.min_amount, min_qty=self.min_qty, scope=scope)


class LinePart(Part):
    qty: Qty
    price: Money
    sku: Name | None = None
    shop: Name | None = None
    category: Name | None = None
    brand: Name | None = None
    floor: Money = 0


class CartPart(Part):
    """Its lines are read one by one."""

    lines: Annotated[list[Any], Field(strict=True, min_length=1, max_length=MOST_LINES)]
    freight: Money = 0


class OfferPart(Part):
    """Its effect is read against the model of its own type."""

    id: Name
    effect: Any
    kind: OfferKind = OfferKind.COUPON
    priority: Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)] = 0
    exclusive: Flag = False
    excludes: Names = ()
    scope: ScopePart = ScopePart(all=True)
    condition: ConditionPart = ConditionPart()
    only_undiscounted: Flag = False
    expires: Instant | None = None


class AskedPart(Part):
    cart: Any
    offers: Annotated[list[Any], Field(strict=True, max_length=MOST_OFFERS)] = []
    mode: Mode = Mode.ALL
    forced: Names = ()
    threshold: Threshold = Threshold.RUNNING
    sequence: Names = ()


_RETURN: dict[str, Any] = {"return": (dict[str, Qty], {})}  # a word of Python's own, which no class can have as a field
QuotePart = create_model("QuotePart", __base__=AskedPart, **_RETURN)


class EffectPart(Part):
    type: str


class PercentPart(EffectPart):
    bp: BasisPoints
    per: Per = Per.GROUP
    cap: Money | None = None


class ValuePart(EffectPart):
    value: Money


class StepPart(Part):
    at: Money
    amount: Money | None = None
    bp: BasisPoints | None = None
    freight_free: Flag = False

    @model_validator(mode="after")
    def _gives_one_thing(self) -> Self:
        if self.amount is not None and self.bp is not None:
            raise refuse("has an amount and a share: leave one out", allowed="amount or bp")
        if self.amount is None and self.bp is None and not self.freight_free:
            raise refuse("gives nothing", allowed="amount or bp, freight_free: true, or both")
        return self


class TiersPart(EffectPart):
    by: By
    tiers: Annotated[tuple[StepPart, ...], Field(min_length=1, max_length=100)]


class EveryPart(EffectPart):
    step: Positive
    amount: Money
    max_times: Positive | None = None


class CheapestPart(EffectPart):
    group: Qty
    n: Qty = 1
    bp: BasisPoints = 10_000
    target: Target = Target.CHEAPEST
    most: Qty | None = None


class BundlePart(EffectPart):
    qty: Qty
    price: Money
    repeat: Flag = True


class FreightPercentPart(EffectPart):
    bp: BasisPoints


class GiftPart(EffectPart):
    sku: Name
    qty: Qty = 1
    price: Money = 0
    instead: Names = ()


PARTS: Mapping[str, type[EffectPart]] = MappingProxyType(
    {
        "percent": PercentPart,
        "amount": ValuePart,
        "unit_amount": ValuePart,
        "unit_price": ValuePart,
        "tiers": TiersPart,
        "every": EveryPart,
        "cheapest": CheapestPart,
        "bundle": BundlePart,
        "freight_percent": FreightPercentPart,
        "freight_amount": ValuePart,
        "freight_fixed": ValuePart,
        "gift": GiftPart,
    }
)


def steps_of(parts: tuple[StepPart, ...]) -> tuple[Step, ...]:
    return tuple(Step(**part.model_dump()) for part in parts)
