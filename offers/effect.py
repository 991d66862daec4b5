"""What an offer does to a cart once its condition holds. Money is integer minor units, shares are basis points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from offers.errors import LadderFalls, StepOfNothing


class Per(StrEnum):
    """What is rounded: the discount of all that is in scope at once, of each line, or of each unit."""

    GROUP = "group"
    LINE = "line"
    UNIT = "unit"


class By(StrEnum):
    """What the steps of a ladder are counted in."""

    AMOUNT = "amount"
    QTY = "qty"


class Target(StrEnum):
    """Which units of those in scope get cheaper."""

    CHEAPEST = "cheapest"
    DEAREST = "dearest"
    EACH_GROUP = "each_group"  # from the dearest down group by group, the cheapest of each


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent:
    bp: int
    per: Per = Per.GROUP
    cap: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Once, off all that is in scope together."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitAmount:
    """Off each unit."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPrice:
    """Each unit for so much; one that is cheaper already stays."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From `at` on: an amount or a share off, freight free, or both."""

    at: int
    amount: int | None = None
    bp: int | None = None
    freight_free: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """Of the steps the highest that is reached counts."""

    by: By
    tiers: Sequence[Step]

    def __post_init__(self) -> None:
        """A step that gave less than a lower one would let an offer save more in company than alone.

        Raises:
            LadderFalls
        """
        for lower, higher in zip(self.tiers, self.tiers[1:], strict=False):
            falls = (higher.amount or 0) < (lower.amount or 0) or (higher.bp or 0) < (lower.bp or 0)
            if falls or higher.at <= lower.at or lower.freight_free > higher.freight_free:
                raise LadderFalls(lower=lower.at, higher=higher.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """So much for each full step that is spent."""

    step: int
    amount: int
    max_times: int | None = None

    def __post_init__(self) -> None:
        """Raises StepOfNothing."""
        if self.step < 1:
            raise StepOfNothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Cheapest:
    """Of each `group` units in scope `n` get `bp` off, of all of them `most`."""

    group: int
    n: int = 1
    bp: int = 10_000
    target: Target = Target.CHEAPEST
    most: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """`qty` units for `price` together, the dearest first; never dearer than they are."""

    qty: int
    price: int
    repeat: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FreightPercent:
    bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FreightAmount:
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FreightFixed:
    """The freight costs so much; one that is cheaper already stays."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gift:
    """`price` is what one of it is worth: shown, and never paid. Any of `instead` may be given in its place."""

    sku: str
    qty: int = 1
    price: int = 0
    instead: tuple[str, ...] = ()


GoodsEffect = Percent | Amount | UnitAmount | UnitPrice | Tiers | Every | Cheapest | Bundle
FreightEffect = FreightPercent | FreightAmount | FreightFixed
Effect = GoodsEffect | FreightEffect | Gift

#: As files call them.
EFFECTS: Mapping[str, type[Effect]] = MappingProxyType(
    {
        "percent": Percent,
        "amount": Amount,
        "unit_amount": UnitAmount,
        "unit_price": UnitPrice,
        "tiers": Tiers,
        "every": Every,
        "cheapest": Cheapest,
        "bundle": Bundle,
        "freight_percent": FreightPercent,
        "freight_amount": FreightAmount,
        "freight_fixed": FreightFixed,
        "gift": Gift,
    }
)
