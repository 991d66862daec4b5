"""Orders take their offers, give them back and are refunded; every count and amount adds up."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event

from offers.errors import LineUnknown, OfferError, ReturnTooLarge
from offers.refund import RefundPolicy
from offers.refusals import (
    AlreadyCancelled,
    AlreadyRefunded,
    CustomerUnknown,
    ExcludedTogether,
    OfferUnusable,
    OrderTaken,
    OrderUnknown,
    PriceChanged,
    UseRefusal,
)
from offers.service.redemptions import Redeem, redemption_of
from offers.states import HeldState, RedemptionState
from tests.integration import redemption_world
from tests.integration.offers_world import ENDS_AT, MIDNIGHT, NOON, SHARED, STARTS_AT, THEME
from tests.integration.redemption_world import BOTH, LAMP, MUGS, Shop, cart, named, shop, two_themes
from tests.integration.scene import Scene
from themes.theme import RedeemIn

LATER = timedelta(minutes=15)


stocked, opened = redemption_world.stocked, redemption_world.opened


@pytest.fixture
def market(opened: Shop) -> Iterator[Shop]:
    """Whatever a test did, the books have to balance afterwards."""
    yield opened
    assert opened.unbalanced() == []


def refused(market: Shop, asked: Redeem, **more: object) -> OfferError:
    with pytest.raises(OfferError) as raised:
        market.redeem(asked, **more)  # type: ignore[arg-type]
    return raised.value


def why(market: Shop, asked: Redeem, **more: object) -> UseRefusal:
    found = refused(market, asked, **more)
    assert isinstance(found, OfferUnusable)
    return found.why


def test_an_order_takes_what_the_quote_promised_and_writes_it_down(market: Shop) -> None:
    held = market.world.held_by("c01", "freight")
    bought = market.buy("o-1", BOTH)
    assert bought.state is RedemptionState.REDEEMED
    assert (bought.list_total, bought.freight_list, bought.payable) == (11_000, 800, 8_000)
    assert (bought.discount, bought.freight_discount, bought.new_customer) == (3_000, 800, False)
    assert {use.offer: (use.off, use.freight_off, use.held) for use in bought.uses} == {
        named("freight"): (0, 800, held.id),
        named("lamps"): (1_000, 0, None),
        named("mugs"): (2_000, 0, None),
    }
    assert list(bought.lines) == [4_000, 4_000]
    assert market.state(held.id) is HeldState.USED
    counted = {name: market.world.offer(name) for name in ("mugs", "lamps", "freight")}
    assert {name: (one.used, one.spent_minor) for name, one in counted.items()} == {
        "mugs": (1, 2_000),
        "lamps": (1, 1_000),
        "freight": (1, 800),
    }
    with market.scene.begin() as session:
        assert redemption_of(session, product_line_id=market.line_id, order="o-1") == bought
    rows = market.world.rows("SELECT cost_minor, cart -> 'lines' -> 0 ->> 'category', rules FROM redemptions")
    assert rows[0][:2] == (6 * 400 + 3_000, "mugs")
    assert {(rule["theme"], rule["offer"]) for rule in rows[0][2]} == {
        (THEME, "freight"),
        (THEME, "lamps"),
        (THEME, "mugs"),
    }


def test_an_order_without_offers_is_an_order_too(market: Shop) -> None:
    tea = cart(("tea", 1, 300))
    bought = market.buy("o-1", tea, "c18")
    assert (bought.payable, list(bought.uses), bought.new_customer) == (1_100, [], True)
    assert market.buy("o-2", tea, "c18").new_customer is False


def test_a_guest_uses_activities_that_count_nobody(market: Shop) -> None:
    bought = market.buy("o-1", BOTH, None)
    assert [use.offer for use in bought.uses] == [named("mugs")]
    assert (bought.customer, bought.new_customer) == (None, False)
    asked = Redeem(order="o-2", channel=RedeemIn.APP, cart=LAMP, payable=4_800, activities=(named("lamps"),))
    assert why(market, asked) is UseRefusal.NO_CUSTOMER


def test_an_order_redeems_once(market: Shop) -> None:
    held = market.world.held_by("c01", "plain")
    asked = market.order("o-1", MUGS, market.quote(MUGS))
    market.redeem(asked)
    for again in (asked, replace(asked, coupons=(), payable=4_800)):
        assert isinstance(refused(market, again), OrderTaken)
    market.cancel("o-1")
    assert isinstance(refused(market, asked), OrderTaken)
    assert market.state(held.id) is HeldState.RETURNED


def test_another_price_than_the_customer_was_shown_is_refused_with_both(market: Shop) -> None:
    asked = market.order("o-1", MUGS, market.quote(MUGS))
    found = refused(market, replace(asked, payable=4_799))
    assert isinstance(found, PriceChanged)
    assert (found.shown, found.found) == (4_799, 4_800)


def test_a_floor_that_was_raised_since_the_quote_changes_the_price(market: Shop) -> None:
    asked = market.order("o-1", LAMP, market.quote(LAMP))
    market.world.change("UPDATE products SET floor_minor = 4500 WHERE sku = 'lamp'")
    found = refused(market, asked)
    assert isinstance(found, PriceChanged)
    assert (found.shown, found.found) == (4_800, 5_300)


def test_a_pair_that_was_stored_after_the_quote_is_refused_by_name(scene: Scene) -> None:
    market, other = two_themes(scene)
    asked = market.order("o-1", LAMP, market.quote(LAMP))
    assert set(asked.activities) == {named("lamps"), "other/tenth-off"}
    first, second = sorted([(market.world.theme_id, "lamps"), (other, "tenth-off")])
    market.world.change(
        "INSERT INTO exclusions VALUES (:a, :one, :b, :two, true, false)",
        a=first[0],
        one=first[1],
        b=second[0],
        two=second[1],
    )
    found = refused(market, asked)
    assert isinstance(found, ExcludedTogether)
    assert found.pair == ("other/tenth-off", named("lamps"))
    again = market.quote(LAMP)
    assert again.choice.price.payable > asked.payable
    assert market.buy("o-1", LAMP).payable == again.choice.price.payable
    assert market.unbalanced() == []


def test_offers_that_exclude_each_other_are_refused_by_name(market: Shop) -> None:
    held = market.world.held_by("c01", "hot")
    asked = Redeem(
        order="o-1",
        channel=RedeemIn.APP,
        cart=BOTH,
        payable=9_800,
        customer="c01",
        coupons=(held.id,),
        activities=(named("lamps"),),
    )
    found = refused(market, asked)
    assert isinstance(found, ExcludedTogether)
    assert found.pair == (named("hot"), named("lamps"))


def test_an_offer_without_effect_is_refused_with_what_is_missing(market: Shop) -> None:
    held = market.world.held_by("c01", "hot")
    tea = cart(("tea", 2, 300))
    asked = Redeem(order="o-1", channel=RedeemIn.APP, cart=tea, payable=1_400, customer="c01", coupons=(held.id,))
    found = refused(market, asked)
    assert isinstance(found, OfferUnusable)
    assert (found.why, found.reason and (found.reason.needed, found.reason.found)) == (
        UseRefusal.NO_EFFECT,
        (5_000, 600),
    )
    assert market.state(held.id) is HeldState.ISSUED


def test_a_coupon_that_cannot_be_used_is_refused_with_the_reason(market: Shop) -> None:
    held = market.world.held_by("c01", "plain")
    of_another = market.world.held_by("c02", "plain")
    asked = Redeem(order="o-1", channel=RedeemIn.APP, cart=LAMP, payable=5_300, customer="c01", coupons=(held.id,))
    for coupon in (of_another.id, 10_000):
        assert why(market, replace(asked, coupons=(coupon,))) is UseRefusal.UNKNOWN
    assert why(market, replace(asked, coupons=(held.id, held.id))) is UseRefusal.TWICE
    assert why(market, asked, at=STARTS_AT - LATER) is UseRefusal.NOT_YET
    assert why(market, asked, at=held.valid_to) is UseRefusal.EXPIRED
    market.lock("o-2", [held.id], until=NOON + LATER)
    assert why(market, asked) is UseRefusal.LOCKED
    assert isinstance(refused(market, replace(asked, customer="nobody")), CustomerUnknown)
    assert why(market, replace(asked, customer=None)) is UseRefusal.UNKNOWN
    assert market.redeem(asked, at=NOON + LATER).payable == 5_300  # that lock's time has passed
    assert why(market, replace(asked, order="o-3")) is UseRefusal.USED


def test_a_coupon_is_used_in_its_channels_only(scene: Scene) -> None:
    market = shop(scene, ('amount: "5.00"}', 'amount: "5.00", redeem_in: [web, store]}'))
    held = market.world.held_by("c01", "plain")
    asked = Redeem(order="o-1", channel=RedeemIn.APP, cart=LAMP, payable=5_300, customer="c01", coupons=(held.id,))
    assert why(market, asked) is UseRefusal.WRONG_CHANNEL
    assert market.redeem(replace(asked, channel=RedeemIn.STORE)).payable == 5_300
    assert market.unbalanced() == []


def test_a_code_is_claimed_and_used_by_the_order_that_it_was_typed_into(market: Shop) -> None:
    own = market.world.codes[0]
    asked = Redeem(
        order="o-1",
        channel=RedeemIn.APP,
        cart=cart(("tea", 10, 300), ("mug", 1, 1_000)),
        payable=3_600,
        customer="c01",
        codes=(SHARED.lower(), own),
    )
    bought = market.redeem(asked)
    assert {use.offer for use in bought.uses} == {named("one-code"), named("own-code")}
    assert {one.state for one in market.world.coupons()} == {HeldState.USED}
    found = refused(market, replace(asked, order="o-2", customer="c02", codes=(own,), payable=4_200))
    assert isinstance(found, OfferUnusable)
    assert found.why is UseRefusal.CODE_TAKEN
    assert own not in str(found)
    assert why(market, replace(asked, order="o-2", codes=("NONSENSE",))) is UseRefusal.CODE_UNKNOWN
    market.cancel("o-1")
    again = market.redeem(replace(asked, order="o-3"))  # they came back with the order, and are hers
    assert [use.held for use in again.uses] == [use.held for use in bought.uses]


def test_an_order_that_is_refused_leaves_its_code_as_it_was(market: Shop) -> None:
    asked = Redeem(
        order="o-1", channel=RedeemIn.APP, cart=LAMP, payable=1, customer="c01", codes=(market.world.codes[0],)
    )
    assert isinstance(refused(market, asked), PriceChanged)
    market.world.change("UPDATE live_offers SET closed = 'paused' WHERE offer = 'lamps'")  # nobody has seen it yet
    unlucky = replace(asked, payable=4_200, activities=(named("lamps"),))
    assert why(market, unlucky) is UseRefusal.PAUSED
    assert market.world.coupons() == []
    assert market.redeem(replace(asked, payable=5_200)).payable == 5_200


def test_a_code_that_cannot_be_claimed_refuses_the_order(market: Shop) -> None:
    market.world.change("UPDATE live_offers SET claimed = 5 WHERE offer = 'one-code'")
    asked = Redeem(order="o-1", channel=RedeemIn.APP, cart=LAMP, payable=5_200, customer="c01", codes=(SHARED,))
    assert why(market, asked) is UseRefusal.SOLD_OUT
    market.world.change("UPDATE live_offers SET claimed = 0 WHERE offer = 'one-code'")


def test_newcomer_coupons_are_for_a_first_order(market: Shop) -> None:
    held = market.world.held_by("c18", "welcome")
    tea = cart(("tea", 10, 300))
    asked = Redeem(order="o-2", channel=RedeemIn.APP, cart=tea, payable=3_400, customer="c18", coupons=(held.id,))
    market.redeem(replace(asked, order="o-1", coupons=(), payable=3_800))
    assert why(market, asked) is UseRefusal.NOT_NEWCOMER
    market.cancel("o-1")
    assert market.redeem(asked).new_customer is True


def test_an_activity_that_is_paused_over_or_taken_down_is_refused(market: Shop) -> None:
    asked = Redeem(
        order="o-1", channel=RedeemIn.APP, cart=LAMP, payable=4_800, customer="c01", activities=(named("lamps"),)
    )
    assert why(market, replace(asked, activities=(named("hot"),))) is UseRefusal.UNKNOWN
    assert why(market, replace(asked, activities=("nothing/lamps",))) is UseRefusal.UNKNOWN
    held = market.world.held_by("c01", "plain")
    market.world.act("pause")
    assert why(market, asked) is UseRefusal.PAUSED
    with_coupon = replace(asked, activities=(), coupons=(held.id,), payable=5_300)
    assert market.redeem(with_coupon).payable == 5_300  # what is held may still be used
    market.world.act("resume")
    assert market.redeem(replace(asked, order="o-2")).payable == 4_800
    market.world.end()
    assert why(market, replace(asked, order="o-3"), at=ENDS_AT) in {UseRefusal.OVER, UseRefusal.UNKNOWN}


@pytest.mark.parametrize(("claimed", "state"), [("honour", HeldState.RETURNED), ("void", HeldState.VOID)])
def test_after_a_takedown_what_is_held_is_honoured_or_void_also_when_an_order_gives_it_back(
    market: Shop, claimed: str, state: HeldState
) -> None:
    used, held = market.world.held_by("c01", "plain"), market.world.held_by("c02", "plain")
    market.redeem(
        Redeem(order="o-1", channel=RedeemIn.APP, cart=LAMP, payable=5_300, customer="c01", coupons=(used.id,))
    )
    market.world.act("takedown", "bob", claimed=claimed)
    asked = Redeem(order="o-2", channel=RedeemIn.APP, cart=LAMP, payable=5_300, customer="c02", coupons=(held.id,))
    if claimed == "honour":
        assert market.redeem(asked).payable == 5_300
    else:
        assert why(market, asked) is UseRefusal.VOID
    market.cancel("o-1")
    assert market.state(used.id) is state


def test_the_limits_of_an_activity_are_told_one_by_one(scene: Scene) -> None:
    limits = "total: 4,\n     per_customer: 3, per_customer_day: 2, per_day: 3, per_channel: {web: 1}}"
    market = shop(scene, ("total: 5,\n     per_customer: 2}", limits))
    asked = Redeem(
        order="", channel=RedeemIn.APP, cart=LAMP, payable=4_800, customer="c01", activities=(named("lamps"),)
    )
    tomorrow = MIDNIGHT
    assert market.redeem(replace(asked, order="1", channel=RedeemIn.WEB)).payable == 4_800
    assert why(market, replace(asked, order="x", channel=RedeemIn.WEB)) is UseRefusal.CHANNEL_LIMIT
    market.redeem(replace(asked, order="2"))
    assert why(market, replace(asked, order="x")) is UseRefusal.PERSONAL_DAY_LIMIT
    market.redeem(replace(asked, order="3", customer="c02"))
    assert why(market, replace(asked, order="x", customer="c03")) is UseRefusal.DAY_LIMIT
    market.redeem(replace(asked, order="4"), at=tomorrow)
    assert why(market, replace(asked, order="x"), at=tomorrow) is UseRefusal.SOLD_OUT
    market.cancel("3")
    assert why(market, replace(asked, order="x"), at=tomorrow) is UseRefusal.PERSONAL_LIMIT
    market.redeem(replace(asked, order="5", customer="c02"))  # of today's, there is one again
    assert market.unbalanced() == []


def test_a_budget_that_does_not_cover_an_order_refuses_it(market: Shop) -> None:
    held = [market.world.held_by(customer, "tenth") for customer in ("c01", "c02")]
    teapots = cart(("tea", 20, 300))
    orders = [
        Redeem(order=one, channel=RedeemIn.APP, cart=teapots, payable=6_200, customer=one, coupons=(coupon.id,))
        for one, coupon in zip(("c01", "c02"), held, strict=True)
    ]
    market.redeem(orders[0])
    assert why(market, orders[1]) is UseRefusal.BUDGET_SPENT
    market.cancel("c01")
    assert market.redeem(orders[1]).discount == 600


def test_a_cancelled_order_gives_back_what_it_used_once(market: Shop) -> None:
    held = market.world.held_by("c01", "freight")
    market.buy("o-1", BOTH)
    cancelled = market.cancel("o-1")
    assert (cancelled.state, cancelled.cancelled_at) == (RedemptionState.CANCELLED, NOON)
    assert all(use.given_back for use in cancelled.uses)
    assert market.state(held.id) is HeldState.RETURNED
    assert [(market.world.offer(one).used, market.world.offer(one).spent_minor) for one in ("mugs", "freight")] == [
        (0, 0),
        (0, 0),
    ]
    with pytest.raises(AlreadyCancelled):
        market.cancel("o-1")
    with pytest.raises(OrderUnknown):
        market.cancel("o-2")
    with pytest.raises(AlreadyCancelled):
        market.refund("o-1", {0: 1})
    assert market.buy("o-2", BOTH).payable == cancelled.payable


def test_a_coupon_whose_time_has_passed_comes_back_as_expired(market: Shop) -> None:
    held = market.world.held_by("c01", "plain")
    market.buy("o-1", MUGS)
    market.cancel("o-1", at=held.valid_to)
    assert market.state(held.id) is HeldState.EXPIRED


def test_an_offer_that_is_not_given_back_stays_used_and_paid_for(scene: Scene) -> None:
    market = shop(scene, ('amount: "5.00"}', 'amount: "5.00", given_back: false}'))
    held = market.world.held_by("c01", "plain")
    market.buy("o-1", MUGS)
    cancelled = market.cancel("o-1")
    assert {use.offer: use.given_back for use in cancelled.uses} == {named("plain"): False, named("mugs"): True}
    assert market.state(held.id) is HeldState.USED
    assert (market.world.offer("plain").used, market.world.offer("plain").spent_minor) == (1, 500)
    assert market.unbalanced() == []


def test_refunds_of_all_units_sum_to_what_was_paid_and_freight_comes_with_the_last(market: Shop) -> None:
    market.world.held_by("c01", "hot")
    odd = cart(("mug", 7, 999), ("cup", 2, 601))
    bought = market.buy("o-1", odd)
    paid_back = [market.refund("o-1", units) for units in ({0: 3}, {0: 1, 1: 1}, {0: 3}, {1: 1})]
    assert [one.freight for one in paid_back] == [0, 0, 0, 800]
    assert {one.policy for one in paid_back} == {RefundPolicy.PRORATED}
    assert sum(one.total for one in paid_back) == bought.payable == paid_back[-1].redemption.refunded
    with pytest.raises(ReturnTooLarge):
        market.refund("o-1", {0: 1})
    with pytest.raises(LineUnknown):
        market.refund("o-1", {2: 1})
    with pytest.raises(OrderUnknown):
        market.refund("o-2", {0: 1})
    with pytest.raises(AlreadyRefunded):
        market.cancel("o-1")


def test_an_offer_may_have_the_rest_priced_again(scene: Scene) -> None:
    market = shop(scene, ('amount: "10.00", total: 100', 'amount: "10.00", refund: repriced, total: 100'))
    market.world.held_by("c01", "hot")
    bought = market.buy("o-1", cart(("tea", 20, 300)))
    assert bought.payable == 5_800
    first = market.refund("o-1", {0: 10})
    assert (first.policy, first.total) == (RefundPolicy.REPRICED, 2_000)  # the rest is 3000, too little for 10 off
    second = market.refund("o-1", {0: 10})
    assert second.total == 3_800
    assert market.unbalanced() == []


def test_coupons_are_locked_for_an_order_all_or_none_and_let_go_again(market: Shop) -> None:
    one, other = market.world.held_by("c01", "plain"), market.world.held_by("c01", "freight")
    market.lock("o-1", [one.id], until=NOON + LATER)
    market.lock("o-1", [one.id], until=NOON + 2 * LATER)  # longer
    with pytest.raises(OfferUnusable) as raised:
        market.lock("o-2", [other.id, one.id], until=NOON + LATER)
    assert (raised.value.why, raised.value.held) == (UseRefusal.LOCKED, one.id)
    assert (market.state(one.id), market.state(other.id)) == (HeldState.LOCKED, HeldState.ISSUED)
    assert market.unlock("o-2") == 0
    assert market.unlock("o-1", [other.id]) == 0
    assert market.unlock("o-1") == 1
    market.lock("o-2", [other.id, one.id], until=NOON + LATER)
    bought = market.redeem(
        Redeem(
            order="o-2",
            channel=RedeemIn.APP,
            cart=LAMP,
            payable=4_500,
            customer="c01",
            coupons=(one.id, other.id),
        )
    )
    assert len(bought.uses) == 2
    with pytest.raises(OfferUnusable) as raised:
        market.lock("o-3", [one.id], until=NOON + LATER)
    assert raised.value.why is UseRefusal.USED
    with pytest.raises(OfferUnusable):
        market.lock("o-3", [other.id], until=NOON + LATER, customer="c02")
    with pytest.raises(CustomerUnknown):
        market.lock("o-3", [other.id], until=NOON + LATER, customer="nobody")


def test_what_a_cancelled_order_has_brought_is_taken_back_unless_it_was_used(market: Shop) -> None:
    from offers.service.orders import order_paid  # noqa: PLC0415

    market.buy("o-1", BOTH)
    with market.scene.begin() as session:
        (brought,) = order_paid(
            session,
            product_line_id=market.line_id,
            order_number="o-1",
            customer="c01",
            paid_minor=8_000,
            channel=RedeemIn.APP,
            now=NOON,
        )
    market.cancel("o-1")
    assert market.state(brought.id) is HeldState.VOID


class Killed(Exception):
    """The process went away between two statements."""


def statements_of(market: Shop, act: object, die_before: int | None = None) -> int:
    """Run something, and let it die before its n-th statement. Returns how many there were."""
    engine, seen = market.scene.database.engine, 0

    def look(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == die_before:
            raise Killed

    event.listen(engine, "before_cursor_execute", look)
    try:
        act()  # type: ignore[operator]
    finally:
        event.remove(engine, "before_cursor_execute", look)
    return seen


TABLES = ("live_offers", "held_coupons", "offer_counts", "redemptions", "redemption_uses", "order_refunds", "codes")


def everything(market: Shop) -> list[object]:
    order = "ORDER BY 1"
    return [market.world.rows(f"SELECT CAST(t AS text) FROM {table} t {order}") for table in TABLES]  # noqa: S608


@pytest.mark.parametrize("verb", ["redeem", "cancel", "refund"])
def test_a_death_between_any_two_statements_leaves_nothing_half_done(market: Shop, verb: str) -> None:
    held = market.world.held_by("c01", "freight")
    asked = Redeem(
        order="o-1",
        channel=RedeemIn.APP,
        cart=BOTH,
        payable=7_400,
        customer="c01",
        coupons=(held.id,),
        codes=(market.world.codes[0],),
        activities=(named("mugs"), named("lamps")),
    )
    if verb != "redeem":
        market.redeem(asked)
    acts = {
        "redeem": lambda: market.redeem(asked),
        "cancel": lambda: market.cancel("o-1"),
        "refund": lambda: market.refund("o-1", {0: 2}),
    }
    before, at = everything(market), 1
    while True:
        try:
            statements_of(market, acts[verb], die_before=at)
        except Killed:
            assert everything(market) == before
            assert market.unbalanced() == []
            at += 1
        else:
            break
    assert at > 4
    assert everything(market) != before
