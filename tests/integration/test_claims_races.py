"""Many claim at once, and never one too many gets a coupon. With its guard off each of these overruns."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from models.queries import answer_batches
from models.queries import claims as rows
from models.queries.claims import Held
from offers.claim_refusal import ClaimRefused, CountsMoved
from offers.service import claims, orders
from offers.service.claims import Claim, Settled
from offers.service.kept_answers import KeyReused
from offers.states import HeldState
from tests.integration.offers_world import MIDNIGHT, NOON, OffersWorld, asking, copy_of, fresh_key, world_to_copy
from tests.integration.scene import Scene
from tests.integration.takedown_world import wait_for_a_lock
from themes.theme import RedeemIn

CROWD = 32
TOTAL = 100
LOCK = "FOR NO KEY UPDATE"
OF_TOTAL = " AND (lo.total IS NULL OR lo.claimed + more.more <= lo.total)"
OF_CODE = " AND c.held_id IS NULL AND (c.customer_id IS NULL OR c.customer_id = coded.customer_id)"


@pytest.fixture(scope="module")
def spring(postgres: str, scenery: tuple[str, Scene]) -> Iterator[OffersWorld]:
    with world_to_copy(postgres, scenery) as made:
        yield made


@pytest.fixture
def world(postgres: str, spring: OffersWorld) -> Iterator[OffersWorld]:
    with copy_of(postgres, spring) as copied:
        yield copied


class Guards:
    """The locks and guards of the statements that claims are counted by, to be switched off."""

    def __init__(self, world: OffersWorld, patch: pytest.MonkeyPatch) -> None:
        self.world, self.patch = world, patch

    def locks_off(self, *, together: int = CROWD) -> None:
        """Nobody waits for anybody; and all have read what is left before the first of them writes."""
        self._cut("_LOCK", LOCK)
        self._cut("_LOCK_CODES", LOCK)
        everybody, hold = Barrier(together), rows.hold

        def hold_together(*values: Any, **named: Any) -> Held:
            everybody.wait(timeout=30)
            return hold(*values, **named)

        self.patch.setattr(rows, "hold", hold_together)

    def guard_of_total_off(self) -> None:
        self._cut("_HOLD", OF_TOTAL)
        self.world.change("ALTER TABLE live_offers DROP CONSTRAINT ck_live_offers_total")

    def guard_of_counts_off(self) -> None:
        text_ = str(rows._HOLD)
        begins = text_.index("WHERE c.count + excluded.count <=")
        self._cut("_HOLD", text_[begins : text_.index("RETURNING", begins)])

    def guard_of_codes_off(self) -> None:
        self._cut("_HOLD", OF_CODE)

    def _cut(self, name: str, guard: str) -> None:
        statement = str(getattr(rows, name))
        assert guard in statement
        self.patch.setattr(rows, name, text(statement.replace(guard, "")))


@pytest.fixture
def guards(world: OffersWorld, monkeypatch: pytest.MonkeyPatch) -> Guards:
    return Guards(world, monkeypatch)


def at_once(acts: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each returned, or the conflict that it met."""
    start = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        start.wait(timeout=30)
        try:
            return act()
        except (CountsMoved, IntegrityError) as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def settling(world: OffersWorld, batch: Sequence[Claim], at: datetime = NOON) -> Callable[[], Sequence[Settled]]:
    return lambda: world.settle(batch, at=at)


def batches(world: OffersWorld, offer: str, each: int = 10) -> list[Callable[[], Any]]:
    """Of different people."""
    people = iter(world.more_customers(CROWD * each))
    return [settling(world, [asking(next(people), offer) for _ in range(each)]) for _ in range(CROWD)]


def why(settled: Settled) -> str:
    return settled.refusal.why.value if isinstance(settled.refusal, ClaimRefused) else "given"


def given(outcomes: Sequence[Any]) -> Counter[str]:
    return Counter(why(one) for outcome in outcomes if not isinstance(outcome, Exception) for one in outcome)


def test_of_a_hot_coupon_exactly_so_many_are_given_as_there_are(world: OffersWorld) -> None:
    outcomes = at_once(batches(world, "hot"))
    assert given(outcomes) == {"given": TOTAL, "sold_out": CROWD * 10 - TOTAL}
    assert (world.offer("hot").claimed, len(world.coupons("hot"))) == (TOTAL, TOTAL)
    assert world.miscounted() == []


