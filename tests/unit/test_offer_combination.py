"""The best legal set against all sets, one after the other; what it rests on; and what is true of every choice."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offers.cart import Cart, CartLine
from offers.combination import Bounds, Choice, Mode, choose
from offers.effect import (
    Amount,
    Bundle,
    By,
    Cheapest,
    Gift,
    Per,
    Percent,
    Step,
    Target,
    Tiers,
    UnitPrice,
)
from offers.errors import ForcedExcluded, ForcedUnknown
from offers.preset import OfferKind
from offers.pricing import Price, Pricer, State, Threshold, price
from offers.reason import Reason, Why
from offers.rule import Condition, Rule, Stage, excluded
from offers.scope import Items, Scope
from tests.unit.offer_strategies import carts, effects, offers

NEVER = datetime.max.replace(tzinfo=UTC)
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
COUPON, ACTIVITY = OfferKind.COUPON, OfferKind.ACTIVITY


@st.composite
def ladders_with_shares_and_freight(draw: st.DrawFn) -> Tiers:
    steps, at, amount, share, free = [], 0, 0, 0, False
    for _ in range(draw(st.integers(1, 3))):
        at, amount = at + draw(st.integers(1, 150)), amount + draw(st.integers(0, 60))
        share, free = share + draw(st.integers(0, 2_500)), free or draw(st.booleans())
        steps.append(Step(at=at, amount=amount, bp=share, freight_free=free))
    return Tiers(by=draw(st.sampled_from(By)), tiers=steps)


@st.composite
def candidates(draw: st.DrawFn, most: int = 6) -> list[Rule]:
    """Of all kinds; some are like another in all but the id and the day on which they expire."""
    drawn = draw(offers(most, st.one_of(effects, effects, effects, ladders_with_shares_and_freight())))
    rules: list[Rule] = []
    for rule in drawn:
        like = draw(st.sampled_from([rule, rule, rule, *rules]))
        expires = draw(st.none() | st.integers(0, 2).map(lambda days: MONDAY + timedelta(days=days)))
        rules.append(replace(like, id=rule.id, excludes=like.excludes - {rule.id}, expires=expires))
    return rules


thresholds = st.sampled_from(Threshold)


@st.composite
def sequences(draw: st.DrawFn, rules: Sequence[Rule]) -> Sequence[str]:
    names = draw(st.sampled_from([[], [], [rule.id for rule in rules], [stage.name.lower() for stage in Stage]]))
    return draw(st.permutations(names))


def saved(found: Price) -> int:
    return found.discount + found.freight_discount


def ids(found: Price) -> list[str]:
    return sorted(step.rule_id for step in found.applied)


def legal_sets(rules: Sequence[Rule], most: int) -> Iterator[tuple[Rule, ...]]:
    for many in range(most + 1):
        for chosen in combinations(rules, many):
            if not any(excluded(one, other) for one, other in combinations(chosen, 2)):
                yield chosen


def rank(found: Price, chosen: Sequence[Rule], forced: Collection[str]) -> tuple[Any, ...]:
    """As offers.md has it; of sets with gifts the one that gives more."""
    coupons = [rule for rule in chosen if rule.kind is COUPON]
    return (
        -len({rule.id for rule in chosen}.intersection(forced)),
        -saved(found),
        len(coupons),
        -found.gift_value,
        -sum(gift.qty for gift in found.gifts),
        sorted(rule.expires or NEVER for rule in coupons),
        sorted(rule.id for rule in chosen),
    )


def by_looking_at_all(
    cart: Cart, rules: Sequence[Rule], *, forced: Collection[str] = (), most: int = 5, **how: Any
) -> Price:
    best: tuple[Any, Price] | None = None
    by_id = {rule.id for rule in rules}
    for chosen in legal_sets(rules, most):
        mine = {rule.id for rule in chosen}
        own = [name for name in how.get("sequence", ()) if name not in by_id or name in mine]
        found = price(cart, chosen, threshold=how.get("threshold", Threshold.RUNNING), sequence=own)
        if found.left_out:
            continue
        ranked = rank(found, chosen, forced)
        if best is None or ranked < best[0]:
            best = ranked, found
    assert best is not None
    return best[1]


def assert_legal(choice: Choice, rules: Sequence[Rule], most: int = 5) -> None:
    by_id = {rule.id: rule for rule in rules}
    chosen = [by_id[rule_id] for rule_id in ids(choice.price)]
    assert len(chosen) <= most
    assert not [(one.id, other.id) for one, other in combinations(chosen, 2) if excluded(one, other)]
    assert by_id.keys() - ids(choice.price) == choice.price.left_out.keys()


@settings(max_examples=150)
@given(cart=carts, rules=candidates(), threshold=thresholds, most=st.sampled_from([5, 5, 2, 1]), data=st.data())
def test_the_chosen_set_is_the_one_that_looking_at_all_of_them_finds(
    cart: Cart, rules: list[Rule], threshold: Threshold, most: int, data: st.DataObject
) -> None:
    how: dict[str, Any] = {"threshold": threshold, "sequence": data.draw(sequences(rules))}
    choice = choose(cart, rules, bounds=Bounds(most=most), **how)
    best = by_looking_at_all(cart, rules, most=most, **how)
    assert_legal(choice, rules, most)
    assert (saved(choice.price), ids(choice.price)) == (saved(best), ids(best))
    assert choice.price.lines == best.lines
    assert choice.optimal


@settings(max_examples=60)
@given(cart=carts, rules=candidates(), threshold=thresholds, data=st.data())
def test_the_same_with_coupons_that_the_customer_ticked(
    cart: Cart, rules: list[Rule], threshold: Threshold, data: st.DataObject
) -> None:
    forced = data.draw(st.sets(st.sampled_from([rule.id for rule in rules]), max_size=2))
    pairs = [pair for pair in combinations([rule for rule in rules if rule.id in forced], 2) if excluded(*pair)]
    if pairs:
        with pytest.raises(ForcedExcluded):
            choose(cart, rules, forced=forced, threshold=threshold)
        return
    choice = choose(cart, rules, forced=forced, threshold=threshold)
    best = by_looking_at_all(cart, rules, forced=forced, threshold=threshold)
    assert_legal(choice, rules)
    assert (saved(choice.price), ids(choice.price)) == (saved(best), ids(best))


@settings(max_examples=60)
@given(cart=carts, rules=candidates(), mode=st.sampled_from(Mode), data=st.data())
def test_the_answer_is_the_same_whatever_the_order_of_the_offers_and_the_side_of_an_exclusion(
    cart: Cart, rules: list[Rule], mode: Mode, data: st.DataObject
) -> None:
    choice = choose(cart, rules, mode=mode)
    shuffled = data.draw(st.permutations([mirrored(rule, rules) for rule in rules]))
    assert choose(cart, shuffled, mode=mode) == choice
    assert choose(cart, rules, mode=mode) == choice


def mirrored(rule: Rule, rules: Sequence[Rule]) -> Rule:
    """The pairs written down on the other side."""
    return replace(rule, excludes={other.id for other in rules if rule.id in other.excludes})


def states_after(pricer: Pricer, numbers: Sequence[int]) -> list[State]:
    states = [pricer.start()]
    for number in numbers:
        found = pricer.after(states[-1], number)
        if not isinstance(found, Reason):
            states.append(found)
    return states


def off(pricer: Pricer, state: State, number: int) -> int:
    found = pricer.after(state, number)
    return 0 if isinstance(found, Reason) else found.saved - state.saved


@settings(max_examples=150)
@given(cart=carts, rules=candidates(), threshold=thresholds, data=st.data())
def test_no_offer_takes_more_off_than_its_ceiling_whatever_took_effect_before(
    cart: Cart, rules: list[Rule], threshold: Threshold, data: st.DataObject
) -> None:
    sequence = data.draw(st.permutations([rule.id for rule in rules]))
    pricer = Pricer(cart, rules, threshold=threshold, sequence=sequence)
    *before, last = range(len(rules))
    states = states_after(
        pricer, data.draw(st.lists(st.sampled_from(before), unique=True).map(sorted)) if before else []
    )
    ceilings = [pricer.ceilings(state, [last]).get(last) for state in states]
    for at, ceiling in enumerate(ceilings):
        for later, then in zip(states[at:], ceilings[at:], strict=True):
            assert off(pricer, later, last) <= (ceiling or 0)
            assert then is None or (ceiling is not None and then <= ceiling)
            if ceiling is None:
                assert isinstance(pricer.after(later, last), Reason)


def is_eased(rule: Rule, cart: Cart) -> bool:
    """Whether its ceiling is more than it takes off: which lines or units it falls on depends on others."""
    capped = isinstance(rule.effect, Percent) and rule.effect.per is not Per.GROUP and rule.effect.cap is not None
    by_units = isinstance(rule.effect, Cheapest | Bundle)
    return capped or (by_units and (rule.only_undiscounted or any(line.floor for line in cart.lines)))


@given(cart=carts, rules=candidates(), threshold=thresholds)
def test_a_ceiling_is_what_is_taken_off_wherever_lines_and_units_do_not_change_places(
    cart: Cart, rules: list[Rule], threshold: Threshold
) -> None:
    pricer = Pricer(cart, rules, threshold=threshold)
    *before, last = range(len(rules))
    state = states_after(pricer, before)[-1]
    if not is_eased(pricer.rules[last], cart):
        assert pricer.ceilings(state, [last]).get(last, 0) == off(pricer, state, last)


#: Each takes more off once the other has been there: that what offers save alone bounds sets is not true of these.
SHY: dict[str, tuple[Cart, Rule]] = {
    "the cheapest unit was held by its floor until another got cheaper still": (
        Cart(lines=[CartLine(qty=1, price=100, sku="a"), CartLine(qty=1, price=99, floor=98)]),
        Rule(id="other", effect=Cheapest(group=2)),
    ),
    "the dearest unit was held by its floor until another became the dearest": (
        Cart(lines=[CartLine(qty=1, price=110, sku="a", floor=90), CartLine(qty=1, price=100)]),
        Rule(id="other", effect=Cheapest(group=2, target=Target.DEAREST)),
    ),
    "a bundle took in what its floor holds": (
        Cart(lines=[CartLine(qty=1, price=110, sku="a", floor=90), *[CartLine(qty=1, price=100)] * 2]),
        Rule(id="other", effect=Bundle(qty=2, price=0, repeat=False)),
    ),
    "half of a cap went to what its floor holds": (
        Cart(lines=[CartLine(qty=1, price=100, sku="a", floor=90), CartLine(qty=1, price=100)]),
        Rule(id="other", effect=Percent(bp=10_000, per=Per.LINE, cap=100), only_undiscounted=True),
    ),
    "the cheapest is discounted and drops out": (
        Cart(lines=[CartLine(qty=2, price=30, sku="a"), *[CartLine(qty=1, price=100)] * 2]),
        Rule(id="other", effect=Cheapest(group=2), only_undiscounted=True),
    ),
}


@pytest.mark.parametrize("why", SHY)
def test_an_offer_that_saves_more_in_company_is_found_in_it(why: str) -> None:
    cart, other = SHY[why]
    first = Rule(id="first", effect=UnitPrice(value=90 if cart.lines[0].price > 90 else 20), scope=Scope(named=SKU_A))
    if "cheaper still" in why:
        first = replace(first, effect=UnitPrice(value=50))
    alone, both = price(cart, [other]), price(cart, [first, other])
    assert both.applied[1].rule_id == "other"
    assert sum(both.applied[1].off) > saved(alone)
    pricer = Pricer(cart, [first, other])
    assert pricer.ceilings(pricer.start(), [1])[1] >= sum(both.applied[1].off)
    assert ids(choose(cart, [first, other]).price) == ["first", "other"]


SKU_A = Items(sku=frozenset({"a"}))


def test_an_offer_without_effect_by_itself_may_have_one_in_company() -> None:
    cart = Cart(lines=[CartLine(qty=1, price=110, sku="a", floor=90), CartLine(qty=1, price=100, floor=100)])
    held = Rule(id="held", effect=Cheapest(group=2))
    opens = Rule(id="opens", effect=UnitPrice(value=95), scope=Scope(named=SKU_A))
    assert price(cart, [held]).left_out["held"].why is Why.NO_EFFECT
    assert ids(choose(cart, [held, opens]).price) == ["held", "opens"]


TEN = Cart(lines=[CartLine(qty=1, price=10_000)], freight=500)


def off_ten(rule_id: str, value: int = 1_000, **of: Any) -> Rule:
    return Rule(id=rule_id, effect=Amount(value=value), **of)


def chosen(rules: Sequence[Rule], cart: Cart = TEN, **how: Any) -> list[str]:
    return ids(choose(cart, rules, **how).price)


def test_of_sets_that_save_the_same_the_one_with_fewer_coupons_is_chosen() -> None:
    two = [off_ten("a", 400, excludes={"one"}), off_ten("b", 600, excludes={"one"})]
    assert chosen([*two, off_ten("one", 1_000)]) == ["one"]
    assert chosen([off_ten("coupon", excludes={"z-activity"}), off_ten("z-activity", kind=ACTIVITY)]) == ["z-activity"]


def test_then_the_one_whose_coupons_expire_first() -> None:
    rivals = {"a", "b", "c"}
    late, soon, never = MONDAY + timedelta(days=9), MONDAY, None
    expiries = {"a": late, "b": soon, "c": never}
    rules = [off_ten(name, excludes=rivals - {name}, expires=expiry) for name, expiry in expiries.items()]
    assert chosen(rules) == ["b"]


def test_then_the_one_whose_ids_come_first() -> None:
    assert chosen([off_ten("b", excludes={"a"}), off_ten("a")]) == ["a"]


def test_a_gift_is_taken_where_it_costs_nothing_and_a_coupon_for_one_is_kept() -> None:
    gift = Gift(sku="mug", price=900)
    assert chosen([Rule(id="gift", effect=gift, kind=ACTIVITY), off_ten("a")]) == ["a", "gift"]
    assert chosen([Rule(id="gift", effect=gift, kind=COUPON), off_ten("a")]) == ["a"]
    assert chosen([Rule(id="gift", effect=gift, kind=COUPON), off_ten("a")], forced=["gift"]) == ["a", "gift"]


def ceiling(rules: Sequence[Rule], cart: Cart = TEN, threshold: Threshold = Threshold.RUNNING) -> int | None:
    """Of the last of them, behind the others."""
    pricer = Pricer(cart, rules, threshold=threshold, sequence=[rule.id for rule in rules])
    *before, last = range(len(rules))
    return pricer.ceilings(states_after(pricer, before)[-1], [last]).get(last)


def test_a_ceiling_holds_the_freight_that_a_ladder_frees() -> None:
    assert ceiling([Rule(id="a", effect=Tiers(by=By.AMOUNT, tiers=[Step(at=10_000, freight_free=True)]))]) == 500


def test_a_ceiling_goes_where_a_threshold_is_no_longer_reached() -> None:
    needs = off_ten("needs", 900, condition=Condition(min_amount=10_000))
    assert ceiling([needs]) == 900
    assert ceiling([off_ten("first", 1), needs]) is None
    assert ceiling([off_ten("first", 1), needs], threshold=Threshold.STAGE_ENTRY) == 900
    assert (
        ceiling([Rule(id="line", effect=Percent(bp=1, per=Per.LINE)), needs], threshold=Threshold.STAGE_ENTRY) is None
    )


def test_a_larger_set_can_save_less() -> None:
    early = Rule(id="early", effect=Percent(bp=500, per=Per.LINE))
    needs = off_ten("needs", 3_000, condition=Condition(min_amount=10_000))
    assert saved(price(TEN, [early, needs])) == 500
    assert chosen([early, needs]) == ["needs"]


def test_forced_coupons_take_effect_and_what_they_exclude_gives_way() -> None:
    better = off_ten("better", 5_000, kind=ACTIVITY)
    ticked = off_ten("ticked", 100, excludes={"better"})
    assert chosen([better, ticked]) == ["better"]
    for mode in Mode:
        choice = choose(TEN, [better, ticked], mode=mode, forced=["ticked"])
        assert ids(choice.price) == ["ticked"]
        assert choice.price.left_out["better"] == Reason(why=Why.EXCLUDED, others=["ticked"])


def test_a_forced_coupon_stands_even_where_others_would_undo_it() -> None:
    undoes = Rule(id="undoes", effect=Percent(bp=9_000, per=Per.LINE))
    ticked = off_ten("ticked", 100, condition=Condition(min_amount=10_000))
    for mode in Mode:
        assert chosen([undoes, ticked], mode=mode, forced=["ticked"]) == ["ticked"]


def test_a_forced_coupon_that_cannot_take_effect_stops_nothing() -> None:
    never = off_ten("never", condition=Condition(min_amount=99_999), exclusive=True)
    for mode in Mode:
        choice = choose(TEN, [never, off_ten("a")], mode=mode, forced=["never"])
        assert ids(choice.price) == ["a"]
        assert choice.price.left_out["never"] == Reason(why=Why.BELOW_AMOUNT, needed=99_999, found=10_000)


@pytest.mark.parametrize("mode", Mode)
def test_forced_coupons_that_exclude_each_other_are_refused_by_name(mode: Mode) -> None:
    rules = [off_ten("a"), off_ten("b", excludes={"a"}), off_ten("c")]
    with pytest.raises(ForcedExcluded, match="'a' and 'b' may not take effect together") as refused:
        choose(TEN, rules, mode=mode, forced=["c", "b", "a"])
    assert refused.value.pair == ("a", "b")
    with pytest.raises(ForcedUnknown, match="'nowhere'"):
        choose(TEN, rules, mode=mode, forced=["nowhere"])


def test_no_more_than_so_many_take_effect_in_modes_that_choose() -> None:
    rules = [off_ten(f"o{number}", 100) for number in range(7)]
    for mode, many in ((Mode.BEST, 5), (Mode.PRIORITY, 5), (Mode.ALL, 7)):
        assert len(chosen(rules, mode=mode)) == many
    assert chosen(rules, bounds=Bounds(most=2)) == ["o0", "o1"]
    by_priority = choose(TEN, rules, mode=Mode.PRIORITY)
    assert by_priority.price.left_out["o6"] == Reason(why=Why.TOO_MANY, needed=5)


def test_mode_all_applies_all_that_qualify_and_of_an_excluded_pair_the_first() -> None:
    rules = [off_ten("a", excludes={"b"}), off_ten("b", 9_000), off_ten("c", condition=Condition(min_amount=99_999))]
    choice = choose(TEN, rules, mode=Mode.ALL)
    assert ids(choice.price) == ["a"]
    assert choice.price.left_out["b"] == Reason(why=Why.EXCLUDED, others=["a"])
    assert choice.price.left_out["c"].why is Why.BELOW_AMOUNT


def test_mode_priority_takes_exclusive_offers_first_and_then_by_priority() -> None:
    low, high = off_ten("low", 5_000, priority=1), off_ten("high", 100, priority=9, excludes={"low"})
    assert chosen([low, high], mode=Mode.PRIORITY) == ["high"]
    assert chosen([low, high, off_ten("alone", 50, exclusive=True)], mode=Mode.PRIORITY) == ["alone"]
    choice = choose(TEN, [low, off_ten("alone", 50, exclusive=True)], mode=Mode.PRIORITY)
    assert choice.price.left_out["low"] == Reason(why=Why.EXCLUSIVE, others=["alone"])


@settings(max_examples=60)
@given(cart=carts, rules=candidates(), mode=st.sampled_from([Mode.ALL, Mode.PRIORITY]))
def test_modes_that_do_not_search_leave_out_only_what_stands_against_those_that_are_in(
    cart: Cart, rules: list[Rule], mode: Mode
) -> None:
    choice = choose(cart, rules, mode=mode)
    assert_legal(choice, rules, most=len(rules) if mode is Mode.ALL else 5)
    taken = [rule for rule in rules if rule.id in ids(choice.price)]
    assert price(cart, taken).lines == choice.price.lines
    for rule in rules:
        if rule not in taken and not any(excluded(rule, other) for other in taken):
            beside = price(cart, [*taken, rule])
            assert beside.left_out or choice.price.left_out[rule.id].why is Why.TOO_MANY


def greedy(cart: Cart, rules: Sequence[Rule], most: int) -> int:
    """Those first that save most by themselves, as long as each saves more."""
    taken: list[Rule] = []
    for rule in sorted(rules, key=lambda rule: (-saved(price(cart, [rule])), rule.order)):
        more = price(cart, [*taken, rule])
        legal = not any(excluded(rule, other) for other in taken) and len(taken) < most
        if legal and not more.left_out and saved(more) > saved(price(cart, taken)):
            taken.append(rule)
    return saved(price(cart, taken))


@settings(max_examples=60)
@given(cart=carts, rules=candidates(8), budget=st.integers(0, 40))
def test_with_a_small_budget_the_answer_is_legal_and_told_to_be_unproven_where_it_is_not_the_best(
    cart: Cart, rules: list[Rule], budget: int
) -> None:
    choice = choose(cart, rules, bounds=Bounds(budget=budget))
    assert_legal(choice, rules)
    best = saved(choose(cart, rules).price)
    assert saved(choice.price) == best or not choice.optimal
    if not any(is_eased(rule, cart) for rule in rules):
        assert saved(choice.price) >= greedy(cart, rules, 5)


@settings(max_examples=60)
@given(cart=carts, rules=candidates(8), many=st.integers(1, 4))
def test_with_more_offers_than_are_looked_at_the_answer_is_optimal_only_where_the_others_do_not_matter(
    cart: Cart, rules: list[Rule], many: int
) -> None:
    choice = choose(cart, rules, bounds=Bounds(candidates=many))
    assert_legal(choice, rules)
    assert saved(choice.price) == saved(choose(cart, rules).price) or not choice.optimal


def test_an_offer_that_was_cut_off_and_could_have_mattered_is_told() -> None:
    rules = [off_ten("a", 3_000), off_ten("b", 2_000), off_ten("c", 1_000)]
    assert not choose(TEN, rules, bounds=Bounds(candidates=2)).optimal
    assert choose(TEN, rules, bounds=Bounds(candidates=2, most=2)).optimal
    rivals = [replace(rule, excludes={"a", "b"} - {rule.id}) if rule.id == "c" else rule for rule in rules]
    assert choose(TEN, rivals, bounds=Bounds(candidates=2)).optimal


def test_a_search_that_finds_nothing_better_at_once_needs_no_budget_to_be_sure() -> None:
    assert choose(TEN, [], bounds=Bounds(budget=0)).optimal
    assert choose(TEN, [off_ten("a", excludes={"b"}), off_ten("b", 900)], bounds=Bounds(budget=3)).optimal
    tenths = [Rule(id=name, effect=Percent(bp=1_000)) for name in "abc"]
    assert not choose(TEN, tenths, bounds=Bounds(budget=0)).optimal
    assert choose(TEN, tenths).optimal


def test_a_hand_full_of_the_same_coupon_is_no_harder_than_one() -> None:
    rules = [off_ten(f"o{number:02}", 100, expires=MONDAY - timedelta(days=number)) for number in range(30)]
    choice = choose(TEN, rules, bounds=Bounds(budget=2_000))
    assert choice.optimal
    assert ids(choice.price) == ["o25", "o26", "o27", "o28", "o29"]


def test_three_that_the_best_one_excludes_are_better_than_it() -> None:
    best = off_ten("best", 5_000, excludes={"a", "b", "c"})
    assert chosen([best, *(off_ten(name, 2_000) for name in "abc")]) == ["a", "b", "c"]


def test_of_two_alike_the_one_counts_that_nothing_excludes() -> None:
    best = off_ten("best", 3_000, excludes={"one", "other"})
    one = off_ten("one", 2_000, excludes={"like-1"})
    alike = [off_ten(name, 100) for name in ("like-1", "like-2")]
    assert chosen([best, one, off_ten("other", 2_000), *alike]) == ["like-2", "one", "other"]


def test_a_pair_on_one_side_only_is_a_pair() -> None:
    assert chosen([off_ten("a", excludes={"b"}), off_ten("b", 2_000)]) == ["b"]
    assert chosen([off_ten("a"), off_ten("b", 2_000, excludes={"a"})]) == ["b"]


def test_why_an_offer_is_left_out_is_told() -> None:
    rules = [
        off_ten("best", 4_000, excludes={"rival"}),
        off_ten("rival", 3_000),
        off_ten("far", condition=Condition(min_qty=5)),
        off_ten("undone", 50, condition=Condition(min_amount=10_000)),
        Rule(id="wide", effect=Percent(bp=1_000, per=Per.LINE), scope=Scope(named=SKU_A)),
        Rule(id="line", effect=Percent(bp=1_000, per=Per.LINE)),
    ]
    left_out = choose(TEN, rules).price.left_out
    assert left_out == {
        "rival": Reason(why=Why.EXCLUDED, others=["best"]),
        "far": Reason(why=Why.BELOW_QTY, needed=5, found=1),
        "undone": Reason(why=Why.NOT_BEST),
        "wide": Reason(why=Why.OUT_OF_SCOPE),
    }
