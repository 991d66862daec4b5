"""What an offer of each preset does to a cart, and how it reads."""

from functools import partial
from typing import Any

import pytest

from offers.cart import Cart, CartLine
from offers.effect import Gift
from offers.errors import LadderFalls, StepOfNothing
from offers.preset import OfferKind, Preset
from offers.preset_rule import Common, Terms, in_words, rule_of, scope_in_words
from offers.presets import read_catalogue, standard_catalogue
from offers.pricing import price
from offers.reason import Why
from offers.rule import Rule, Stage
from offers.scope import EVERYTHING, Items, Scope
from themes import money


def preset_of(name: str, version: int = 1) -> Preset:
    found = standard_catalogue().of(name, version)
    assert found is not None
    return found


def rule(name: str, terms: Terms, **common: Any) -> Rule:
    made = rule_of(preset_of(name), terms, Common(**{"id": "x", "kind": OfferKind.ACTIVITY, **common}))
    assert made is not None
    return made


def of(**lists: str) -> Scope:
    return Scope(named=Items(**{name: frozenset(values.split()) for name, values in lists.items()}))


#: Three of A at 100.00, two of B at 40.00; freight 9.00. 380.00 in all.
CART = Cart(
    lines=[
        CartLine(qty=3, price=100_00, sku="A", category="tea"),
        CartLine(qty=2, price=40_00, sku="B", category="cups"),
    ],
    freight=9_00,
)
TEA, CUPS = of(category="tea"), of(category="cups")

#: preset, parameters, what comes off goods and freight, how it reads in English and in Chinese
DONE: list[tuple[str, dict[str, Any], int, int, str, str]] = [
    ("full_reduction", {"at": 100_00, "amount": 20_00, "every": False}, 20_00, 0,
     "20.00 GBP off from 100.00 GBP", "满 100.00 GBP 减 20.00 GBP"),
    ("full_reduction", {"at": 500_00, "amount": 20_00, "every": False}, 0, 0,
     "20.00 GBP off from 500.00 GBP", "满 500.00 GBP 减 20.00 GBP"),
    ("full_reduction", {"at": 100_00, "amount": 20_00, "every": True}, 60_00, 0,
     "20.00 GBP off for every 100.00 GBP spent", "每满 100.00 GBP 减 20.00 GBP"),
    ("full_reduction", {"at": 100_00, "amount": 20_00, "every": True, "max_times": 2}, 40_00, 0,
     "20.00 GBP off for every 100.00 GBP spent, at most 2 times", "每满 100.00 GBP 减 20.00 GBP，最多 2 次"),
    ("full_reduction",
     {"every": False, "tiers": ({"at": 100_00, "amount": 10_00}, {"at": 300_00, "amount": 50_00})}, 50_00, 0,
     "10.00 GBP off from 100.00 GBP; 50.00 GBP off from 300.00 GBP; the highest step reached counts",
     "满 100.00 GBP 减 10.00 GBP；满 300.00 GBP 减 50.00 GBP，取已达到的最高一档"),
    ("direct_reduction", {"amount": 5_00}, 5_00, 0, "5.00 GBP off", "立减 5.00 GBP"),
    ("discount", {"percent": 12_50, "per": "group"}, 47_50, 0, "12.5 % off", "打 8.75 折"),
    ("discount", {"percent": 50_00, "per": "line", "at": 100_00, "cap": 30_00}, 30_00, 0,
     "50 % off from 100.00 GBP, 30.00 GBP at most", "满 100.00 GBP 打 5 折，最多减 30.00 GBP"),
    ("freight_amount", {"amount": 4_00}, 0, 4_00, "4.00 GBP off the freight", "运费减 4.00 GBP"),
    ("freight_percent", {"percent": 50_00, "at": 10_00}, 0, 4_50,
     "50 % off the freight from 10.00 GBP", "满 10.00 GBP 运费减 50 %"),
    ("freight_fixed", {"price": 1_00}, 0, 8_00, "freight for 1.00 GBP", "运费 1.00 GBP"),
    ("free_freight", {}, 0, 9_00, "free freight", "包邮"),
    ("free_freight", {"at": 900_00}, 0, 0, "free freight from 900.00 GBP", "满 900.00 GBP 包邮"),
    ("coupon_code", {"codes": "shared", "amount": 5_00, "at": 50_00}, 5_00, 0,
     "with a code 5.00 GBP off from 50.00 GBP", "凭优惠码满 50.00 GBP 减 5.00 GBP"),
    ("coupon_code", {"codes": "per_person", "percent": 10_00, "cap": 20_00}, 20_00, 0,
     "with a code 10 % off, 20.00 GBP at most", "凭优惠码打 9 折，最多减 20.00 GBP"),
    ("newcomer", {"amount": 5_00}, 5_00, 0, "for newcomers 5.00 GBP off", "新人减 5.00 GBP"),
    ("newcomer", {"percent": 10_00}, 38_00, 0, "for newcomers 10 % off", "新人打 9 折"),
    # what is spent to get it is no condition of its use
    ("consumption_triggered", {"spent": 999_00, "amount": 5_00}, 5_00, 0,
     "after an order of 999.00 GBP: 5.00 GBP off a later one", "消费满 999.00 GBP 后，下单减 5.00 GBP"),
    ("consumption_triggered", {"spent": 9_00, "percent": 10_00, "at": 400_00}, 0, 0,
     "after an order of 9.00 GBP: 10 % off a later one from 400.00 GBP",
     "消费满 9.00 GBP 后，下单满 400.00 GBP 打 9 折"),
    ("points_exchange", {"points": 100, "amount": 5_00}, 5_00, 0,
     "for 100 points 5.00 GBP off", "100 积分兑换，减 5.00 GBP"),
    ("limited_time_price", {"price": 90_00}, 30_00, 0, "90.00 GBP each", "每件 90.00 GBP"),
    ("n_pieces", {"pieces": 5, "percent": 10_00}, 38_00, 0, "10 % off from 5 pieces", "满 5 件打 9 折"),
    ("n_pieces", {"pieces": 6, "percent": 10_00}, 0, 0, "10 % off from 6 pieces", "满 6 件打 9 折"),
    ("n_pieces", {"tiers": ({"pieces": 2, "percent": 10_00}, {"pieces": 4, "percent": 20_00})}, 76_00, 0,
     "10 % off from 2 pieces; 20 % off from 4 pieces; the highest step reached counts",
     "满 2 件打 9 折；满 4 件打 8 折，取已达到的最高一档"),
    # of five pieces two pairs: the two cheapest for half
    ("nth_piece", {"nth": 2, "percent": 50_00}, 40_00, 0,
     "of every 2 pieces one, the cheapest first, is 50 % off", "第 2 件打 5 折（从最便宜的算起）"),
    ("cheapest_free", {"group": 3, "free": 1}, 40_00, 0,
     "of every 3 pieces the cheapest 1 free", "每 3 件免最便宜的 1 件"),
    ("buy_a_get_b", {"buy": TEA, "buy_pieces": 3, "get": CUPS, "get_pieces": 1, "percent": 50_00}, 20_00, 0,
     "with 3 (category tea), 1 (category cups; the cheapest first) for 50 % less, once in a cart",
     "购买 3 件（类目 tea），换购 1 件（类目 cups，从最便宜的算起）打 5 折，每单一次"),
    ("bundle_price", {"pieces": 2, "price": 150_00, "repeat": True}, 50_00, 0,
     "any 2 pieces for 150.00 GBP", "任选 2 件 150.00 GBP"),
    ("bundle_price", {"pieces": 2, "price": 60_00, "repeat": False}, 140_00, 0,
     "any 2 pieces for 60.00 GBP, once in a cart", "任选 2 件 60.00 GBP，每单一次"),
    ("gift", {"products": ("7", "8"), "pieces": 2, "at": 100_00}, 0, 0,
     "2 × 7 or 8 as a gift from 100.00 GBP", "满 100.00 GBP 赠 7或8 × 2"),
]  # fmt: skip


