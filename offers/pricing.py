"""What a cart costs under a set of offers, which has exactly one price, and what each offer took from which line.

Offers are applied in their order (`Rule.order`); a threshold is tested on what its scope costs at that moment. Goods
and freight are separate: no offer on one touches the other. Money is integer minor units.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from offers.allocation import split
from offers.benefit import Benefit, Running, benefit_of, freight_off, least
from offers.cart import Cart
from offers.ceiling import Amounts, Ceiling, Lines, Picker, ceiling_of, picker
from offers.effect import By, Effect, FreightAmount, FreightFixed, FreightPercent, Gift, GoodsEffect
from offers.errors import SequenceUnknown
from offers.reason import Reason, Why
from offers.rule import Condition, Rule, Stage


class Threshold(StrEnum):
    """On which amounts thresholds are tested."""

    RUNNING = "running"
    STAGE_ENTRY = "stage_entry"  # those with which the stage began


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What one offer did."""

    rule_id: str
    stage: Stage
    off: Sequence[int]  # of each line of the cart
    freight_off: int = 0
    gift: Gift | None = None
    withheld: int = 0  # what it would have taken off and nobody could take: floors, or more than the goods cost


class State(NamedTuple):
    """The cart after some offers. Small, for the search for the best set goes through very many."""

    amounts: tuple[int, ...]
    freight: int
    stage: Stage | None
    at_entry: tuple[int, ...]  # the amounts with which the stage began
    saved: int = 0  # over goods and freight
    withheld: int = 0
    gifts: int = 0  # pieces
    gift_value: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """`lines` is what each line costs in the end."""

    cart: Cart
    lines: Sequence[int]
    freight: int
    applied: Sequence[Applied]
    left_out: Mapping[str, Reason] = field(default_factory=dict)

    @property
    def list_total(self) -> int:
        return self.cart.list_total

    @property
    def goods(self) -> int:
        return sum(self.lines)

    @property
    def discount(self) -> int:
        """Off the goods; what came off the freight stands apart."""
        return self.list_total - self.goods

    @property
    def freight_discount(self) -> int:
        return self.cart.freight - self.freight

    @property
    def payable(self) -> int:
        return self.goods + self.freight

    @property
    def line_discounts(self) -> Sequence[int]:
        return [line.amount - left for line, left in zip(self.cart.lines, self.lines, strict=True)]

    @property
    def gifts(self) -> Sequence[Gift]:
        return [step.gift for step in self.applied if step.gift is not None]

    @property
    def gift_value(self) -> int:
        return sum(gift.qty * gift.price for gift in self.gifts)

    @property
    def withheld(self) -> int:
        return sum(step.withheld for step in self.applied)

    def unit_discounts(self, at: int) -> Sequence[int]:
        """What came off each unit of a line; they sum to what came off the line."""
        line = self.cart.lines[at]
        return split(line.amount - self.lines[at], [1] * line.qty)


class _Prepared(NamedTuple):
    rule: Rule
    stage: Stage
    lines: Lines
    ceiling: Ceiling
    needs: Picker  # what its condition counts, where that is not what is in its reach just then


