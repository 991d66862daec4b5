"""Quotes against the offers of launched themes: what applies, with which coupon, and why the others do not."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from offers.combination import Mode
from offers.errors import ForcedExcluded
from offers.reason import Reason, Why
from offers.refusals import CustomerUnknown, UseRefusal
from offers.service.live_rules import RuleBook
from offers.service.quotes import CartOffer, QuoteAsked, coupons_of, offers_for_cart
from offers.states import HeldState
from tests.integration import redemption_world
from tests.integration.offers_world import ENDS_AT, MIDNIGHT, NOON, SHARED, STARTS_AT
from tests.integration.redemption_world import BOTH, LAMP, MUGS, Shop, applied, cart, named, problems, shop
from tests.integration.scene import Scene
from themes.theme import RedeemIn

TEA = cart(("tea", 20, 300))


stocked, market = redemption_world.stocked, redemption_world.opened


def offers(market: Shop, goods: Any, customer: str | None = "c01", **more: Any) -> dict[str, CartOffer]:
    asked = QuoteAsked(cart=goods, customer=customer, channel=RedeemIn.APP, **more)
    with market.scene.begin() as session:
        found = offers_for_cart(session, market.book, asked, product_line_id=market.line_id, now=NOON)
    return {one.name.partition("/")[2]: one for one in found.offers}


def test_the_best_of_activities_and_coupons_in_hand_is_found_and_tells_which_coupon(market: Shop) -> None:
    held = {offer: market.world.held_by("c01", offer).id for offer in ("hot", "freight")}
    found = market.quote(BOTH)
    assert sorted(applied(found)) == ["freight", "lamps", "mugs"]
    assert found.choice.price.payable == 8_000
    assert found.offers[named("freight")].held == held["freight"]
    assert found.choice.price.left_out[named("hot")] == Reason(why=Why.EXCLUDED, others=[named("lamps")])
    assert market.quote(BOTH, mode=Mode.PRIORITY).choice.price.payable <= 9_800


def test_of_several_coupons_of_an_offer_the_one_that_ends_first_is_taken_unless_another_is_ticked(
    scene: Scene,
) -> None:
    market = shop(scene, ('amount: "5.00"}', 'amount: "5.00", valid: {days: 3}}'))
    late = market.world.held_by("c01", "plain", at=NOON + timedelta(hours=1)).id
    early = market.world.held_by("c01", "plain").id
    at = NOON + timedelta(hours=2)
    assert market.quote(TEA, at=at).offers[named("plain")].held == early
    assert market.quote(TEA, at=at, forced=(late,)).offers[named("plain")].held == late
    assert market.quote(TEA, at=at, coupons=(late,)).offers[named("plain")].held == late
    assert applied(market.quote(TEA, at=at, coupons=())) == []


def test_coupons_that_were_ticked_push_activities_out_and_not_each_other(scene: Scene) -> None:
    market = shop(scene, ("  - [hot, lamps]", "  - [hot, lamps]\n  - [hot, plain]"))
    hot, plain = market.world.held_by("c01", "hot").id, market.world.held_by("c01", "plain").id
    assert set(applied(market.quote(LAMP, forced=(hot,)))) == {"hot"}
    with pytest.raises(ForcedExcluded) as raised:
        market.quote(LAMP, forced=(hot, plain))
    assert raised.value.pair == (named("hot"), named("plain"))


def test_a_guest_and_somebody_unknown_get_the_activities_that_count_nobody(market: Shop) -> None:
    for customer in (None, "nobody"):
        found = market.quote(BOTH, customer)
        assert (applied(found), found.customer_known) == (["mugs"], False)
        assert problems(found) == {"lamps": UseRefusal.NO_CUSTOMER}


def test_what_cannot_be_used_now_is_told_with_its_reason(scene: Scene) -> None:
    market = shop(scene, ('amount: "5.00"}', 'amount: "5.00", redeem_in: [web]}'))
    elsewhere = market.world.held_by("c01", "plain").id
    locked = market.world.held_by("c01", "freight").id
    market.lock("o-1", [locked], until=NOON + timedelta(minutes=1))
    found = market.quote(TEA, coupons=(elsewhere, locked, 999))
    assert {one.held: one.why for one in found.problems} == {
        elsewhere: UseRefusal.WRONG_CHANNEL,
        locked: UseRefusal.LOCKED,
        999: UseRefusal.UNKNOWN,
    }
    assert [one.in_words("zh") for one in found.problems if one.held == locked] == ["已被其他订单锁定"]
    assert applied(market.quote(TEA, at=NOON + timedelta(minutes=1))) == ["freight"]
    assert set(applied(market.quote(TEA, at=NOON + timedelta(minutes=1), channel=RedeemIn.WEB))) == {"freight", "plain"}


def test_a_code_counts_as_if_it_had_been_claimed(market: Shop) -> None:
    own = market.world.codes[0]
    found = market.quote(TEA, codes=(SHARED, own, "NONSENSE"))
    assert {one.name.partition("/")[2]: one.code for one in found.offers.values() if one.code is not None} == {
        "one-code": 0,
        "own-code": 1,
    }
    assert found.choice.price.payable == 6_800 - 1_200
    assert [(one.code, one.why) for one in found.problems] == [(2, UseRefusal.CODE_UNKNOWN)]
    assert market.world.coupons() == []
    held = market.world.held_by("c01", None, code=own).id
    assert market.quote(TEA, codes=(own,)).offers[named("own-code")].held == held
    assert market.quote(TEA, codes=(own,), coupons=()).offers[named("own-code")].held == held
    assert [one.why for one in market.quote(TEA, "c02", codes=(own,)).problems] == [UseRefusal.CODE_TAKEN]
    assert [one.why for one in market.quote(TEA, None, codes=(SHARED,)).problems][-1] in {
        UseRefusal.NO_CUSTOMER,
        UseRefusal.SOLD_OUT,
    }


def test_an_offer_whose_budget_does_not_cover_the_cart_is_left_out(market: Shop) -> None:
    market.world.held_by("c01", "tenth")
    market.world.held_by("c02", "tenth")
    assert applied(market.quote(TEA)) == ["tenth"]
    market.buy("o-1", TEA, "c02")  # 6 of its 10 are spent
    assert problems(market.quote(TEA)) == {"tenth": UseRefusal.BUDGET_SPENT}
    assert market.quote(TEA).choice.price.payable == 6_800
    small = cart(("tea", 10, 300))
    assert applied(market.quote(small)) == ["tenth"]  # 3 are left
    market.cancel("o-1")
    assert applied(market.quote(TEA)) == ["tenth"]


def test_limits_of_an_activity_count_for_the_customer_the_day_and_the_channel(scene: Scene) -> None:
    limits = "per_customer: 2, per_customer_day: 1, per_day: 2, per_channel: {web: 1}}"
    market = shop(scene, ("total: 5,\n     per_customer: 2}", limits))
    market.buy("o-1", LAMP)
    assert problems(market.quote(LAMP)) == {"lamps": UseRefusal.PERSONAL_DAY_LIMIT}
    assert applied(market.quote(LAMP, at=MIDNIGHT)) == ["lamps"]
    assert applied(market.quote(LAMP, "c02")) == ["lamps"]
    market.redeem(market.order("o-2", LAMP, market.quote(LAMP, "c02"), "c02", channel=RedeemIn.WEB))
    assert problems(market.quote(LAMP, "c03")) == {"lamps": UseRefusal.DAY_LIMIT}
    assert problems(market.quote(LAMP, "c03", at=MIDNIGHT, channel=RedeemIn.WEB)) == {"lamps": UseRefusal.CHANNEL_LIMIT}
    market.buy("o-3", LAMP, at=MIDNIGHT)
    assert problems(market.quote(LAMP, at=MIDNIGHT + timedelta(days=1))) == {"lamps": UseRefusal.PERSONAL_LIMIT}


def test_quotes_follow_a_theme_as_it_moves(market: Shop) -> None:
    held = market.world.held_by("c01", "freight")
    assert problems(market.quote(LAMP, at=STARTS_AT - timedelta(seconds=1)))["lamps"] is UseRefusal.NOT_YET
    market.world.act("pause")
    assert applied(market.quote(LAMP)) == ["freight"]
    assert problems(market.quote(LAMP)) == {"lamps": UseRefusal.PAUSED, "mugs": UseRefusal.PAUSED}
    market.world.act("resume")
    assert set(applied(market.quote(LAMP))) == {"freight", "lamps"}
    market.world.act("takedown", "bob", claimed="void")
    assert applied(market.quote(LAMP)) == []
    assert market.state(held.id) is HeldState.VOID


def test_a_coupon_outlives_the_end_of_its_theme_and_the_memory_of_the_rules(market: Shop) -> None:
    market.world.held_by("c01", "hot")  # for 14 days
    market.world.end()
    after = ENDS_AT + timedelta(days=5)
    assert applied(market.quote(TEA, at=after)) == ["hot"]
    market.book = RuleBook()
    market.world.change(
        "UPDATE live_offers SET claim_to = :long_ago WHERE offer = 'hot'", long_ago=NOON - timedelta(days=99)
    )
    assert applied(market.quote(TEA, at=after)) == ["hot"]


def test_the_guard_of_the_margin_and_the_floor_of_a_product_hold(market: Shop) -> None:
    assert market.quote(LAMP).choice.price.payable == 4_800
    market.world.change("UPDATE product_lines SET least_margin_bp = 3500")
    found = market.quote(LAMP).choice.price
    assert (found.goods, found.withheld) == (4_616, 616)  # 3000 / 0.65, rounded up
    market.world.change("UPDATE products SET floor_minor = 4900 WHERE sku = 'lamp'")
    assert market.quote(LAMP).choice.price.goods == 4_900


def test_newcomer_coupons_are_left_out_after_the_first_order(market: Shop) -> None:
    market.world.held_by("c18", "welcome")
    assert applied(market.quote(TEA, "c18")) == ["welcome"]
    market.redeem(market.order("o-1", TEA, market.quote(TEA, "c18", coupons=()), "c18"))
    assert problems(market.quote(TEA, "c18")) == {"welcome": UseRefusal.NOT_NEWCOMER}


def test_the_offers_of_a_cart_tell_what_each_does_what_is_missing_and_what_could_be_claimed(market: Shop) -> None:
    market.world.held_by("c01", "hot")
    found = offers(market, cart(("mug", 2, 1_000)))
    assert (found["hot"].applied, found["hot"].why) == (False, Reason(why=Why.BELOW_AMOUNT, needed=5_000, found=2_000))
    assert found["lamps"].why == Reason(why=Why.OUT_OF_SCOPE)
    assert (found["plain"].claimable, found["plain"].alone, found["plain"].held) == (True, 500, None)
    assert not {"set", "points", "own-code", "one-code", "thanks", "welcome"} & found.keys()
    assert "welcome" in offers(market, TEA, "c18")
    guest = offers(market, BOTH, None)
    assert (guest["mugs"].applied, guest["mugs"].saves) == (True, 2_000)
    assert (guest["lamps"].why, guest["lamps"].claimable) == (UseRefusal.NO_CUSTOMER, False)
    assert "plain" not in guest


def test_coupons_of_a_customer_are_told_in_the_order_in_which_they_end(market: Shop) -> None:
    for offer in ("hot", "tenth"):
        market.world.held_by("c01", offer)
    market.world.held_by("c02", "plain")
    market.buy("o-1", TEA)
    with market.scene.begin() as session:
        everything = coupons_of(session, product_line_id=market.line_id, customer="c01")
        used = coupons_of(session, product_line_id=market.line_id, customer="c01", states={HeldState.USED})
        with pytest.raises(CustomerUnknown):
            coupons_of(session, product_line_id=market.line_id, customer="nobody")
    assert [one.offer for one in everything] == [named("tenth"), named("hot")]
    assert {one.id for one in used} <= {one.id for one in everything}
    assert all(one.state is HeldState.USED for one in used)


def test_a_quote_is_one_statement_while_nothing_moves(market: Shop) -> None:
    market.world.held_by("c01", "hot")
    market.quote(BOTH)
    seen: list[str] = []
    engine = market.scene.database.engine

    def look(*about: Any) -> None:
        seen.append(about[2])

    event.listen(engine, "before_cursor_execute", look)
    market.quote(MUGS)
    event.remove(engine, "before_cursor_execute", look)
    assert len(seen) == 1
