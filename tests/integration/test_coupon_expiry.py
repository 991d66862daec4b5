"""What time does to coupons by itself: they expire, and locks of orders that were never placed end."""

from datetime import timedelta

from models.offer import KeptAnswer
from offers.service import expiry
from offers.states import HeldState
from tests.integration import redemption_world
from tests.integration.offers_world import ENDS_AT, NOON
from tests.integration.redemption_world import Shop

MINUTE = timedelta(minutes=1)


stocked, market = redemption_world.stocked, redemption_world.opened


def expire(market: Shop, *, at: object, most: int = 100) -> int:
    with market.scene.begin() as session:
        return expiry.expire_held(session, now=at, most=most)  # type: ignore[arg-type]


def test_coupons_expire_at_their_time_whatever_they_were_kept_for_and_used_ones_stay_used(market: Shop) -> None:
    plain, other, late = (market.world.held_by("c01", offer) for offer in ("plain", "freight", "hot"))
    used = market.world.held_by("c02", "plain")
    market.lock("o-1", [other.id], until=ENDS_AT + MINUTE)
    market.world.change("UPDATE held_coupons SET state = 'used' WHERE id = :id", id=used.id)
    assert expire(market, at=ENDS_AT - MINUTE) == 0
    assert expire(market, at=ENDS_AT) == 2
    assert expire(market, at=ENDS_AT) == 0
    assert [market.state(one.id) for one in (plain, other, used, late)] == [
        HeldState.EXPIRED,
        HeldState.EXPIRED,
        HeldState.USED,
        HeldState.ISSUED,
    ]


def test_they_expire_some_at_a_time(market: Shop) -> None:
    for number in range(1, 6):
        market.world.held_by(f"c{number:02d}", "plain")
    assert [expire(market, at=ENDS_AT, most=2) for _ in range(4)] == [2, 2, 1, 0]


def test_one_that_somebody_is_using_just_now_is_left_for_the_next_time(market: Shop) -> None:
    first, second = (market.world.held_by(one, "plain") for one in ("c01", "c02"))
    with market.scene.begin() as session:
        session.connection().exec_driver_sql(f"SELECT FROM held_coupons WHERE id = {first.id} FOR UPDATE")
        assert expire(market, at=ENDS_AT) == 1
    assert (market.state(first.id), market.state(second.id)) == (HeldState.ISSUED, HeldState.EXPIRED)
    assert expire(market, at=ENDS_AT) == 1


def test_a_lock_ends_when_its_order_was_not_placed_in_time(market: Shop) -> None:
    held = market.world.held_by("c01", "plain")
    market.lock("o-1", [held.id], until=NOON + MINUTE)
    for at, unlocked in ((NOON, 0), (NOON + MINUTE, 1), (NOON + MINUTE, 0)):
        with market.scene.begin() as session:
            assert expiry.unlock_late(session, now=at, most=10) == unlocked
    assert market.state(held.id) is HeldState.ISSUED


def test_answers_are_forgotten_by_their_age(market: Shop) -> None:
    with market.scene.begin() as session:
        for days in (1, 31):
            made_at = NOON - timedelta(days=days)
            session.add(
                KeptAnswer(
                    product_line_id=market.line_id, key=f"key {days}", request_hash="", answer={}, made_at=made_at
                )
            )
    with market.scene.begin() as session:
        assert expiry.forget_answers(session, before=NOON - timedelta(days=30), most=10) == 1
    assert market.world.rows("SELECT key FROM kept_answers") == [("key 1",)]
