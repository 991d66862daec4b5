"""Orders that race for what is left: never one too many, and shown to break where the guard is taken off.

The test holds a row that all of them need. Each has then seen what is left, and waits; when it lets go, they all go on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from models.queries import held_coupons, redemptions
from offers.errors import OfferError, ReturnTooLarge
from offers.refusals import AlreadyCancelled, OfferUnusable, OrderTaken, RefundTooMuch, UseRefusal
from offers.service.redemptions import Redeem
from offers.states import HeldState
from tests.integration import redemption_world
from tests.integration.offers_world import NOON
from tests.integration.redemption_world import BOTH, LAMP, MUGS, Shop, at_once, named, shop
from tests.integration.scene import Scene
from themes.theme import RedeemIn

WAITING = text("""
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
""")
LIMITS = "total: 5,\n     per_customer: 2}"
LATER = NOON + timedelta(minutes=15)


def without(statement: TextClause, *guards: str) -> TextClause:
    """The statement with guards that are always true."""
    found = statement.text
    for guard in guards:
        assert guard in found, f"the statement has no {guard!r}"
        found = found.replace(guard, "true")
    return text(found)


@contextmanager
def holding(market: Shop, rows: str, **values: Any) -> Iterator[Callable[[int], None]]:
    """Hold rows; the function waits until so many others wait for a lock."""
    engine = market.scene.database.engine
    with engine.connect() as holder, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as looker:
        holder.execute(text(f"SELECT FROM {rows} FOR UPDATE"), values)

        def until(many: int) -> None:
            deadline = time.monotonic() + 20
            while looker.execute(WAITING).scalar_one() < many:
                assert time.monotonic() < deadline, "nobody waits"
                time.sleep(0.005)

        yield until


def race(market: Shop, acts: Sequence[Callable[[], Any]], rows: str, **values: Any) -> list[Any]:
    """What each came to, refusals included, when all of them had waited for the same rows."""

    def begin(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except OfferError as refused:
            return refused

    with ThreadPoolExecutor(len(acts)) as pool:
        with holding(market, rows, **values) as until:
            running: list[Future[Any]] = [pool.submit(begin, act) for act in acts]
            until(len(acts))
        return [one.result() for one in running]


def lamp(order: str, customer: str = "c01", **more: Any) -> Redeem:
    return Redeem(
        **{
            "order": order,
            "channel": RedeemIn.APP,
            "cart": LAMP,
            "payable": 4_800,
            "customer": customer,
            "activities": (named("lamps"),),
            **more,
        }
    )


def refusals(results: Sequence[Any]) -> list[UseRefusal]:
    return [one.why for one in results if isinstance(one, OfferUnusable)]


def lamps_for(market: Shop, customers: Sequence[str]) -> list[Any]:
    """As many orders at once, each of which takes 10 off a lamp."""
    orders = [lamp(f"o-{at}", customer) for at, customer in enumerate(customers)]
    return race(market, [partial(market.redeem, one) for one in orders], "live_offers WHERE offer = 'lamps'")


CUSTOMERS = [f"c{number:02d}" for number in range(1, 11)]
#: A limit of the activity, who orders at once, how many of them get it, and what the others are told.
RACES = [
    ("budget_minor = 3500", CUSTOMERS, 3, UseRefusal.BUDGET_SPENT),
    ("total = 3", CUSTOMERS, 3, UseRefusal.SOLD_OUT),
    ("per_day = 3", CUSTOMERS, 3, UseRefusal.DAY_LIMIT),
    ("per_channel = CAST('{\"app\": 3}' AS jsonb)", CUSTOMERS, 3, UseRefusal.CHANNEL_LIMIT),
    ("per_customer = 2", ["c01"] * 8, 2, UseRefusal.PERSONAL_LIMIT),
    ("per_customer_day = 1", ["c01"] * 8, 1, UseRefusal.PERSONAL_DAY_LIMIT),
]


stocked, market = redemption_world.stocked, redemption_world.opened


def only(market: Shop, limit: str) -> None:
    """Let the activity have this limit and no other, and nothing of it be taken."""
    market.world.change(
        "UPDATE live_offers SET total = NULL, per_customer = NULL, per_day = NULL, per_customer_day = NULL,"
        " budget_minor = NULL, per_channel = '{}', claimed = 0, used = 0, spent_minor = 0 WHERE offer = 'lamps'"
    )
    for table in ("redemption_uses", "redemptions", "offer_counts"):
        market.world.change(f"DELETE FROM {table}")  # noqa: S608 - the test's own
    market.world.change(f"UPDATE live_offers SET {limit} WHERE offer = 'lamps'")  # noqa: S608 - as above
    market.world.change("UPDATE product_lines SET offers_version = offers_version + 1")


def test_of_orders_at_once_as_many_take_an_activity_as_each_of_its_limits_leaves(market: Shop) -> None:
    for limit, customers, most, refusal in RACES:
        only(market, limit)
        assert refusals(lamps_for(market, customers)) == [refusal] * (len(customers) - most), limit
        assert market.world.offer("lamps").used == most
        assert market.unbalanced() == []


def test_without_their_guards_they_take_too_many(market: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    guards = (
        "o.budget_minor IS NULL OR o.spent_minor + v.off_minor <= o.budget_minor",
        "o.total IS NULL OR o.claimed < o.total",
    )
    monkeypatch.setattr(redemptions, "_TAKE", without(redemptions._TAKE, *guards))
    everything = redemptions._COUNT.text
    guard = everything[everything.index("c.count < (") : everything.index("    RETURNING")].rstrip()
    monkeypatch.setattr(redemptions, "_COUNT", without(redemptions._COUNT, guard))
    market.world.change("ALTER TABLE live_offers DROP CONSTRAINT ck_live_offers_total")
    for limit, customers, most, _ in RACES:
        only(market, limit)
        assert refusals(lamps_for(market, customers)) == [], limit
        assert market.world.offer("lamps").used == len(customers) > most


def two_orders_with(market: Shop, held: int) -> list[Any]:
    orders = [lamp(order, coupons=(held,), activities=(), payable=5_300) for order in ("o-1", "o-2")]
    return race(market, [partial(market.redeem, one) for one in orders], "live_offers WHERE offer = 'plain'")


def test_of_two_orders_at_once_one_uses_a_coupon(market: Shop) -> None:
    held = market.world.held_by("c01", "plain")
    assert refusals(two_orders_with(market, held.id)) == [UseRefusal.USED]
    assert market.world.offer("plain").used == 1
    assert market.unbalanced() == []


def test_without_its_guard_both_use_it(market: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    free = "state IN ('issued', 'returned') OR state = 'locked' AND (locked_for = :order OR locked_until <= :now)"
    monkeypatch.setattr(held_coupons, "_USE", without(held_coupons._USE, free))
    held = market.world.held_by("c01", "plain")
    assert refusals(two_orders_with(market, held.id)) == []
    assert market.world.offer("plain").used == 2
    assert market.unbalanced() == [(f"coupon {held.id} used", 1, 2)]


def test_one_order_that_is_sent_twice_at_once_is_taken_once(market: Shop) -> None:
    held = market.world.held_by("c01", "plain")
    asked = lamp("o-1", coupons=(held.id,), activities=(), payable=5_300)
    results = race(market, [partial(market.redeem, asked)] * 2, "live_offers WHERE offer = 'plain'")
    assert [type(one) for one in results if isinstance(one, OfferError)] == [OrderTaken]
    bare = replace(asked, order="o-2", coupons=(), payable=5_800)
    results = race(market, [partial(market.redeem, bare)] * 3, "customers WHERE external_id = 'c01'")
    assert [type(one) for one in results if isinstance(one, OfferError)] == [OrderTaken] * 2
    assert market.unbalanced() == []


def first_orders(market: Shop) -> list[bool]:
    orders = [lamp(f"o-{at}", "c18", activities=(), payable=5_800) for at in range(3)]
    found = race(market, [partial(market.redeem, one) for one in orders], "customers WHERE external_id = 'c18'")
    return sorted(one.new_customer for one in found)


def test_of_orders_at_once_one_is_the_first(market: Shop) -> None:
    assert first_orders(market) == [False, False, True]


def test_without_holding_the_customer_all_are_the_first(market: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redemptions, "_HOLD_CUSTOMER", text("SELECT CAST(:id AS int)"))
    assert first_orders(market) == [True, True, True]


def two_cancellations(market: Shop) -> list[Any]:
    for order in ("o-1", "o-2"):
        market.redeem(lamp(order))
    return race(market, [partial(market.cancel, "o-1")] * 2, "redemptions WHERE order_number = 'o-1'")


def test_an_order_that_is_cancelled_twice_at_once_gives_back_once(market: Shop) -> None:
    results = two_cancellations(market)
    assert [type(one) for one in results if isinstance(one, OfferError)] == [AlreadyCancelled]
    assert (market.world.offer("lamps").used, market.world.offer("lamps").spent_minor) == (1, 1_000)
    assert market.unbalanced() == []


def test_without_its_guards_a_cancellation_gives_back_twice(market: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redemptions, "_CANCEL", without(redemptions._CANCEL, "state = 'redeemed'"))
    monkeypatch.setattr(redemptions, "_MARK_GIVEN_BACK", without(redemptions._MARK_GIVEN_BACK, "NOT given_back"))
    assert not any(isinstance(one, OfferError) for one in two_cancellations(market))
    assert (market.world.offer("lamps").used, market.world.offer("lamps").spent_minor) == (0, 0)
    assert ("used lamps", 0, 1) in market.unbalanced()


def two_refunds(market: Shop) -> list[Any]:
    market.buy("o-1", MUGS)
    return race(market, [partial(market.refund, "o-1", {0: 4})] * 2, "redemptions WHERE order_number = 'o-1'")


def test_units_that_are_returned_twice_at_once_are_paid_back_once(market: Shop) -> None:
    results = two_refunds(market)
    assert [type(one) for one in results if isinstance(one, OfferError)] == [ReturnTooLarge]
    assert market.unbalanced() == []


def test_that_no_more_is_paid_back_than_was_paid_is_guarded_by_itself(
    market: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redemptions, "_HOLD", text(redemptions._HOLD.text.replace("FOR NO KEY UPDATE", "")))
    market.buy("o-1", MUGS)
    acts = [partial(market.refund, "o-1", {0: 6})] * 2
    results = race(market, acts, "redemptions WHERE order_number = 'o-1'")
    assert [type(one) for one in results if isinstance(one, OfferError)] == [RefundTooMuch]


def test_without_their_guards_they_are_paid_back_twice(market: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redemptions, "_HOLD", text(redemptions._HOLD.text.replace("FOR NO KEY UPDATE", "")))
    guard = "refunded_minor + :amount <= payable_minor"
    monkeypatch.setattr(redemptions, "_COUNT_REFUND", without(redemptions._COUNT_REFUND, guard))
    assert not any(isinstance(one, OfferError) for one in two_refunds(market))
    assert market.unbalanced() != []


def two_locks(market: Shop, held: int) -> list[Any]:
    acts = [partial(market.lock, order, [held], until=LATER) for order in ("o-1", "o-2")]
    return race(market, acts, "held_coupons WHERE id = :id", id=held)


def test_a_coupon_that_two_orders_lock_at_once_is_locked_for_one(market: Shop) -> None:
    held = market.world.held_by("c01", "plain").id
    assert refusals(two_locks(market, held)) == [UseRefusal.LOCKED]
    assert market.unlock("o-1") + market.unlock("o-2") == 1
    assert market.state(held) is HeldState.ISSUED


def test_without_its_guard_both_believe_that_they_have_it(market: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    free = "state IN ('issued', 'returned') OR state = 'locked' AND (locked_for = :order OR locked_until <= :now)"
    monkeypatch.setattr(held_coupons, "_LOCK", without(held_coupons._LOCK, free))
    held = market.world.held_by("c01", "plain").id
    assert refusals(two_locks(market, held)) == []


def test_orders_cancellations_and_refunds_at_random_balance_and_never_lock_up(scene: Scene) -> None:
    market = shop(scene, (LIMITS, 'budget: "60.00", per_customer: 2}'))
    customers = CUSTOMERS[:4]
    for customer in customers:
        for offer in ("hot", "freight", "plain", "plain", "tenth"):
            market.world.held_by(customer, offer)

    def go_shopping(number: int) -> int:
        chance, taken = Random(number), 0  # noqa: S311 - a test that repeats itself
        for turn in range(12):
            order, customer = f"o-{number}-{turn}", chance.choice(customers)
            try:
                market.buy(order, chance.choice([BOTH, LAMP, MUGS]), customer)
                taken += 1
                acts: list[Callable[[], object]] = [
                    partial(market.cancel, order),
                    partial(market.refund, order, {0: 1}),
                    partial(market.quote, LAMP, customer),
                ]
                chance.choice(acts)()
            except OfferUnusable:
                pass  # somebody else was faster
        return taken

    taken = at_once([partial(go_shopping, number) for number in range(6)])
    assert sum(one for one in taken if isinstance(one, int)) > 20
    assert market.world.offer("lamps").spent_minor <= 6_000
    assert market.unbalanced() == []