class Pricer:
    """The offers in the order in which they apply to one cart."""

    def __init__(
        self,
        cart: Cart,
        rules: Sequence[Rule],
        *,
        threshold: Threshold = Threshold.RUNNING,
        sequence: Sequence[str] = (),
    ) -> None:
        """`sequence`: names of stages, or ids of offers, that come in this order; what it leaves out comes after them.

        Raises:
            SequenceUnknown: it names neither.
        """
        self.cart, self._threshold = cart, threshold
        self.rules = in_order(rules, sequence)
        self._list = tuple(line.amount for line in cart.lines)
        self._qty = tuple(line.qty for line in cart.lines)
        self._held = tuple(min(line.qty * line.floor, line.amount) for line in cart.lines)
        self._benefits: dict[tuple[object, ...], Benefit] = {}
        self._prepared = [self._prepare(rule) for rule in self.rules]

    @property
    def at_most(self) -> int:
        """What all offers of the world could take off together: all but what floors keep back."""
        return sum(self._list) - sum(self._held) + self.cart.freight

    def start(self) -> State:
        return State(self._list, self.cart.freight, None, self._list)

    def after(self, state: State, number: int) -> State | Reason:
        """The next offer, by its number in `rules`, or why it takes no effect."""
        prepared = self._prepared[number]
        if state.stage is not prepared.stage:
            state = _entering(prepared.stage, state)
        ats = self._in_reach(prepared, state)
        lacking = self._lacking(prepared, ats, state)
        return lacking or self._effect(prepared.rule.effect, ats, state)

    def ceilings(self, state: State, numbers: Iterable[int]) -> dict[int, int]:
        """What each of these takes off at most, now or after any others; without those that take no effect any more."""
        amounts, freight, stage, at_entry = state[:4]
        prepared, entered = self._prepared, self._threshold is Threshold.STAGE_ENTRY
        found = {}
        for number in numbers:
            its = prepared[number]
            most = its.ceiling(amounts, at_entry if entered and stage is its.stage else amounts, freight)
            if most is not None:
                found[number] = most
        return found

    def alike(self, one: int, other: int) -> bool:
        """Whether two of the same stage take the same off, whatever the cart costs by then."""
        first, second = self._prepared[one], self._prepared[other]
        return (
            first.stage is second.stage
            and first.rule.effect == second.rule.effect
            and first.lines == second.lines
            and first.rule.only_undiscounted == second.rule.only_undiscounted
            and _ask_alike(first.rule.condition, second.rule.condition)
        )

    def price(self, numbers: Iterable[int]) -> Price:
        """The cart under exactly these. What takes no effect is not applied, and its reason told."""
        state, applied, left_out = self.start(), [], {}
        for number in sorted(numbers):
            rule, found = self.rules[number], self.after(state, number)
            if isinstance(found, Reason):
                left_out[rule.id] = found
            else:
                applied.append(_applied(rule, state, found))
                state = found
        return Price(cart=self.cart, lines=state.amounts, freight=state.freight, applied=applied, left_out=left_out)

    def _prepare(self, rule: Rule) -> _Prepared:
        goods, of = self.cart.lines, rule.condition.scope
        covered = rule.scope.places(goods)
        ats = covered if all(self._qty) else tuple([at for at in covered if self._qty[at]])
        needs = ats if of is None else of.places(goods)
        lines = Lines(ats=ats, needs=needs, listed=self._list, qty=self._qty, held=self._held)
        return _Prepared(rule, rule.stage, lines, ceiling_of(rule, lines), picker(needs))

    def _in_reach(self, prepared: _Prepared, state: State) -> Sequence[int]:
        if not prepared.rule.only_undiscounted:
            return prepared.lines.ats
        return [at for at in prepared.lines.ats if state.amounts[at] == self._list[at]]

    def _lacking(self, prepared: _Prepared, ats: Sequence[int], state: State) -> Reason | None:
        condition = prepared.rule.condition
        if not ats:
            return Reason(why=Why.OUT_OF_SCOPE)
        counted = prepared.needs if ats is prepared.lines.ats or condition.scope is not None else picker(ats)
        if condition.min_amount:
            found = sum(counted(self._tested(state)))
            if found < condition.min_amount:
                return Reason(why=Why.BELOW_AMOUNT, needed=condition.min_amount, found=found)
        if condition.min_qty:
            found = sum(counted(self._qty)) - (self._apart(prepared) if condition.apart else 0)
            if found < condition.min_qty:
                return Reason(why=Why.BELOW_QTY, needed=condition.min_qty, found=found)
        return None

    def _apart(self, prepared: _Prepared) -> int:
        """So many pieces are not counted: what gets cheaper is of both scopes only where its own alone has no more."""
        lines = prepared.lines
        both = set(lines.ats) & set(lines.needs)
        own = sum(self._qty[at] for at in lines.ats if at not in both)
        return max(0, min(sum(self._qty[at] for at in both), prepared.rule.condition.apart - own))

    def _tested(self, state: State) -> Amounts:
        return state.at_entry if self._threshold is Threshold.STAGE_ENTRY else state.amounts

    def _effect(self, effect: Effect, ats: Sequence[int], state: State) -> State | Reason:
        if isinstance(effect, Gift):
            value = state.gift_value + effect.qty * effect.price
            return state._replace(gift_value=value, gifts=state.gifts + effect.qty)
        if isinstance(effect, FreightPercent | FreightAmount | FreightFixed):
            off = freight_off(effect, state.freight)
            return self._less(state, state.amounts, off, off, 0) if off else Reason(why=Why.NO_EFFECT)
        return self._goods_effect(effect, ats, state)

    def _goods_effect(self, effect: GoodsEffect, ats: Sequence[int], state: State) -> State | Reason:
        amounts = state.amounts
        benefit = self._benefit(effect, ats, amounts, self._tested(state))
        freight, off = state.freight if benefit.freight_free else 0, sum(benefit.off)
        if not (off or freight):
            return _short_of(effect, self._running(ats, amounts, self._tested(state))) or Reason(why=Why.NO_EFFECT)
        left = list(amounts)
        for at, amount in zip(ats, benefit.off, strict=True):
            left[at] -= amount
        return self._less(state, tuple(left), freight, off + freight, benefit.withheld)

    def _benefit(
        self, effect: GoodsEffect, ats: Sequence[int], amounts: Sequence[int], tested: Sequence[int]
    ) -> Benefit:
        """Worked out once: a search meets the same lines behind many sets that left them alone."""
        key = (id(effect), *ats, *[amounts[at] for at in ats])
        if tested is not amounts:
            key += tuple([tested[at] for at in ats])
        if key not in self._benefits:
            self._benefits[key] = benefit_of(effect, self._running(ats, amounts, tested))
        return self._benefits[key]

    def _running(self, ats: Sequence[int], amounts: Sequence[int], tested: Sequence[int]) -> Sequence[Running]:
        held, qty = self._held, self._qty
        return [Running(amounts[at], qty[at], amounts[at] - held[at], tested[at]) for at in ats]

    @staticmethod
    def _less(state: State, amounts: tuple[int, ...], freight_off: int, saved: int, withheld: int) -> State:
        _, freight, stage, at_entry, before, kept, gifts, gift_value = state
        return State(
            amounts, freight - freight_off, stage, at_entry, before + saved, kept + withheld, gifts, gift_value
        )


