"""What an effect takes off the lines in its scope, as they stand at that moment. Amounts are minor units."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, assert_never

from offers.allocation import share_of, split
from offers.effect import (
    Amount,
    Bundle,
    By,
    Cheapest,
    Every,
    FreightAmount,
    FreightEffect,
    FreightFixed,
    FreightPercent,
    GoodsEffect,
    Per,
    Percent,
    Step,
    Tiers,
    UnitAmount,
    UnitPrice,
)
from offers.units import Run, bundles, cheaper, dearest_first

GroupEffect = Percent | Amount | Tiers | Every  # of percents only those per group
LineEffect = Percent | UnitAmount | UnitPrice  # and only the others here
_NO_STEP = Step(at=0)


class Running(NamedTuple):
    """A line in scope: what it costs by now, and how much of that an offer may still take."""

    amount: int
    qty: int
    room: int
    tested: int  # the amount that counts for thresholds


@dataclass(frozen=True, slots=True)
class Benefit:
    """`off` of each line in scope; `withheld` is what nobody could take, and nobody is given."""

    off: Sequence[int]
    withheld: int = 0
    freight_free: bool = False


def benefit_of(effect: GoodsEffect, lines: Sequence[Running]) -> Benefit:
    return _BENEFITS[type(effect)](effect, lines)


def asking(effect: GroupEffect) -> Callable[[Any, int, int, int], int]:
    """What tells how much an effect on all lines together takes off, if no floor stops it.

    It is asked with the effect, the amount, the one that counts for its steps, and the units.
    """
    return _ASKED[type(effect)]


def _percent_of(effect: Percent, amount: int, _tested: int, _qty: int) -> int:
    off = share_of(amount, effect.bp)
    return off if effect.cap is None else min(off, effect.cap)


def _just_so_much(effect: Amount, _amount: int, _tested: int, _qty: int) -> int:
    return effect.value


def _on_the_ladder(effect: Tiers, amount: int, tested: int, qty: int) -> int:
    step = reached(effect, tested, qty)
    return share_of(amount, step.bp or 0) + (step.amount or 0)


def _for_each_step(effect: Every, _amount: int, tested: int, _qty: int) -> int:
    times = tested // effect.step
    return effect.amount * (times if effect.max_times is None else min(times, effect.max_times))


_ASKED: Mapping[type, Callable[[Any, int, int, int], int]] = MappingProxyType(
    {Percent: _percent_of, Amount: _just_so_much, Tiers: _on_the_ladder, Every: _for_each_step}
)


def reached(effect: Tiers, tested: int, qty: int) -> Step:
    """The highest step of a ladder that is; one that gives nothing below the first."""
    found, highest = tested if effect.by is By.AMOUNT else qty, _NO_STEP
    for step in effect.tiers:
        if step.at > found:
            break
        highest = step
    return highest


def least(effect: GoodsEffect) -> tuple[By, int] | None:
    """Of what, and how much, has to be there before it takes anything off; None: its own terms ask for nothing."""
    match effect:
        case Tiers():
            return effect.by, effect.tiers[0].at
        case Every():
            return By.AMOUNT, effect.step
        case Cheapest():
            return By.QTY, effect.group
        case Bundle():
            return By.QTY, effect.qty
    return None


def freight_off(effect: FreightEffect, freight: int) -> int:
    match effect:
        case FreightPercent():
            return share_of(freight, effect.bp)
        case FreightAmount():
            return min(freight, effect.value)
        case FreightFixed():
            return max(0, freight - effect.value)
    assert_never(effect)


def _together(effect: GroupEffect, lines: Sequence[Running]) -> Benefit:
    """Off all lines at once: what one cannot take, the others do."""
    amounts, qties, rooms, tested = zip(*lines, strict=True)
    counted, qty = sum(tested), sum(qties)
    amount = asking(effect)(effect, sum(amounts), counted, qty)
    off = split(amount, amounts, rooms)
    free = isinstance(effect, Tiers) and reached(effect, counted, qty).freight_free
    return Benefit(off, withheld=amount - sum(off), freight_free=free)


def _each(wanted: Sequence[int], lines: Sequence[Running]) -> Benefit:
    """Each line what is its own: what it cannot take, no other does."""
    off = list(map(min, wanted, [line.room for line in lines]))
    return Benefit(off, withheld=sum(wanted) - sum(off))


def _percent(effect: Percent, lines: Sequence[Running]) -> Benefit:
    if effect.per is Per.GROUP:
        return _together(effect, lines)
    wanted = [_own_share(line, effect) for line in lines]
    if effect.cap is not None and sum(wanted) > effect.cap:
        wanted = split(effect.cap, wanted)
    return _each(wanted, lines)


def _own_share(line: Running, effect: Percent) -> int:
    if effect.per is Per.LINE:
        return share_of(line.amount, effect.bp)
    each, more = divmod(line.amount, line.qty)
    return share_of(each + 1, effect.bp) * more + share_of(each, effect.bp) * (line.qty - more)


def _units(lines: Sequence[Running]) -> Sequence[Run]:
    return dearest_first([(line.amount, line.qty) for line in lines])


def _cheapest(effect: Cheapest, lines: Sequence[Running]) -> Benefit:
    wanted = [0] * len(lines)
    for price, at, many in cheaper(effect, _units(lines)):
        wanted[at] += share_of(price, effect.bp) * many
    return _each(wanted, lines)


def _bundles(effect: Bundle, lines: Sequence[Running]) -> Benefit:
    wanted = [0] * len(lines)
    for times, saved, runs in bundles(effect, _units(lines)):
        amounts = _by_line(runs)
        ats = sorted(amounts)
        for at, off in zip(ats, split(saved, [amounts[at] for at in ats]), strict=True):
            wanted[at] += off * times
    return _each(wanted, lines)


def _by_line(runs: Sequence[Run]) -> Mapping[int, int]:
    amounts: dict[int, int] = {}
    for price, at, many in runs:
        amounts[at] = amounts.get(at, 0) + price * many
    return amounts


def _unit_amount(effect: UnitAmount, lines: Sequence[Running]) -> Benefit:
    return _each([effect.value * line.qty for line in lines], lines)


def _unit_price(effect: UnitPrice, lines: Sequence[Running]) -> Benefit:
    return _each([max(0, line.amount - effect.value * line.qty) for line in lines], lines)


_BENEFITS: Mapping[type, Callable[[Any, Sequence[Running]], Benefit]] = MappingProxyType(
    {
        Percent: _percent,
        Amount: _together,
        UnitAmount: _unit_amount,
        UnitPrice: _unit_price,
        Tiers: _together,
        Every: _together,
        Cheapest: _cheapest,
        Bundle: _bundles,
    }
)
