"""What makes the way of a delivery cheap, and that it stays so: no index written, no row counted, none left behind."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from channels.states import DeliveryState, ErrorClass
from models.database import Database
from models.queries import tallies, walks
from tests.integration.delivery_world import RecordingProvider, World, make_world, refuse, run, until


def counted(world: World) -> dict[str, int]:
    with world.database.begin() as session:
        return {state.value: n for state, n in tallies.by_state(tallies.counts(session, world.distribution_id)).items()}


def heap_only(database: Database) -> tuple[int, int]:
    """Updates of deliveries in this database, and how many of them wrote no index."""
    database.dispose()  # a connection that ends tells what it has counted
    with database.engine.connect() as connection:
        connection.execute(text("SELECT pg_stat_force_next_flush()"))
        connection.commit()
        row = connection.execute(
            text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'deliveries'")
        ).one()
    return row.n_tup_upd, row.n_tup_hot_upd


def test_no_update_of_a_delivery_that_succeeds_writes_an_index(database: Database) -> None:
    world = make_world(database, customers=400)
    world.plan()
    updated, without_index = heap_only(database)
    run(world.sender(RecordingProvider(batch_size=50)))
    assert world.states() == {"sent": 400}
    for _ in range(100):
        after = heap_only(database)
        if after[0] - updated >= 2 * 400:  # one claim, one outcome
            break
        time.sleep(0.05)
    assert (after[0] - updated, after[1] - without_index) == (2 * 400, 2 * 400)


def test_tallies_are_the_counts_of_the_rows_whatever_is_done_to_them(database: Database) -> None:
    world = make_world(database, customers=60)
    world.plan()
    assert counted(world) == world.states() == {"planned": 60}
    world.change("UPDATE deliveries SET state = 'failed', error_class = 'down' WHERE address LIKE '%1'")
    world.change("UPDATE deliveries SET error_class = 'quota' WHERE address LIKE '%11'")
    world.change("DELETE FROM deliveries WHERE distribution_id = :distribution_id AND address LIKE '%2'")
    world.change("UPDATE deliveries SET tries = tries + 1")
    assert counted(world) == world.states()
    with database.begin() as session:
        found = tallies.counts(session, world.distribution_id)
    by_hand = world.rows(
        "SELECT state, error_class, count(*) FROM deliveries WHERE distribution_id = :distribution_id GROUP BY 1, 2"
    )
    assert {(state.value, error and error.value, n) for (state, error), n in found.items()} == set(by_hand)


def test_folding_tallies_leaves_few_and_the_same_sums(database: Database) -> None:
    world = make_world(database, customers=30)
    world.plan()
    run(world.sender(RecordingProvider()))
    before = counted(world)
    with database.begin() as session:
        tallies.fold(session, most=1)
    assert counted(world) == before == {"sent": 30}
    assert world.rows("SELECT count(*) FROM tallies WHERE distribution_id = :distribution_id") == [(1,)]


def test_rows_that_the_walk_had_passed_before_they_were_there_are_sent_all_the_same(database: Database) -> None:
    world = make_world(database, customers=20)
    world.plan()
    world.change("UPDATE walks SET next_seq = next_seq + 1000000000 WHERE distribution_id = :distribution_id")
    run(world.sender(RecordingProvider()))
    assert world.states() == {"sent": 20}


def test_without_going_back_rows_behind_the_walk_would_be_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(database, customers=20)
    world.plan()
    world.change("UPDATE walks SET next_seq = next_seq + 1000000000 WHERE distribution_id = :distribution_id")
    monkeypatch.setattr(walks, "back_to_left_behind", lambda *_, **__: False)
    run(world.sender(RecordingProvider()))
    assert world.states() == {"planned": 20}


def test_two_senders_walk_the_same_rows_and_take_each_once(database: Database) -> None:
    world = make_world(database, customers=300)
    world.plan()
    provider = RecordingProvider(seconds=0.002)
    run(*[world.sender(provider, batch=20) for _ in range(3)])
    assert world.states() == {"sent": 300}
    assert set(provider.reached.values()) == {1}


def test_a_sender_forgets_what_is_settled_while_it_works(database: Database) -> None:
    world = make_world(database, customers=40)
    world.plan()
    ledger = world.at_work()
    now = datetime.now(UTC)
    claimed = ledger.claim(limit=40, replays_of=(), now=now).deliveries
    ledger.begin(account_id=world.account_id, seqs=[row.seq for row in claimed[:10]], keys=None, now=now)
    assert marks(world) == 2
    assert ledger.beat(now)
    assert marks(world) == 2
    world.change("UPDATE deliveries SET state = 'sent' WHERE distribution_id = :distribution_id")
    assert ledger.beat(now)
    assert marks(world) == 0


def marks(world: World) -> int:
    return int(
        world.rows(
            "SELECT count(*) FROM sender_marks m JOIN senders s ON s.id = m.sender_id"
            " WHERE s.distribution_id = :distribution_id"
        )[0][0]
    )


def test_a_sender_that_ends_leaves_nothing_of_its_own_behind(database: Database) -> None:
    world = make_world(database, customers=10)
    world.plan()
    run(world.sender(RecordingProvider(answer=refuse(ErrorClass.CONTENT, about_recipient=True))))
    assert world.rows("SELECT count(*) FROM senders WHERE distribution_id = :distribution_id") == [(0,)]
    assert set(world.states()) == {"failed"}


def test_nothing_leaves_once_an_offer_of_the_theme_is_over(database: Database) -> None:
    world = make_world(database, customers=10)
    world.plan()
    world.change("UPDATE distributions SET expires_at = now() - interval '1 second' WHERE id = :distribution_id")
    provider = RecordingProvider()
    (report,) = run(world.sender(provider))
    assert (report.closed_because, provider.calls) == ("an offer of the theme has ended", [])
    assert world.states() == {"expired": 10}


def test_an_offer_that_ends_while_a_sender_works_stops_it(database: Database) -> None:
    world = make_world(database, customers=40)
    world.plan()
    provider = RecordingProvider(gate=asyncio.Event())

    async def scenario() -> None:
        work = asyncio.create_task(world.sender(provider).run())
        await until(lambda: len(provider.calls) >= 8)
        sql = "UPDATE distributions SET expires_at = :at WHERE id = :distribution_id"
        await asyncio.to_thread(world.change, sql, at=datetime.now(UTC) - timedelta(seconds=1))
        assert provider.gate is not None
        provider.gate.set()
        assert (await work).closed_because == "an offer of the theme has ended"

    asyncio.run(scenario())
    assert set(world.states()) == {"sent", "expired"}
    assert world.states()[DeliveryState.SENT.value] == len(provider.calls) < 40


def test_what_has_waited_for_long_since_it_was_claimed_is_claimed_anew(database: Database) -> None:
    world = make_world(database, customers=30)
    world.plan()
    world.allow(at_most=10, per_seconds=1)
    provider, late = RecordingProvider(), timedelta()

    def clock() -> datetime:
        return datetime.now(UTC) + late

    async def scenario() -> None:
        nonlocal late
        work = asyncio.create_task(world.sender(provider, clock=clock, lease=timedelta(hours=1)).run())
        await until(lambda: len(provider.calls) >= 3)
        theirs = "SELECT id FROM customers WHERE product_line_id = :line"
        sql = f"UPDATE consents SET granted = false WHERE customer_id IN ({theirs})"  # noqa: S608 - of above
        await asyncio.to_thread(world.change, sql)
        late = timedelta(seconds=31)
        await work

    asyncio.run(scenario())
    states = world.states()
    assert set(states) == {"sent", "suppressed"}
    assert states["sent"] == len(provider.calls) <= 12  # those that had begun when it turned late
