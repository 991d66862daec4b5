"""A cart under a set of offers: in which order, on which amounts, and what may never happen."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offers.cart import Cart, CartLine
from offers.effect import (
    Amount,
    By,
    Every,
    FreightAmount,
    FreightEffect,
    FreightPercent,
    Gift,
    Per,
    Percent,
    Step,
    Tiers,
    UnitAmount,
    UnitPrice,
)
from offers.errors import SequenceUnknown
from offers.preset import OfferKind
from offers.pricing import Price, Threshold, in_order, price
from offers.reason import Reason, Why
from offers.rule import Condition, Rule, Stage, excluded
from offers.scope import EVERYTHING, Items, Scope, shared
from tests.unit.offer_strategies import carts, effects, offers

ACTIVITY = OfferKind.ACTIVITY


def cart(*prices: int, freight: int = 0) -> Cart:
    return Cart(lines=[CartLine(qty=1, price=one) for one in prices], freight=freight)


def order(found: Price) -> list[str]:
    return [step.rule_id for step in found.applied]


def from_amount(amount: int) -> Condition:
    return Condition(min_amount=amount)


def test_offers_apply_stage_by_stage_whatever_their_priority() -> None:
    rules = [
        Rule(id="gift", effect=Gift(sku="mug"), priority=9),
        Rule(id="freight", effect=FreightAmount(value=1), priority=8),
        Rule(id="coupon", effect=Amount(value=1), priority=7),
        Rule(id="activity", kind=ACTIVITY, effect=Amount(value=1), priority=6),
        Rule(id="item", effect=UnitAmount(value=1), priority=5),
        Rule(id="price", effect=UnitPrice(value=90)),
    ]
    assert order(price(cart(100, freight=9), rules)) == ["price", "item", "activity", "coupon", "freight", "gift"]


BEFORE: list[tuple[Rule, Rule]] = [
    # the higher priority
    (
        Rule(id="b", effect=Amount(value=1), priority=1),
        Rule(id="a", effect=Percent(bp=5_000), condition=from_amount(9)),
    ),
    # then the higher threshold
    (Rule(id="b", effect=Amount(value=1), condition=from_amount(9)), Rule(id="a", effect=Percent(bp=5_000))),
    # which is the last step of a ladder
    (
        Rule(id="b", effect=Tiers(by=By.AMOUNT, tiers=[Step(at=1, amount=1), Step(at=90, amount=2)])),
        Rule(id="a", effect=Amount(value=1), condition=from_amount(89)),
    ),
    # or a number of pieces
    (Rule(id="b", effect=Amount(value=1), condition=Condition(min_qty=1)), Rule(id="a", effect=Amount(value=1))),
    # then a share before an amount
    (Rule(id="b", effect=Percent(bp=5_000)), Rule(id="a", effect=Amount(value=1))),
    # then the id
    (Rule(id="a", effect=Amount(value=1)), Rule(id="b", effect=Amount(value=1))),
]


@pytest.mark.parametrize(("first", "second"), BEFORE)
def test_within_a_stage_one_comes_before_the_other(first: Rule, second: Rule) -> None:
    for rules in ([first, second], [second, first]):
        assert order(price(cart(100), rules)) == [first.id, second.id]


def test_stacked_shares_multiply() -> None:
    rules = [Rule(id=name, effect=Percent(bp=2_000)) for name in ("a", "b")]
    assert price(cart(10_000), rules).goods == 6_400


HALF = Rule(id="half", effect=Percent(bp=5_000), priority=1)
FROM_100 = Rule(id="from-100", effect=Amount(value=10), condition=from_amount(100))
EVERY_50 = Rule(id="every-50", effect=Every(step=50, amount=10))
LADDER = Rule(id="ladder", effect=Tiers(by=By.AMOUNT, tiers=[Step(at=50, amount=5), Step(at=100, amount=20)]))


def test_thresholds_are_tested_on_what_is_left() -> None:
    found = price(cart(150), [HALF, FROM_100, EVERY_50, LADDER])
    assert found.left_out == {"from-100": Reason(why=Why.BELOW_AMOUNT, needed=100, found=75)}
    assert found.goods == 150 - 75 - 5 - 10


def test_thresholds_may_be_tested_on_what_the_stage_began_with() -> None:
    found = price(cart(150), [HALF, FROM_100, EVERY_50, LADDER], threshold=Threshold.STAGE_ENTRY)
    assert found.left_out == {}
    assert found.goods == 150 - 75 - 10 - 30 - 20


def test_a_stage_begins_anew_where_the_one_before_it_ended() -> None:
    item = Rule(id="item", effect=UnitAmount(value=60))
    found = price(cart(150), [item, FROM_100], threshold=Threshold.STAGE_ENTRY)
    assert found.left_out == {"from-100": Reason(why=Why.BELOW_AMOUNT, needed=100, found=90)}


def test_a_sequence_of_stages_comes_before_the_order_of_the_stages() -> None:
    activity = Rule(id="activity", kind=ACTIVITY, effect=Percent(bp=5_000))
    coupon = Rule(id="coupon", effect=Amount(value=20))
    assert price(cart(100), [activity, coupon]).goods == 30
    assert price(cart(100), [activity, coupon], sequence=["coupon"]).goods == 40
    assert order(price(cart(100), [activity, coupon], sequence=["coupon", "activity"])) == ["coupon", "activity"]


def test_a_sequence_of_ids_comes_first_and_the_others_after_it_in_their_order() -> None:
    rules = [Rule(id=name, effect=Amount(value=1)) for name in "dcba"]
    assert [rule.id for rule in in_order(rules, ["c", "b"])] == ["c", "b", "a", "d"]


def test_a_sequence_of_neither_is_refused_by_name() -> None:
    with pytest.raises(SequenceUnknown, match="names coupn: it has to be all stages"):
        price(cart(100), [HALF], sequence=["half", "coupn"])


TEAPOT = CartLine(qty=1, price=100, sku="teapot", category="kitchen", brand="acme", shop="leeds")
LAMP = CartLine(qty=1, price=100, sku="lamp", category="light", brand="acme", shop="york")
NAMELESS = CartLine(qty=1, price=100)


def items(**lists: Sequence[str]) -> Items:
    return Items(**{name: frozenset(names) for name, names in lists.items()})


SCOPES: list[tuple[Scope, list[CartLine]]] = [
    (EVERYTHING, [TEAPOT, LAMP, NAMELESS]),
    (Scope(named=items(sku=["teapot"])), [TEAPOT]),
    (Scope(named=items(brand=["acme"])), [TEAPOT, LAMP]),
    # one of several lists is enough
    (Scope(named=items(sku=["lamp"], category=["kitchen"])), [TEAPOT, LAMP]),
    # but shops restrict
    (Scope(named=items(brand=["acme"], shop=["york"])), [LAMP]),
    (Scope(named=items(shop=["leeds", "york"])), [TEAPOT, LAMP]),
    # what is excluded is out, whatever names it
    (Scope(excluded=items(sku=["lamp"])), [TEAPOT, NAMELESS]),
    (Scope(named=items(brand=["acme"]), excluded=items(category=["light"])), [TEAPOT]),
    (Scope(named=items(brand=["acme"]), excluded=items(brand=["acme"], shop=["york"])), [TEAPOT]),
    (Scope(named=items(sku=["vase"])), []),
]


@pytest.mark.parametrize(("scope", "covered"), SCOPES)
def test_an_offer_takes_only_off_what_is_in_its_scope(scope: Scope, covered: list[CartLine]) -> None:
    lines = [TEAPOT, LAMP, NAMELESS]
    found = price(Cart(lines=lines), [Rule(id="it", effect=Percent(bp=5_000), scope=scope)])
    assert [line for line, off in zip(lines, found.line_discounts, strict=True) if off] == covered
    assert found.left_out == ({} if covered else {"it": Reason(why=Why.OUT_OF_SCOPE)})


def test_two_scopes_meet_in_a_product_that_is_there_and_not_in_their_words() -> None:
    kitchen, leeds = Scope(named=items(category=["kitchen"])), Scope(named=items(shop=["leeds"]))
    assert shared(kitchen, leeds, [LAMP, TEAPOT]) is TEAPOT
    assert shared(kitchen, leeds, [LAMP]) is None


def test_a_condition_counts_its_own_scope_where_it_has_one() -> None:
    kitchen, light = Scope(named=items(category=["kitchen"])), Scope(named=items(category=["light"]))
    rule = Rule(id="it", effect=Percent(bp=5_000), scope=kitchen, condition=Condition(min_qty=2, scope=light))
    assert price(Cart(lines=[TEAPOT, LAMP]), [rule]).left_out == {"it": Reason(why=Why.BELOW_QTY, needed=2, found=1)}
    assert list(price(Cart(lines=[TEAPOT, LAMP, LAMP]), [rule]).lines) == [50, 100, 100]


def test_a_condition_counts_the_offers_own_scope_otherwise() -> None:
    kitchen = Scope(named=items(category=["kitchen"]))
    rule = Rule(id="it", effect=Percent(bp=5_000), scope=kitchen, condition=from_amount(101))
    assert price(Cart(lines=[TEAPOT, LAMP]), [rule]).left_out == {
        "it": Reason(why=Why.BELOW_AMOUNT, needed=101, found=100)
    }


def test_an_offer_for_undiscounted_lines_neither_takes_nor_counts_others() -> None:
    kitchen = Scope(named=items(category=["kitchen"]))
    first = Rule(id="first", kind=ACTIVITY, effect=Amount(value=1), scope=kitchen)
    shy = Rule(id="shy", effect=Amount(value=50), only_undiscounted=True, condition=from_amount(100))
    assert list(price(Cart(lines=[TEAPOT, LAMP]), [first, shy]).lines) == [99, 50]
    assert price(Cart(lines=[TEAPOT]), [first, shy]).left_out == {"shy": Reason(why=Why.OUT_OF_SCOPE)}


def test_units_of_a_line_share_its_discount_to_the_last_minor_unit() -> None:
    found = price(Cart(lines=[CartLine(qty=3, price=100)]), [Rule(id="it", effect=Amount(value=20))])
    assert list(found.unit_discounts(0)) == [7, 7, 6]


def test_two_offers_exclude_each_other_from_either_side_and_an_exclusive_one_all() -> None:
    one, other = Rule(id="a", effect=Amount(value=1), excludes=frozenset({"b"})), Rule(id="b", effect=Amount(value=1))
    third = Rule(id="c", effect=Amount(value=1), exclusive=True)
    assert excluded(one, other)
    assert excluded(other, one)
    assert excluded(third, other)
    assert excluded(other, third)
    assert not excluded(other, Rule(id="d", effect=Amount(value=1)))


REASONS = [
    (Reason(why=Why.OUT_OF_SCOPE), "nothing in the cart is in its scope", "购物车中没有适用的商品"),
    (Reason(why=Why.BELOW_AMOUNT, needed=5, found=3), "3 is spent of the 5 that it needs", "需满 5, 目前 3"),
    (Reason(why=Why.BELOW_QTY, needed=5, found=3), "there are 3 pieces of the 5 that it needs", "需满 5 件, 目前 3 件"),
    (Reason(why=Why.NO_EFFECT), "it takes nothing off", "没有可减的金额"),
    (Reason(why=Why.EXCLUDED, others=["a", "b"]), "it may not take effect beside a, b", "与 a、b 互斥"),
    (Reason(why=Why.EXCLUSIVE, others=["a"]), "a takes effect alone", "a 不与其他优惠同享"),
    (Reason(why=Why.NOT_BEST), "the cart costs no less with it", "使用此优惠不会更划算"),
    (Reason(why=Why.TOO_MANY, needed=5), "no more than 5 offers take effect on one cart", "每单最多使用 5 个优惠"),
]


@pytest.mark.parametrize(("reason", "english", "chinese"), REASONS)
def test_a_reason_is_told_in_two_languages(reason: Reason, english: str, chinese: str) -> None:
    assert (reason.in_words(), reason.in_words("zh")) == (english, chinese)


def test_every_reason_has_its_words() -> None:
    assert {reason.why for reason, _, _ in REASONS} == set(Why)


@given(carts, offers())
def test_no_line_goes_under_its_floor_and_no_amount_under_nothing(cart: Cart, rules: list[Rule]) -> None:
    found = price(cart, rules)
    for line, left in zip(cart.lines, found.lines, strict=True):
        assert min(line.amount, line.qty * line.floor) <= left <= line.amount
    assert 0 <= found.freight <= cart.freight
    assert 0 <= found.payable <= cart.list_total + cart.freight
    assert found.withheld >= 0


@given(carts, offers())
def test_goods_offers_never_touch_freight_and_the_reverse(cart: Cart, rules: list[Rule]) -> None:
    effects = {rule.id: rule.effect for rule in rules}
    for step in price(cart, rules).applied:
        on_goods = not isinstance(effects[step.rule_id], FreightEffect | Gift)
        assert (step.freight_off == 0) == (not isinstance(effects[step.rule_id], FreightEffect))
        assert any(step.off) == on_goods


@given(carts, offers())
def test_every_step_adds_up_to_what_the_lines_and_the_freight_lost(cart: Cart, rules: list[Rule]) -> None:
    found = price(cart, rules)
    by_line = [sum(step.off[at] for step in found.applied) for at in range(len(cart.lines))]
    assert by_line == list(found.line_discounts)
    assert sum(step.freight_off for step in found.applied) == found.freight_discount
    assert sum(by_line) == found.discount
    assert (
        found.payable
        == found.goods + found.freight
        == cart.list_total + cart.freight - found.discount - (found.freight_discount)
    )


@given(carts, offers())
def test_unit_discounts_sum_to_the_lines_and_no_unit_goes_under_the_floor(cart: Cart, rules: list[Rule]) -> None:
    found = price(cart, rules)
    for at, line in enumerate(cart.lines):
        units = found.unit_discounts(at)
        assert len(units) == line.qty
        assert sum(units) == found.line_discounts[at]
        assert max(units) - min(units) <= 1
        assert max(units) <= max(0, line.price - line.floor)


@given(carts, offers(), st.randoms(use_true_random=False))
def test_the_price_is_the_same_whatever_the_order_of_the_rules(cart: Cart, rules: list[Rule], random: object) -> None:
    shuffled = list(rules)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # of hypothesis
    for threshold in Threshold:
        assert price(cart, shuffled, threshold=threshold) == price(cart, rules, threshold=threshold)


@given(carts, offers())
def test_every_offer_is_applied_with_an_effect_or_left_out_with_a_reason(cart: Cart, rules: list[Rule]) -> None:
    found = price(cart, rules)
    assert sorted([*order(found), *found.left_out]) == sorted(rule.id for rule in rules)
    assert all(any(step.off) or step.freight_off or step.gift for step in found.applied)
    stages = [step.stage for step in found.applied]
    assert stages == sorted(stages)


@given(carts, offers())
def test_offers_that_were_left_out_made_no_difference(cart: Cart, rules: list[Rule]) -> None:
    found = price(cart, rules)
    again = price(cart, [rule for rule in rules if rule.id not in found.left_out])
    assert again.left_out == {}
    assert (again.lines, again.freight, again.applied) == (found.lines, found.freight, found.applied)


@given(carts, effects, effects)
def test_a_share_of_freight_is_taken_after_all_goods_offers(cart: Cart, one: object, other: object) -> None:
    rules = [Rule(id="a", effect=one), Rule(id="b", effect=other)]  # type: ignore[arg-type] # they are effects
    free = Rule(id="free", effect=FreightPercent(bp=10_000), condition=from_amount(100))
    found = price(cart, [*rules, free])
    freight_before = price(cart, rules).freight
    assert (found.freight == 0) == (found.goods >= 100 or freight_before == 0 or cart.freight == 0)


def test_an_end_is_no_part_of_the_price() -> None:
    over = Rule(id="it", effect=Amount(value=1), expires=datetime(2027, 3, 8, tzinfo=UTC))
    assert price(cart(100), [over]).goods == 99


def test_a_share_per_line_is_of_the_stage_item_and_comes_before_activities() -> None:
    line = Rule(id="line", effect=Percent(bp=5_000, per=Per.LINE))
    activity = Rule(id="activity", kind=ACTIVITY, effect=Amount(value=10))
    assert [(step.rule_id, step.stage) for step in price(cart(100), [activity, line]).applied] == [
        ("line", Stage.ITEM),
        ("activity", Stage.ACTIVITY),
    ]