@pytest.mark.parametrize("row", DONE)
def test_offer_of_a_preset_takes_off_what_its_words_say(row: tuple[str, dict[str, Any], int, int, str, str]) -> None:
    name, terms, off, freight_off, english, chinese = row
    paid = price(CART, [rule(name, terms)])
    assert (paid.discount, paid.freight_discount) == (off, freight_off)
    say = partial(in_words, preset_of(name), terms, money=partial(money.in_words, currency="GBP"))
    assert (say(), say(language="zh")) == (english, chinese)


def test_every_preset_and_each_of_its_alternatives_is_in_the_table_above() -> None:
    used = {(name, preset_of(name).alternative(terms).reads.en) for name, terms, *_ in DONE}
    there = {(name, one.reads.en) for name, preset in standard_catalogue().presets.items() for one in preset.rules}
    assert there - used == {("package", "all of {coupons} at once")}


def test_package_takes_nothing_off_by_itself_and_tells_what_it_holds() -> None:
    terms = {"coupons": ("a", "b")}
    assert rule_of(preset_of("package"), terms, Common(id="x", kind=OfferKind.COUPON)) is None
    assert in_words(preset_of("package"), terms, money=str) == "all of a, b at once"
    assert in_words(preset_of("package"), terms, money=str, language="zh") == "一次领取 a、b"