def test_without_the_lock_the_guard_of_the_statement_keeps_the_total(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off()
    outcomes = at_once(batches(world, "hot"))
    assert given(outcomes) == {"given": TOTAL}
    assert sum(isinstance(one, CountsMoved) for one in outcomes) == CROWD - TOTAL // 10
    assert (world.offer("hot").claimed, len(world.coupons("hot"))) == (TOTAL, TOTAL)
    assert world.miscounted() == []


def test_without_lock_and_guard_the_total_is_overrun(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off()
    guards.guard_of_total_off()
    at_once(batches(world, "hot"))
    assert world.offer("hot").claimed == len(world.coupons("hot")) == CROWD * 10 > TOTAL


def of_one_person(world: OffersWorld) -> list[Callable[[], Any]]:
    return [settling(world, [asking("c01", "hot")]) for _ in range(CROWD)]


def test_one_person_who_asks_from_everywhere_gets_as_many_as_one_gets(world: OffersWorld) -> None:
    assert given(at_once(of_one_person(world))) == {"given": 1, "personal_limit": CROWD - 1}
    assert len(world.coupons("hot")) == 1
    assert world.miscounted() == []


def test_without_the_lock_the_guard_of_the_statement_keeps_the_personal_limit(
    world: OffersWorld, guards: Guards
) -> None:
    guards.locks_off()
    outcomes = at_once(of_one_person(world))
    assert given(outcomes) == {"given": 1}
    assert len(world.coupons("hot")) == 1
    assert world.miscounted() == []


def test_without_lock_and_guard_one_person_gets_more_than_one_gets(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off()
    guards.guard_of_counts_off()
    at_once(of_one_person(world))
    assert len(world.coupons("hot")) == CROWD


def around_midnight(world: OffersWorld) -> list[Callable[[], Any]]:
    """Of different people, one half a moment before midnight where the theme is at home, the other after it."""
    people = world.more_customers(CROWD)
    times = [MIDNIGHT - timedelta(microseconds=1), MIDNIGHT]
    return [settling(world, [asking(one, "daily")], times[place % 2]) for place, one in enumerate(people)]


def days_of(world: OffersWorld) -> list[int]:
    rows_ = world.rows(
        "SELECT count(*) FROM held_coupons h JOIN live_offers o ON o.id = h.offer_id"
        " WHERE o.offer = 'daily' GROUP BY (h.claimed_at AT TIME ZONE 'Asia/Shanghai')::date"
    )
    return [row[0] for row in rows_]


def test_around_midnight_each_day_gives_its_own(world: OffersWorld) -> None:
    assert given(at_once(around_midnight(world))) == {"given": 6, "day_limit": CROWD - 6}
    assert days_of(world) == [3, 3]
    assert world.miscounted() == []


def test_without_the_lock_the_guard_of_the_statement_keeps_the_limit_of_a_day(
    world: OffersWorld, guards: Guards
) -> None:
    guards.locks_off()
    assert given(at_once(around_midnight(world))) == {"given": 6}
    assert days_of(world) == [3, 3]


def test_without_lock_and_guard_both_days_are_overrun(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off()
    guards.guard_of_counts_off()
    at_once(around_midnight(world))
    assert days_of(world) == [CROWD // 2, CROWD // 2]


def through_the_web(world: OffersWorld) -> list[Callable[[], Any]]:
    people = world.more_customers(CROWD)
    return [settling(world, [asking(one, "places", channel=RedeemIn.WEB)]) for one in people]


def test_a_channel_gives_as_many_as_it_may(world: OffersWorld) -> None:
    assert given(at_once(through_the_web(world))) == {"given": 1, "channel_limit": CROWD - 1}


def test_without_lock_and_guard_a_channel_gives_more(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off()
    guards.guard_of_counts_off()
    at_once(through_the_web(world))
    assert len(world.coupons("places")) == CROWD


def with_one_code(world: OffersWorld) -> list[Callable[[], Any]]:
    people = world.more_customers(CROWD)
    return [settling(world, [asking(one, code=world.codes[0])]) for one in people]


def test_a_code_that_went_round_brings_one_coupon(world: OffersWorld) -> None:
    assert given(at_once(with_one_code(world))) == {"given": 1, "code_taken": CROWD - 1}
    assert len(world.coupons("own-code")) == 1


def test_without_the_lock_the_guard_of_the_statement_gives_a_code_once(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off()
    assert given(at_once(with_one_code(world))) == {"given": 1}
    assert len(world.coupons("own-code")) == 1


def test_without_lock_and_guard_one_code_brings_many(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off()
    guards.guard_of_codes_off()
    at_once(with_one_code(world))
    assert len(world.coupons("own-code")) == CROWD


def for_the_same_points(world: OffersWorld) -> list[Callable[[], Any]]:
    people = world.more_customers(CROWD)
    return [settling(world, [asking(one, "points", points="ledger-1")]) for one in people]


def test_points_that_were_taken_once_buy_one_coupon(world: OffersWorld) -> None:
    assert given(at_once(for_the_same_points(world))) == {"given": 1, "points_used": CROWD - 1}


def test_without_the_lock_the_index_lets_points_buy_one_coupon(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off()
    assert given(at_once(for_the_same_points(world))) == {"given": 1}


def test_without_lock_and_index_the_same_points_buy_many(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off()
    world.change("DROP INDEX uq_held_coupons_points")
    at_once(for_the_same_points(world))
    assert len(world.coupons("points")) == CROWD


def test_one_request_that_is_sent_many_times_at_once_is_one_claim(world: OffersWorld) -> None:
    claim = asking("c01", "plain")
    outcomes = at_once([settling(world, [asking("c02", "plain"), claim]) for _ in range(CROWD)])
    answers = [outcome[1] for outcome in outcomes]
    assert {one.coupons for one in answers} == {answers[0].coupons}
    assert sum(not one.again for one in answers) == 1
    assert len(world.coupons("plain")) == CROWD + 1


def test_two_requests_with_one_key_at_once_are_one_claim_and_one_conflict(world: OffersWorld) -> None:
    key = fresh_key()
    outcomes = at_once([settling(world, [asking(one, "plain", key=key)]) for one in ("c01", "c02")])
    refusals = [outcome[0].refusal for outcome in outcomes]
    assert {type(one) for one in refusals} == {type(None), KeyReused}
    assert len(world.coupons("plain")) == 1


def test_without_its_key_a_request_that_is_sent_many_times_is_many_claims(
    world: OffersWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = str(answer_batches._TAKE)
    inserted = taking[taking.index("INSERT") : taking.index("RETURNING key") + len("RETURNING key")]
    every_key = "SELECT unnest(CAST(:keys AS text[])) AS key"
    monkeypatch.setattr(answer_batches, "_TAKE", text(taking.replace(inserted, every_key)))
    claim = asking("c01", "plain")
    at_once([settling(world, [claim]) for _ in range(CROWD)])
    assert len(world.coupons("plain")) == CROWD


def test_whoever_waits_for_a_key_keeps_no_later_one_from_others(world: OffersWorld) -> None:
    earlier, later = asking("c01", "plain", key="a"), asking("c02", "plain", key="b")
    with world.scene.begin() as session, ThreadPoolExecutor(1) as pool:
        claims.settle(session, [earlier], product_line_id=world.line_id, now=NOON)
        waiting = pool.submit(world.settle, [earlier, later])
        wait_for_a_lock(world.scene)
        claims.settle(session, [later], product_line_id=world.line_id, now=NOON)
        session.commit()
        assert [one.again for one in waiting.result(timeout=30)] == [True, True]
    assert len(world.coupons("plain")) == 2


def test_whoever_waits_for_an_offer_keeps_no_later_one_from_others(world: OffersWorld) -> None:
    earlier, later = sorted((world.offer("hot"), world.offer("plain")), key=lambda offer: offer.id)
    with world.scene.begin() as session, ThreadPoolExecutor(1) as pool:
        rows.lock(session, [earlier.id])
        waiting = pool.submit(world.settle, [asking("c01", later.offer), asking("c01", earlier.offer)])
        wait_for_a_lock(world.scene)
        rows.lock(session, [later.id])
        session.commit()
        assert given([waiting.result(timeout=30)]) == {"given": 2}


def test_packages_and_their_coupons_are_claimed_beside_each_other_and_all_totals_hold(world: OffersWorld) -> None:
    people = iter(world.more_customers(CROWD * 6))
    acts = []
    for _ in range(CROWD):
        batch = [asking(next(people), offer) for offer in ("set", "hot", "set", "hot", "plain", "hot")]
        acts += [settling(world, batch)]
    outcomes = at_once(acts)
    found = given(outcomes)
    assert found["given"] + found["sold_out"] == CROWD * 6
    assert world.offer("hot").claimed == len(world.coupons("hot")) == TOTAL
    assert world.offer("set").claimed == len([one for one in world.coupons("freight") if one.package]) <= 30
    assert world.miscounted() == []


def test_a_claim_under_way_is_seen_by_the_takedown_that_voids(world: OffersWorld) -> None:
    with world.scene.begin() as session, ThreadPoolExecutor(1) as pool:
        claims.settle(session, [asking("c01", "hot")], product_line_id=world.line_id, now=NOON)
        taking = pool.submit(world.act, "takedown", "bob", claimed="void")
        wait_for_a_lock(world.scene)
        session.commit()
        taking.result(timeout=30)
    assert [one.state for one in world.coupons("hot")] == [HeldState.VOID]
    assert why(world.claim("c02", "hot")) == "taken_down"


def test_a_claim_that_comes_while_a_theme_is_paused_waits_and_is_refused(world: OffersWorld) -> None:
    with world.scene.begin() as session, ThreadPoolExecutor(1) as pool:
        session.execute(text("UPDATE live_offers SET closed = 'paused'"))
        waiting = pool.submit(world.claim, "c01", "hot")
        wait_for_a_lock(world.scene)
        session.commit()
        assert why(waiting.result(timeout=30)) == "paused"
    assert world.coupons() == []


def telling(world: OffersWorld, order: str) -> Callable[[], Any]:
    def tell() -> Any:
        with world.scene.begin() as session:
            return orders.order_paid(
                session,
                product_line_id=world.line_id,
                order_number=order,
                customer="c01",
                paid_minor=9_000,
                channel=RedeemIn.APP,
                now=NOON,
            )

    return tell


def test_an_order_that_is_told_as_paid_by_many_at_once_brings_one_coupon(world: OffersWorld) -> None:
    outcomes = at_once([telling(world, "o1") for _ in range(CROWD)])
    assert {tuple(one) for one in outcomes} == {tuple(outcomes[0])}
    assert len(world.coupons("thanks")) == 1


def test_many_orders_at_once_bring_as_many_coupons_as_there_are(world: OffersWorld) -> None:
    at_once([telling(world, f"o{number}") for number in range(CROWD)])
    assert len(world.coupons("thanks")) == 4
    assert world.miscounted() == []


def test_without_lock_and_index_an_order_brings_many(world: OffersWorld, guards: Guards) -> None:
    guards.locks_off(together=4)
    world.change("DROP INDEX uq_held_coupons_trigger")
    at_once([telling(world, "o1") for _ in range(4)])
    assert len(world.coupons("thanks")) == 4


class Killed(Exception):
    pass


def whole(world: OffersWorld) -> list[tuple[Any, ...]]:
    """All that claims change."""
    return world.rows("""
        SELECT (SELECT json_agg(h ORDER BY h.id)::text FROM held_coupons h),
               (SELECT json_agg(o ORDER BY o.id)::text FROM live_offers o),
               (SELECT json_agg(c)::text FROM offer_counts c), (SELECT json_agg(k)::text FROM kept_answers k),
               (SELECT json_agg(c ORDER BY c.number)::text FROM codes c)
    """)


def test_a_batch_that_dies_between_any_two_statements_leaves_nothing_and_can_be_asked_again(
    world: OffersWorld,
) -> None:
    people = world.more_customers(4)
    batch = [
        asking(people[0], "hot"),
        asking(people[1], "set"),
        asking(people[2], code=world.codes[0]),
        asking(people[3], "points", points="ledger-1"),
    ]
    before, engine, done = whole(world), world.scene.database.engine, Counter[str]()

    def die(*_: Any) -> None:
        done["statements"] += 1
        if done["statements"] > done["lives"]:
            raise Killed

    event.listen(engine, "before_cursor_execute", die)
    while not done["through"]:
        done["statements"] = 0
        try:
            found = world.settle(batch)
            done["through"] = 1
        except Killed:
            done["deaths"] += 1
            event.remove(engine, "before_cursor_execute", die)
            assert whole(world) == before
            event.listen(engine, "before_cursor_execute", die)
        done["lives"] += 1
    event.remove(engine, "before_cursor_execute", die)
    assert done["deaths"] >= 9
    assert [why(one) for one in found] == ["given"] * 4
    assert not any(one.again for one in found)


def test_a_batch_whose_connection_is_cut_before_its_end_leaves_nothing(world: OffersWorld) -> None:
    before = whole(world)
    with pytest.raises(OperationalError):
        _settle_and_be_cut_off(world)
    assert whole(world) == before
    assert why(world.claim("c01", "set")) == "given"


def _settle_and_be_cut_off(world: OffersWorld) -> None:
    with world.scene.begin() as session:
        claims.settle(session, [asking("c01", "set")], product_line_id=world.line_id, now=NOON)
        world.change("SELECT pg_terminate_backend(:pid)", pid=session.scalar(text("SELECT pg_backend_pid()")))
        session.execute(text("SELECT 1"))
