"""What each effect takes off the lines of a cart: units, price and floor of each in a row."""

from collections.abc import Sequence
from dataclasses import fields

import pytest
from hypothesis import given

from offers.cart import Cart, CartLine
from offers.effect import (
    EFFECTS,
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
from offers.errors import LadderFalls
from offers.pricing import Price, price
from offers.quote_notation import PARTS
from offers.reason import Reason, Why
from offers.rule import Condition, Rule, Stage
from tests.unit.offer_strategies import carts, effects

Row = tuple[int, ...]
LADDER = Tiers(by=By.AMOUNT, tiers=[Step(at=100, amount=10), Step(at=300, amount=50)])
PIECES = Tiers(by=By.QTY, tiers=[Step(at=2, bp=1_000), Step(at=3, bp=2_000)])


def priced(effect: Effect, *rows: Row, freight: int = 0, **of_the_rule: object) -> Price:
    """Of each row: units, price, and a floor if it has one."""
    lines = [CartLine(qty=row[0], price=row[1], floor=(*row, 0)[2]) for row in rows]
    rule = Rule(id="it", effect=effect, **of_the_rule)  # type: ignore[arg-type] # whatever a rule has
    return price(Cart(lines=lines, freight=freight), [rule])


TAKES: list[tuple[Effect, Sequence[Row], list[int], int]] = [
    # a share of all together is rounded once, and parted
    (Percent(bp=1_000), [(1, 15), (1, 15)], [2, 1], 0),
    # of each line by itself
    (Percent(bp=1_000, per=Per.LINE), [(1, 15), (1, 15)], [2, 2], 0),
    # of each unit by itself: 1.4 each is 1
    (Percent(bp=1_000, per=Per.UNIT), [(3, 14)], [3], 0),
    (Percent(bp=1_000, per=Per.LINE), [(3, 14)], [4], 0),
    # a cap holds for all lines together, whatever is rounded
    (Percent(bp=5_000, cap=30), [(1, 100), (1, 50)], [20, 10], 0),
    (Percent(bp=5_000, per=Per.LINE, cap=30), [(1, 100), (1, 50)], [20, 10], 0),
    (Percent(bp=5_000, cap=80), [(1, 100), (1, 50)], [50, 25], 0),
    # what a floor stops the other line takes, where the offer is on all together
    (Percent(bp=5_000), [(1, 100, 90), (1, 100)], [10, 90], 0),
    # and nobody, where it is on each line
    (Percent(bp=5_000, per=Per.LINE), [(1, 100, 90), (1, 100)], [10, 50], 40),
    # an amount, once
    (Amount(value=30), [(2, 50), (1, 50)], [20, 10], 0),
    # no more than the goods cost: the rest is withheld
    (Amount(value=500), [(1, 100), (1, 20)], [100, 20], 380),
    # nor than floors allow
    (Amount(value=100), [(2, 50, 40), (1, 50, 50)], [20, 0], 80),
    # a floor above the price only means that nothing comes off
    (Amount(value=100), [(1, 50, 60), (1, 50)], [0, 50], 50),
    # off each unit, never below nothing
    (UnitAmount(value=30), [(2, 50), (1, 20)], [60, 20], 10),
    # each unit for so much; a cheaper one stays
    (UnitPrice(value=30), [(2, 50), (1, 20)], [40, 0], 0),
    (UnitPrice(value=30), [(2, 50, 45)], [10], 30),
    # the highest step of a ladder that is reached
    (LADDER, [(1, 100)], [10], 0),
    (LADDER, [(1, 299)], [10], 0),
    (LADDER, [(1, 200), (1, 100)], [33, 17], 0),
    (PIECES, [(2, 100)], [20], 0),
    (PIECES, [(2, 100), (1, 50)], [40, 10], 0),
    # so much for each full step
    (Every(step=100, amount=10), [(1, 299)], [20], 0),
    (Every(step=100, amount=10, max_times=1), [(1, 299)], [10], 0),
    # of four one is free: the cheapest of all
    (Cheapest(group=4), [(2, 30), (2, 50)], [30, 0], 0),
    # of seven still one; of eight two
    (Cheapest(group=4), [(3, 30), (4, 50)], [30, 0], 0),
    (Cheapest(group=4), [(4, 30), (4, 50)], [60, 0], 0),
    # the dearest of all; of the same price the earlier line's
    (Cheapest(group=2, target=Target.DEAREST), [(1, 30), (1, 50), (1, 50)], [0, 50, 0], 0),
    (Cheapest(group=2), [(1, 50), (1, 50)], [50, 0], 0),
    # from the dearest down the cheapest of each group: 90 80 | 70 60
    (Cheapest(group=2, target=Target.EACH_GROUP), [(1, 60), (1, 90), (1, 70), (1, 80)], [60, 0, 0, 80], 0),
    # two of three for half, of all of them three at most
    (Cheapest(group=3, n=2, bp=5_000), [(3, 100)], [100], 0),
    (Cheapest(group=3, n=2, bp=5_000, most=3), [(9, 100)], [150], 0),
    (Cheapest(group=2), [(2, 100, 70)], [60], 40),
    # the dearest units first, as often as it goes
    (Bundle(qty=2, price=100), [(2, 80), (2, 60)], [60, 20], 0),
    (Bundle(qty=2, price=100, repeat=False), [(2, 80), (2, 60)], [60, 0], 0),
    # a bundle that would be dearer is none
    (Bundle(qty=2, price=100), [(2, 80), (2, 40)], [60, 0], 0),
    # of very many pieces too
    (Cheapest(group=4), [(60_000, 30), (40_000, 50)], [750_000, 0], 0),
    (Bundle(qty=7, price=200), [(60_000, 30), (40_000, 50)], [30 + 8_570 * 10, 20 + 5_714 * 150], 0),
    # and one unit that is over stays as it is
    (Bundle(qty=2, price=100), [(3, 80)], [60], 0),
]


@pytest.mark.parametrize(("effect", "rows", "off", "withheld"), TAKES)
def test_an_effect_takes_so_much_off_each_line(
    effect: Effect, rows: Sequence[Row], off: list[int], withheld: int
) -> None:
    found = priced(effect, *rows)
    assert list(found.line_discounts) == off
    assert found.withheld == withheld


@pytest.mark.parametrize(
    ("effect", "freight", "left"),
    [
        (FreightPercent(bp=2_500), 99, 74),  # 24.75 off: 25
        (FreightPercent(bp=10_000), 99, 0),
        (FreightAmount(value=30), 99, 69),
        (FreightAmount(value=300), 99, 0),
        (FreightFixed(value=30), 99, 30),
        (FreightFixed(value=300), 99, 99),  # it is never made dearer
    ],
)
def test_an_effect_on_freight_takes_nothing_off_the_goods(effect: Effect, freight: int, left: int) -> None:
    found = priced(effect, (2, 100), freight=freight)
    assert (found.goods, found.freight, found.payable) == (200, left, 200 + left)


def test_a_step_of_a_ladder_may_free_the_freight() -> None:
    free = Tiers(by=By.AMOUNT, tiers=[Step(at=100, amount=10), Step(at=200, amount=10, freight_free=True)])
    assert priced(free, (1, 100), freight=50).payable == 90 + 50
    assert priced(free, (1, 200), freight=50).payable == 190


def test_a_ladder_may_begin_with_free_freight_and_go_on_to_money() -> None:
    free = Tiers(by=By.AMOUNT, tiers=[Step(at=100, freight_free=True), Step(at=200, amount=10, freight_free=True)])
    assert priced(free, (1, 100), freight=50).payable == 100
    assert priced(free, (1, 200), freight=50).payable == 190


def test_a_gift_costs_nothing_and_its_value_stands_apart() -> None:
    found = priced(Gift(sku="mug", qty=2, price=900), (1, 100), freight=50)
    assert (found.payable, found.discount, found.gift_value) == (150, 0, 1_800)
    assert [(gift.sku, gift.qty) for gift in found.gifts] == [("mug", 2)]


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        (Step(at=100, amount=20), Step(at=200, amount=10)),  # gives less
        (Step(at=100, bp=2_000), Step(at=200, bp=1_000)),
        (Step(at=100, amount=20), Step(at=200, bp=1_000)),  # nobody knows which is more
        (Step(at=100, amount=20, freight_free=True), Step(at=200, amount=30)),  # takes the freight back
        (Step(at=200, amount=20), Step(at=100, amount=30)),  # stands before it
        (Step(at=100, amount=20), Step(at=100, amount=30)),
    ],
)
def test_a_ladder_that_falls_is_refused(lower: Step, higher: Step) -> None:
    with pytest.raises(LadderFalls, match=f"step at {higher.at} .* one at {lower.at}"):
        Tiers(by=By.AMOUNT, tiers=[lower, higher])


