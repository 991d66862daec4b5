"""The most that an offer takes off a cart from now on, whatever other offers take effect before it.

For most effects that is what it takes off now: the less is left, the less they take. Three are not so. A share of
each line with a cap on their sum, and effects on the cheapest or dearest units, may meet lines that floors hold, and
later fall on others which can take more. And where discounted lines drop out of a scope, its cheapest units may be
dearer ones than before. Of these it is what they would take off without cap, floors, or as if on the dearest units.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from operator import itemgetter

from offers.allocation import share_of
from offers.benefit import (
    GroupEffect,
    LineEffect,
    Running,
    asking,
    benefit_of,
    freight_off,
    reached,
)
from offers.effect import (
    Bundle,
    Cheapest,
    FreightAmount,
    FreightFixed,
    FreightPercent,
    Gift,
    Per,
    Percent,
    Target,
    Tiers,
    UnitAmount,
    UnitPrice,
)
from offers.rule import Rule
from offers.units import Run, bundles, cheaper, dearest_first

Amounts = tuple[int, ...]
#: Of the amounts of all lines, those that count for thresholds, and the freight. None: it takes no effect any more.
Ceiling = Callable[[Amounts, Amounts, int], int | None]
Picker = Callable[[Amounts], Amounts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """The lines of a cart: all sequences have a value for each of them, `ats` and `needs` are places in these."""

    ats: tuple[int, ...]  # in the offer's scope
    needs: tuple[int, ...]  # in that of its condition
    listed: Amounts  # amounts before any offer
    qty: tuple[int, ...]
    held: Amounts  # what floors keep back


def ceiling_of(rule: Rule, lines: Lines) -> Ceiling:
    """What is called very often is worked out here as far as it can be."""
    if not lines.ats:
        return _never
    if rule.only_undiscounted:
        return _while_undiscounted(rule, lines)
    return _if_enough(rule, lines, _effect(rule, lines))


def _never(_amounts: Amounts, _tested: Amounts, _freight: int) -> None:
    return None


def _while_undiscounted(rule: Rule, lines: Lines) -> Ceiling:
    @cache
    def on(ats: tuple[int, ...]) -> Ceiling:
        left = replace(lines, ats=ats, needs=ats if rule.condition.scope is None else lines.needs)
        return _if_enough(rule, left, _effect(rule, left)) if ats else _never

    def ceiling(amounts: Amounts, tested: Amounts, freight: int) -> int | None:
        return on(tuple([at for at in lines.ats if amounts[at] == lines.listed[at]]))(amounts, tested, freight)

    return ceiling


def _if_enough(rule: Rule, lines: Lines, effect: Ceiling) -> Ceiling:
    """Only while the condition holds: amounts fall, so that it never holds again once it does not."""
    least, pick = rule.condition.min_amount, picker(lines.needs)
    if rule.condition.min_qty > sum(pick(lines.qty)):
        return _never
    if not least:
        return effect

    def ceiling(amounts: Amounts, tested: Amounts, freight: int) -> int | None:
        return None if sum(pick(tested)) < least else effect(amounts, tested, freight)

    return ceiling


def _effect(rule: Rule, lines: Lines) -> Ceiling:
    effect = rule.effect
    if isinstance(effect, Gift):
        return lambda _amounts, _tested, _freight: 0
    if isinstance(effect, FreightPercent | FreightAmount | FreightFixed):
        return lambda _amounts, _tested, freight: freight_off(effect, freight) or None
    if isinstance(effect, Cheapest | Bundle):
        return _on_units(effect, lines, shy=rule.only_undiscounted)
    if isinstance(effect, UnitAmount | UnitPrice) or (isinstance(effect, Percent) and effect.per is not Per.GROUP):
        return _on_each_line(effect, lines)
    return _on_all_together(effect, lines)


def _on_all_together(effect: GroupEffect, lines: Lines) -> Ceiling:
    pick, ask = picker(lines.ats), asking(effect)
    qty, held = sum(pick(lines.qty)), sum(pick(lines.held))
    frees = effect if isinstance(effect, Tiers) and any(step.freight_free for step in effect.tiers) else None

    def ceiling(amounts: Amounts, tested: Amounts, freight: int) -> int | None:
        amount = sum(pick(amounts))
        counted = amount if tested is amounts else sum(pick(tested))
        most = min(ask(effect, amount, counted, qty), amount - held)
        if frees is not None and reached(frees, counted, qty).freight_free:
            most += freight
        return most or None

    return ceiling


def _on_each_line(effect: LineEffect, lines: Lines) -> Ceiling:
    pick, cap = picker(lines.ats), effect.cap if isinstance(effect, Percent) else None
    eased = replace(effect, cap=None) if isinstance(effect, Percent) else effect
    of_each = list(zip(pick(lines.qty), pick(lines.held), strict=True))

    @cache
    def most(amounts: Amounts) -> int | None:
        running = [Running(amount, qty, amount - held, 0) for amount, (qty, held) in zip(amounts, of_each, strict=True)]
        off = sum(benefit_of(eased, running).off)
        return (off if cap is None else min(off, cap)) or None

    return lambda amounts, _tested, _freight: most(pick(amounts))


def _on_units(effect: Cheapest | Bundle, lines: Lines, *, shy: bool) -> Ceiling:
    pick = picker(lines.ats)
    qty, held = pick(lines.qty), sum(pick(lines.held))
    eased = replace(effect, target=Target.DEAREST) if shy and isinstance(effect, Cheapest) else effect

    @cache
    def most(amounts: Amounts) -> int | None:
        off = _off_units(eased, dearest_first(zip(amounts, qty, strict=True)))
        return min(off, sum(amounts) - held) or None

    return lambda amounts, _tested, _freight: most(pick(amounts))


def _off_units(effect: Cheapest | Bundle, runs: Sequence[Run]) -> int:
    if isinstance(effect, Cheapest):
        return sum([share_of(price, effect.bp) * many for price, _, many in cheaper(effect, runs)])
    return sum([times * saved for times, saved, _ in bundles(effect, runs)])


def picker(ats: Sequence[int]) -> Picker:
    """Those at some places, as fast as can be."""
    if not ats:
        return lambda _amounts: ()
    if len(ats) == 1:
        only = ats[0]
        return lambda amounts: (amounts[only],)
    return itemgetter(*ats)
