"""Carts and offers as hypothesis draws them: small, so that thresholds, floors and ties are met often."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from offers.cart import Cart, CartLine
from offers.effect import (
    Amount,
    Bundle,
    By,
    Cheapest,
    Effect,
    Every,
    FreightAmount,
    FreightFixed,
    FreightPercent,
    Gift,
    Per,
    Percent,
    Step,
    Target,
    Tiers,
    UnitAmount,
    UnitPrice,
)
from offers.preset import OfferKind
from offers.rule import Condition, Rule
from offers.scope import EVERYTHING, Items, Scope

CATEGORIES, SKUS = ("kitchen", "garden"), ("a", "b", "c")

shares = st.sampled_from([0, 500, 1_000, 3_333, 5_000, 10_000])
amounts = st.integers(0, 400)
few = st.integers(1, 4)

lines = st.builds(
    CartLine,
    qty=few,
    price=st.integers(0, 250),
    sku=st.sampled_from(SKUS),
    category=st.sampled_from(CATEGORIES),
    floor=st.sampled_from([0, 0, 40, 120, 300]),
)
carts = st.builds(Cart, lines=st.lists(lines, min_size=1, max_size=4), freight=st.sampled_from([0, 50, 99]))


def ladder(rises: Sequence[tuple[int, int]], by: By) -> Tiers:
    """Of so much more to spend, and so much more off, at each step."""
    steps, at, amount = [], 0, 0
    for further, more in rises:
        at, amount = at + further, amount + more
        steps.append(Step(at=at, amount=amount))
    return Tiers(by=by, tiers=steps)


rises = st.lists(st.tuples(st.integers(1, 150), st.integers(0, 90)), min_size=1, max_size=3)
groups = st.tuples(few, few).map(sorted)
goods_effects: st.SearchStrategy[Effect] = st.one_of(
    st.builds(Percent, bp=shares, per=st.sampled_from(Per), cap=st.none() | amounts),
    st.builds(Amount, value=amounts),
    st.builds(UnitAmount, value=st.integers(0, 90)),
    st.builds(UnitPrice, value=st.integers(0, 200)),
    st.builds(ladder, rises, st.sampled_from(By)),
    st.builds(Every, step=st.integers(1, 200), amount=st.integers(0, 60), max_times=st.none() | few),
    st.builds(
        lambda pair, bp, target, most: Cheapest(n=pair[0], group=pair[1], bp=bp, target=target, most=most),
        groups,
        shares,
        st.sampled_from(Target),
        st.none() | few,
    ),
    st.builds(Bundle, qty=few, price=st.integers(0, 400), repeat=st.booleans()),
)
freight_effects: st.SearchStrategy[Effect] = st.one_of(
    st.builds(FreightPercent, bp=shares),
    st.builds(FreightAmount, value=st.integers(0, 120)),
    st.builds(FreightFixed, value=st.integers(0, 120)),
)
gifts: st.SearchStrategy[Effect] = st.builds(Gift, sku=st.just("mug"), qty=few, price=st.integers(0, 90))
effects = st.one_of(goods_effects, goods_effects, freight_effects, gifts)

scopes = st.one_of(
    st.just(EVERYTHING),
    st.builds(lambda names: Scope(named=Items(category=names)), st.frozensets(st.sampled_from(CATEGORIES), min_size=1)),
    st.builds(lambda names: Scope(excluded=Items(sku=names)), st.frozensets(st.sampled_from(SKUS))),
)
conditions = st.builds(
    Condition,
    min_amount=st.sampled_from([0, 0, 100, 300]),
    min_qty=st.sampled_from([0, 0, 2, 5]),
    scope=st.none() | scopes,
)


@st.composite
def offers(draw: st.DrawFn, most: int = 5, effects: st.SearchStrategy[Effect] = effects) -> list[Rule]:
    """With ids of their own, some of which exclude each other."""
    ids = [f"offer-{number}" for number in range(draw(st.integers(1, most)))]
    rule = st.builds(
        Rule,
        id=st.just(""),
        effect=effects,
        kind=st.sampled_from(OfferKind),
        priority=st.integers(0, 2),
        exclusive=st.sampled_from([False, False, False, True]),
        excludes=st.frozensets(st.sampled_from(ids), max_size=1),
        scope=scopes,
        condition=conditions,
        only_undiscounted=st.booleans(),
    )
    return [_named(draw(rule), rule_id) for rule_id in ids]


def _named(rule: Rule, rule_id: str) -> Rule:
    return replace(rule, id=rule_id, excludes=rule.excludes - {rule_id})