MISSING = [
    (LADDER, [(1, 99)], Reason(why=Why.BELOW_AMOUNT, needed=100, found=99)),
    (PIECES, [(1, 99)], Reason(why=Why.BELOW_QTY, needed=2, found=1)),
    (Every(step=100, amount=10), [(1, 99)], Reason(why=Why.BELOW_AMOUNT, needed=100, found=99)),
    (Cheapest(group=4), [(3, 50)], Reason(why=Why.BELOW_QTY, needed=4, found=3)),
    (Bundle(qty=4, price=9), [(3, 50)], Reason(why=Why.BELOW_QTY, needed=4, found=3)),
    # nothing is missing: it just takes nothing off
    (Bundle(qty=2, price=100), [(2, 50)], Reason(why=Why.NO_EFFECT)),
    (Percent(bp=100), [(1, 49)], Reason(why=Why.NO_EFFECT)),
    (UnitPrice(value=50), [(1, 50)], Reason(why=Why.NO_EFFECT)),
    (Amount(value=9), [(1, 50, 50)], Reason(why=Why.NO_EFFECT)),
    (FreightAmount(value=9), [(1, 50)], Reason(why=Why.NO_EFFECT)),
]


@pytest.mark.parametrize(("effect", "rows", "reason"), MISSING)
def test_an_effect_without_effect_is_not_applied_and_tells_what_is_missing(
    effect: Effect, rows: Sequence[Row], reason: Reason
) -> None:
    found = priced(effect, *rows)
    assert found.applied == []
    assert found.left_out == {"it": reason}


