"""What is paid back: what each unit cost, or what the rest would not have cost."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offers.cart import Cart, CartLine
from offers.effect import Amount, FreightPercent, Percent
from offers.errors import LineUnknown, ReturnTooLarge
from offers.pricing import Price, Threshold, price
from offers.refund import Refund, prorated, repriced
from offers.rule import Condition, Rule
from tests.unit.offer_strategies import carts, offers

TWENTY = Rule(id="twenty", effect=Amount(value=20))
TENTH_FROM_300 = Rule(id="tenth", effect=Percent(bp=1_000), condition=Condition(min_amount=300))


def bought(qty: int, each: int, *rules: Rule, freight: int = 0) -> Price:
    return price(Cart(lines=[CartLine(qty=qty, price=each)], freight=freight), rules)


def test_units_come_back_from_the_end_of_the_line_at_what_they_cost() -> None:
    paid = bought(3, 100, TWENTY)  # 93, 93, 94
    assert prorated(paid, {0: 1}) == Refund(goods=94)
    assert prorated(paid, {0: 1}, already={0: 1}) == Refund(goods=93)
    assert prorated(paid, {0: 2}) == Refund(goods=187)
    assert prorated(paid, {0: 3}) == Refund(goods=280)


def test_freight_comes_back_with_the_last_unit_of_all() -> None:
    lines = [CartLine(qty=1, price=100), CartLine(qty=2, price=50)]
    half = Rule(id="half", effect=FreightPercent(bp=5_000))
    paid = price(Cart(lines=lines, freight=30), [half])
    assert prorated(paid, {0: 1, 1: 1}) == Refund(goods=150, freight=0)
    assert prorated(paid, {1: 1}, already={0: 1, 1: 1}) == Refund(goods=50, freight=15)
    assert repriced(paid, [half], {0: 1, 1: 2}) == Refund(goods=200, freight=15)
    assert repriced(paid, [half], {0: 1, 1: 2}).total == paid.payable


def test_what_falls_under_the_threshold_is_paid_for_without_the_offer() -> None:
    paid = bought(6, 50, TENTH_FROM_300)
    assert repriced(paid, [TENTH_FROM_300], {0: 5}).total == 270 - 50
    assert prorated(paid, {0: 5}).total == 225


def test_a_return_that_makes_the_rest_dearer_than_all_was_is_paid_nothing() -> None:
    deep = Rule(id="deep", effect=Amount(value=150), condition=Condition(min_amount=300))
    assert repriced(bought(3, 100, deep), [deep], {0: 1}) == Refund(goods=0)


def test_a_later_return_is_priced_with_what_was_paid_back_before() -> None:
    paid = bought(6, 50, TENTH_FROM_300)
    first = repriced(paid, [TENTH_FROM_300], {0: 1})
    second = repriced(paid, [TENTH_FROM_300], {0: 5}, already={0: 1}, refunded=first.goods)
    assert (first.goods, second.goods) == (20, 250)


def test_what_was_not_applied_when_it_was_paid_does_not_apply_to_the_rest() -> None:
    rules = [Rule(id="a", effect=Amount(value=10), condition=Condition(min_amount=400)), TWENTY]
    paid = bought(3, 100, *rules[1:])
    assert repriced(paid, rules, {0: 1}).goods == 280 - 180
    unused = Rule(id="z", effect=Amount(value=50))
    assert repriced(paid, [TWENTY, unused], {0: 1}).goods == 280 - 180


def test_the_rest_is_priced_as_the_whole_was() -> None:
    tenth = Rule(id="z-tenth", effect=Percent(bp=1_000))
    rules = [Rule(id="a-from-200", effect=Amount(value=10), condition=Condition(min_amount=200)), tenth]
    cart = Cart(lines=[CartLine(qty=3, price=100)])
    sequence = ["z-tenth", "a-from-200"]
    paid = price(cart, rules, sequence=sequence, threshold=Threshold.STAGE_ENTRY)
    assert paid.goods == 260
    assert repriced(paid, rules, {0: 1}, sequence=sequence, threshold=Threshold.STAGE_ENTRY).goods == 260 - 170
    assert repriced(paid, rules, {0: 1}, sequence=sequence).goods == 260 - 180
    assert repriced(paid, rules, {0: 1}).goods == 260 - 171


def test_a_line_that_is_not_there_is_named() -> None:
    with pytest.raises(LineUnknown, match=r"no line 1 .* the lines 0 to 0"):
        prorated(bought(1, 100), {1: 1})
    with pytest.raises(LineUnknown, match="no line -1"):
        repriced(bought(1, 100), [], {-1: 1})


@pytest.mark.parametrize(("returned", "already", "left"), [(4, {}, 3), (2, {0: 2}, 1), (0, {}, 3), (-1, {}, 3)])
def test_more_units_than_are_left_or_none_are_refused(returned: int, already: dict[int, int], left: int) -> None:
    told = rf"{returned} units of line 0 .* the {left} left"
    with pytest.raises(ReturnTooLarge, match=told):
        prorated(bought(3, 100), {0: returned}, already=already)
    with pytest.raises(ReturnTooLarge, match=told):
        repriced(bought(3, 100), [], {0: returned}, already=already)


@given(carts, offers(), st.data())
def test_successive_refunds_sum_to_what_was_paid(cart: Cart, rules: list[Rule], data: st.DataObject) -> None:
    paid = price(cart, rules)
    units = data.draw(st.permutations([at for at, line in enumerate(cart.lines) for _ in range(line.qty)]))
    already: Counter[int] = Counter()
    goods = freight = 0
    while units:
        many = data.draw(st.integers(1, len(units)))
        returned, units = Counter(units[:many]), units[many:]
        refund = prorated(paid, returned, already=already)
        assert refund.goods >= 0
        assert refund.freight == (0 if units else paid.freight)
        already += returned
        goods, freight = goods + refund.goods, freight + refund.freight
    assert (goods, freight) == (paid.goods, paid.freight)


@given(carts, offers(), st.data())
def test_a_repriced_refund_lies_between_nothing_and_what_was_paid(
    cart: Cart, rules: list[Rule], data: st.DataObject
) -> None:
    paid = price(cart, rules)
    at = data.draw(st.integers(0, len(cart.lines) - 1))
    returned = {at: data.draw(st.integers(1, cart.lines[at].qty))}
    assert 0 <= repriced(paid, rules, returned).goods <= paid.goods
    everything = {at: line.qty for at, line in enumerate(cart.lines)}
    assert repriced(paid, rules, everything) == prorated(paid, everything)