def _short_of(effect: GoodsEffect, lines: Sequence[Running]) -> Reason | None:
    """What is still missing of the first step of a ladder, or of a first group of pieces."""
    if (bound := least(effect)) is None:
        return None
    by, needed = bound
    found = sum(line.tested if by is By.AMOUNT else line.qty for line in lines)
    why = Why.BELOW_AMOUNT if by is By.AMOUNT else Why.BELOW_QTY
    return Reason(why=why, needed=needed, found=found) if found < needed else None


def _entering(stage: Stage, state: State) -> State:
    amounts, freight, _, _, saved, withheld, gifts, gift_value = state
    return State(amounts, freight, stage, amounts, saved, withheld, gifts, gift_value)


def _ask_alike(one: Condition, other: Condition) -> bool:
    """Whether two conditions that count the same lines ask for the same."""
    return (
        one.min_amount == other.min_amount
        and one.min_qty == other.min_qty
        and one.apart == other.apart
        and (one.scope is None) == (other.scope is None)
    )


def _applied(rule: Rule, before: State, after: State) -> Applied:
    return Applied(
        rule_id=rule.id,
        stage=rule.stage,
        off=[was - left for was, left in zip(before.amounts, after.amounts, strict=True)],
        freight_off=before.freight - after.freight,
        gift=rule.effect if isinstance(rule.effect, Gift) else None,
        withheld=after.withheld - before.withheld,
    )


def in_order(rules: Sequence[Rule], sequence: Sequence[str] = ()) -> Sequence[Rule]:
    """As they are applied; see `Pricer` for `sequence`."""
    if not sequence:
        return sorted(rules, key=lambda rule: rule.order)
    places = {name: place for place, name in enumerate(sequence)}
    stages, last = {stage.name.lower() for stage in Stage}, len(sequence)
    if places.keys() <= stages:
        return sorted(rules, key=lambda rule: (places.get(rule.stage.name.lower(), last), rule.order))
    if unknown := places.keys() - {rule.id for rule in rules}:
        raise SequenceUnknown(names=sorted(unknown))
    return sorted(rules, key=lambda rule: (places.get(rule.id, last), rule.order))


def price(
    cart: Cart, rules: Sequence[Rule], *, threshold: Threshold = Threshold.RUNNING, sequence: Sequence[str] = ()
) -> Price:
    """The cart under exactly these offers. What takes no effect is not applied, and its reason told."""
    return Pricer(cart, rules, threshold=threshold, sequence=sequence).price(range(len(rules)))