def test_rule_has_what_every_offer_has_and_the_scope_that_its_preset_puts_in_the_place_of_the_offers() -> None:
    made = rule(
        "discount", {"percent": 1, "per": "group"}, kind=OfferKind.COUPON, scope=TEA, priority=3, exclusive=True,
        excludes=frozenset({"y"}), only_undiscounted=True,
    )  # fmt: skip
    assert (made.id, made.scope, made.priority, made.exclusive) == ("x", TEA, 3, True)
    assert (made.excludes, made.only_undiscounted, made.stage) == ({"y"}, True, Stage.COUPON)
    bought = rule("buy_a_get_b", {"buy": TEA, "get": CUPS, "percent": 1, "buy_pieces": 1, "get_pieces": 1})
    assert (bought.scope, bought.condition.scope) == (CUPS, TEA)
    assert rule("free_freight", {}).scope == EVERYTHING


def test_offers_on_pieces_come_before_those_on_the_whole() -> None:
    assert rule("n_pieces", {"pieces": 2, "percent": 100}).stage is Stage.ITEM
    assert rule("discount", {"percent": 100, "per": "unit"}).stage is Stage.ITEM
    assert rule("discount", {"percent": 100, "per": "group"}).stage is Stage.ACTIVITY


#: pieces to buy, pieces to get, pieces of tea in the cart, pieces that get cheaper; both scopes are all tea
SAME_GOODS = [
    (1, 1, 1, 0),
    (1, 1, 2, 1),
    (1, 1, 5, 1),
    (2, 1, 2, 0),
    (2, 1, 3, 1),
    (1, 2, 2, 0),
    (1, 2, 3, 2),
]


@pytest.mark.parametrize(("buy", "get", "there", "cheaper"), SAME_GOODS)
def test_what_gets_cheaper_is_not_counted_as_bought(buy: int, get: int, there: int, cheaper: int) -> None:
    made = rule("buy_a_get_b", {"buy": TEA, "get": TEA, "buy_pieces": buy, "get_pieces": get, "percent": 10_000})
    cart = Cart(lines=[CartLine(qty=there, price=500, category="tea")])
    paid = price(cart, [made])
    assert paid.discount == cheaper * 500
    assert cheaper or paid.left_out["x"].why is Why.BELOW_QTY


def test_of_what_is_in_both_scopes_only_as_much_is_set_apart_as_the_other_cannot_give() -> None:
    either = of(category="tea cups")
    made = rule("buy_a_get_b", {"buy": TEA, "get": either, "buy_pieces": 1, "get_pieces": 1, "percent": 10_000})
    tea, cup = CartLine(qty=1, price=300, category="tea"), CartLine(qty=1, price=500, category="cups")
    assert price(Cart(lines=[tea]), [made]).discount == 0
    assert price(Cart(lines=[cup, tea]), [made]).discount == 300


def test_gift_is_worth_the_dearest_of_what_may_be_given() -> None:
    made = rule("gift", {"products": ("7", "8", "9"), "pieces": 2}, prices={"7": 100, "8": 250})
    assert made.effect == Gift(sku="7", qty=2, price=250, instead=("8", "9"))
    assert price(CART, [made]).gift_value == 500


def test_terms_that_no_offer_can_have_make_no_rule() -> None:
    with pytest.raises(LadderFalls):
        rule("full_reduction", {"tiers": ({"at": 100, "amount": 20}, {"at": 200, "amount": 10})})
    with pytest.raises(StepOfNothing):
        rule("full_reduction", {"at": 0, "amount": 20, "every": True})


def test_old_revision_prices_and_reads_as_it_did_whatever_a_raised_version_says() -> None:
    text = """
presets:
  - preset: direct_reduction
    version: 2
    title: {en: direct reduction, zh: 立减}
    kinds: [coupon]
    parameters: {amount: {type: money}}
    rules:
      - effect: {type: unit_amount, value: $amount}
        reads: {en: "{amount} off each piece", zh: "每件立减 {amount}"}
"""
    catalogue = standard_catalogue().beside(read_catalogue(text).versions.values())
    terms, common = {"amount": 100}, Common(id="x", kind=OfferKind.COUPON)
    assert catalogue.presets["direct_reduction"].version == 2
    told = []
    for version in (1, 2):
        preset = catalogue.of("direct_reduction", version)
        assert preset is not None
        made = rule_of(preset, terms, common)
        assert made is not None
        told.append((price(CART, [made]).discount, in_words(preset, terms, money=str)))
    assert told == [(100, "100 off"), (500, "100 off each piece")]


def test_scope_reads_with_what_where_and_what_is_taken_away() -> None:
    scope = Scope(
        named=Items(category=frozenset({"tea", "bags"}), brand=frozenset({"Lyons"}), shop=frozenset({"s1"})),
        excluded=Items(sku=frozenset({"7"})),
    )
    assert scope_in_words(scope) == "category bags, tea or brand Lyons, in shop s1, except product 7"
    assert scope_in_words(scope, "zh") == "类目 bags、tea或品牌 Lyons，限店铺 s1，不含商品 7"
    assert scope_in_words(EVERYTHING) == "everything"
    assert scope_in_words(of(shop="s1"), "zh") == "店铺 s1"