@pytest.mark.parametrize(
    ("effect", "stage"),
    [
        (UnitPrice(value=1), Stage.PRICE),
        (UnitAmount(value=1), Stage.ITEM),
        (Percent(bp=1, per=Per.LINE), Stage.ITEM),
        (Percent(bp=1, per=Per.UNIT), Stage.ITEM),
        (Cheapest(group=2), Stage.ITEM),
        (Bundle(qty=2, price=1), Stage.ITEM),
        (Percent(bp=1), Stage.COUPON),
        (Amount(value=1), Stage.COUPON),
        (LADDER, Stage.COUPON),
        (Every(step=1, amount=1), Stage.COUPON),
        (FreightFixed(value=1), Stage.FREIGHT),
        (Gift(sku="mug"), Stage.GIFT),
    ],
)
def test_the_stage_follows_from_the_effect(effect: Effect, stage: Stage) -> None:
    assert Rule(id="it", effect=effect).stage is stage


def test_every_effect_can_be_written_in_a_quote_document_with_all_that_it_knows() -> None:
    written = {name: part.model_fields.keys() - {"type"} for name, part in PARTS.items()}
    assert written == {name: {field.name for field in fields(effect)} for name, effect in EFFECTS.items()}


@given(carts, effects)
def test_an_effect_alone_takes_no_line_under_its_floor_and_what_it_takes_is_whole(cart: Cart, effect: Effect) -> None:
    found = price(cart, [Rule(id="it", effect=effect, condition=Condition())])
    for line, left in zip(cart.lines, found.lines, strict=True):
        assert min(line.amount, line.qty * line.floor) <= left <= line.amount
    assert found.withheld >= 0
    assert found.discount + found.freight_discount + found.payable == cart.list_total + cart.freight
