"""Senders on a real PostgreSQL, with a provider that remembers what it was given."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from channels import service
from channels.engine import MOVES
from channels.errors import KeysRefused, SenderTakenForDead
from channels.message import Message, Outcome
from channels.states import DeliveryState, ErrorClass
from models.database import Database
from models.queries.deliveries import Claim, Claimed, Reaped, Result
from tests.integration.delivery_world import (
    RecordingProvider,
    World,
    accept,
    make_world,
    push_text,
    refuse,
    run,
    until,
    until_reaped,
)
from tests.integration.moves_guard import guard_moves


@pytest.fixture(scope="module", autouse=True)
def _only_moves_of_the_table(database: Database) -> None:
    guard_moves(database, "deliveries", MOVES)


def test_everybody_planned_is_sent_to_once_and_every_try_is_on_record(database: Database) -> None:
    world = make_world(database, customers=500)
    assert world.plan().planned == 500
    provider = RecordingProvider()
    (report,) = run(world.sender(provider))
    assert (report.states, report.calls, report.next_due_at) == ({"sent": 500}, 500, None)
    assert world.states() == {"sent": 500}
    assert set(provider.reached.values()) == {1}
    assert world.rows(
        "SELECT count(*), count(DISTINCT delivery_seq) FROM attempts a JOIN deliveries d ON d.seq = a.delivery_seq"
        " WHERE d.distribution_id = :distribution_id AND a.error_class IS NULL AND a.number = 1"
    ) == [(500, 500)]
    with database.begin() as session:
        assert service.complete_if_done(session, distribution_id=world.distribution_id, now=datetime.now(UTC))


def test_batches_are_as_full_as_the_provider_takes(database: Database) -> None:
    world = make_world(database, customers=250)
    world.plan()
    provider = RecordingProvider(batch_size=100, keys=True)
    run(world.sender(provider))
    assert sorted(len(call) for call in provider.calls) == [50, 100, 100]
    assert len({message.key for call in provider.calls for message in call}) == 250


def test_two_senders_at_once_never_send_one_row_twice(database: Database) -> None:
    world = make_world(database, customers=2_000)
    world.plan()
    provider = RecordingProvider(seconds=0.001)
    reports = run(*(world.sender(provider, batch=50) for _ in range(3)))
    assert sum(report.states[DeliveryState.SENT] for report in reports) == 2_000
    assert len([report for report in reports if report.calls]) > 1
    assert (len(provider.reached), set(provider.reached.values())) == (2_000, {1})


def test_two_senders_would_send_twice_if_claimed_rows_stayed_claimable(database: Database) -> None:
    """The guard off: this is the race that the state `sending` closes."""
    world = make_world(database, customers=100)
    world.plan()
    provider = RecordingProvider(gate=asyncio.Event())
    senders = [world.sender(provider, concurrency=100) for _ in range(2)]
    claim, claims = senders[0]._ledger.claim, count()  # the first one claims but once

    def claim_once(**values: Any) -> Claim:
        return Claim([], {}) if next(claims) else claim(**values)

    senders[0]._ledger.claim = claim_once  # type: ignore[method-assign]

    async def race() -> None:
        runs = [asyncio.create_task(sender.run()) for sender in senders[:1]]
        await until(lambda: len(provider.calls) == 100)
        world.change("UPDATE deliveries SET state = 'planned' WHERE distribution_id = :distribution_id")
        runs.append(asyncio.create_task(senders[1].run()))
        await until(lambda: len(provider.calls) == 200)
        assert provider.gate is not None
        provider.gate.set()
        await asyncio.gather(*runs)

    asyncio.run(race())
    assert set(provider.reached.values()) == {2}


def test_transient_refusals_of_single_recipients_are_tried_again_until_accepted(database: Database) -> None:
    world = make_world(database, customers=30)
    world.plan()
    tries: Counter[str] = Counter()

    def third_time(message: Message) -> Outcome:
        tries[message.address] += 1
        late = message.address.endswith("7") and tries[message.address] < 3
        return refuse(ErrorClass.DOWN)(message) if late else accept(message)

    provider = RecordingProvider(batch_size=10, answer=third_time)
    _run_until_settled(world, provider)
    assert world.states() == {"sent": 30}
    assert set(provider.reached.values()) == {1}
    assert Counter(tries.values()) == {1: 27, 3: 3}


def test_an_account_that_is_down_is_left_alone_and_probed_by_one_call(database: Database) -> None:
    world = make_world(database, customers=400)
    world.plan()
    provider = RecordingProvider(batch_size=10, answer=refuse(ErrorClass.DOWN))
    (report,) = run(world.sender(provider, concurrency=2))
    assert report.closed_because is not None
    assert "backs off" in report.closed_because
    assert report.next_due_at is not None
    first = len(provider.calls)
    assert first <= 3
    for expected in (2, 3):
        _wait_until(report.next_due_at)
        (report,) = run(world.sender(provider, concurrency=2))
        assert len(provider.calls) == first + expected - 1
        assert world.rows("SELECT refused_in_row FROM provider_accounts WHERE key = :key", key=world.account_key) == [
            (expected,)
        ]
        assert report.next_due_at is not None
    assert world.rows("SELECT max(tries) FROM deliveries WHERE distribution_id = :distribution_id")[0][0] <= 3
    provider.answer = accept
    _run_until_settled(world, provider)
    assert world.states() == {"sent": 400}
    assert world.rows("SELECT refused_in_row FROM provider_accounts WHERE key = :key", key=world.account_key) == [(0,)]


def test_a_bad_recipient_is_failed_and_suppressed_and_an_opt_out_recorded(database: Database) -> None:
    world = make_world(database, customers=20)
    world.plan()
    errors = {"c3": ErrorClass.BAD_RECIPIENT, "c4": ErrorClass.UNSUBSCRIBED}

    def answer(message: Message) -> Outcome:
        error = errors.get(message.address.rpartition("-")[2])
        return refuse(error)(message) if error else accept(message)

    run(world.sender(RecordingProvider(answer=answer)))
    assert world.states() == {"sent": 18, "failed": 2}
    assert world.rows(
        "SELECT substring(address from '-c([0-9]+)$'), reason FROM suppressions s JOIN themes t USING (product_line_id)"
        " JOIN distributions d ON d.theme_id = t.id WHERE d.id = :distribution_id ORDER BY 1"
    ) == [("3", "bad_recipient"), ("4", "unsubscribed")]
    assert world.rows(
        "SELECT c.external_id FROM consents n JOIN customers c ON c.id = n.customer_id"
        " JOIN deliveries d ON d.customer_id = c.id WHERE NOT n.granted AND d.distribution_id = :distribution_id"
    ) == [("c4",)]


def test_refused_content_stops_this_channel_and_a_person_resumes_it(database: Database) -> None:
    world = make_world(database, customers=300)
    world.plan()
    provider = RecordingProvider(answer=refuse(ErrorClass.CONTENT))
    (report,) = run(world.sender(provider))
    assert report.closed_because == "content: E1 no"
    assert world.states()["planned"] > 200
    assert run(world.sender(provider))[0].calls == 0
    with database.begin() as session:
        assert service.resume_distribution(session, distribution_id=world.distribution_id)
    provider.answer = accept
    run(world.sender(provider))
    assert set(world.states()) == {"sent", "failed"}


def test_refused_credentials_pause_the_account_until_it_is_resumed(database: Database) -> None:
    world = make_world(database, customers=300)
    world.plan()
    provider = RecordingProvider(answer=refuse(ErrorClass.CONFIG))
    run(world.sender(provider))
    (report,) = run(world.sender(provider))
    assert report.calls == 0
    assert report.closed_because == f"the account {world.account_key} is paused: config: E1 no"
    with database.begin() as session:
        service.resume_account(session, key=world.account_key)
    provider.answer = accept
    run(world.sender(provider))
    assert set(world.states()) == {"sent", "failed"}


@pytest.mark.parametrize(
    ("close", "because"),
    [
        ("UPDATE themes SET state = 'paused' WHERE id = :theme_id", "the theme is paused"),
        ("UPDATE themes SET state = 'revoking' WHERE id = :theme_id", "the theme is revoking"),
        ("UPDATE themes SET revision_id = NULL WHERE id = :theme_id", "the theme is live on another revision"),
        ("UPDATE distributions SET state = 'stopped' WHERE id = :distribution_id", "the distribution is stopped"),
    ],
)
def test_closing_stops_new_calls_within_three_seconds_and_gives_the_rest_back(
    database: Database, close: str, because: str
) -> None:
    world = make_world(database, customers=3_000)
    world.plan()
    provider = RecordingProvider(seconds=0.01)

    async def scenario() -> Any:
        sender = asyncio.create_task(world.sender(provider).run())
        await until(lambda: len(provider.calls) > 50)
        await asyncio.to_thread(world.change, close)
        closed_at = asyncio.get_running_loop().time()
        report = await sender
        assert asyncio.get_running_loop().time() - closed_at < 3
        return report

    report = asyncio.run(scenario())
    assert report.closed_because == because
    sent = len(provider.calls)
    assert sent < 3_000
    assert world.states() == {"sent": sent, "planned": 3_000 - sent}
    assert world.rows(
        "SELECT count(*) FROM deliveries WHERE distribution_id = :distribution_id AND state = 'planned'"
        " AND (lease_owner IS NOT NULL OR call_began_at IS NOT NULL OR tries > 0)"
    ) == [(0,)]


def test_an_orderly_stop_finishes_calls_in_flight_and_gives_the_rest_back(database: Database) -> None:
    world = make_world(database, customers=100)
    world.plan()
    stop, provider = asyncio.Event(), RecordingProvider(gate=asyncio.Event())

    async def scenario() -> Any:
        sender = world.sender(provider, stop=stop)
        work = asyncio.create_task(sender.run())
        await until(lambda: len(provider.calls) == 8)
        stop.set()
        await until(lambda: sender._halted is not None)
        assert provider.gate is not None
        provider.gate.set()
        return await work

    assert asyncio.run(scenario()).closed_because == "asked to stop"
    assert world.states() == {"sent": 8, "planned": 92}


def test_a_message_that_cannot_be_written_fails_alone(database: Database) -> None:
    world = make_world(database, customers=50)
    world.plan()

    def render(recipient: Any) -> Any:
        if recipient["customer"]["id"] == "c9":
            raise KeyError("nickname")
        return push_text(recipient)

    run(world.sender(RecordingProvider(batch_size=10), render=render))
    assert world.states() == {"sent": 49, "failed": 1}
    assert world.rows(
        "SELECT a.error_class, a.code, a.detail FROM attempts a JOIN deliveries d ON d.seq = a.delivery_seq"
        " WHERE d.distribution_id = :distribution_id AND d.state = 'failed'"
    ) == [("content", "render", "KeyError: 'nickname'")]


def test_a_provider_module_that_raises_leaves_its_call_in_doubt(database: Database) -> None:
    world = make_world(database, customers=10)
    world.plan()

    def answer(message: Message) -> Outcome:
        if message.address.endswith("c5"):
            raise RuntimeError("bug")
        return accept(message)

    run(world.sender(RecordingProvider(answer=answer)))
    assert world.states() == {"sent": 9, "unknown": 1}
    assert run(world.sender(RecordingProvider()))[0].calls == 0


def test_a_lost_answer_is_replayed_with_its_key_and_settled(database: Database) -> None:
    world = make_world(database, customers=40)
    world.plan()
    lost: set[str] = set()

    def answer(message: Message) -> Outcome:
        if message.address not in lost and message.address.endswith("2"):
            lost.add(message.address)
            return refuse(ErrorClass.UNKNOWN_OUTCOME)(message)
        return accept(message)

    provider = RecordingProvider(batch_size=10, keys=True, answer=answer)
    _run_until_settled(world, provider)
    assert world.states() == {"sent": 40}
    assert (len(provider.reached), set(provider.reached.values())) == (40, {1})


def test_refused_keys_burn_no_try(database: Database) -> None:
    world = make_world(database, customers=10)
    world.plan()

    class NoKeys(RecordingProvider):
        async def allocate_keys(self, count: int) -> Any:
            raise KeysRefused(error=ErrorClass.THROTTLED, code="2002", detail=f"not {count} now")

    (report,) = run(world.sender(NoKeys(keys=True, batch_size=10)))
    assert report.next_due_at is not None
    assert world.rows("SELECT max(tries), count(*) FROM deliveries WHERE distribution_id = :distribution_id") == [
        (0, 10)
    ]


def test_a_sender_that_was_taken_for_dead_sends_nothing_that_had_not_begun(database: Database) -> None:
    world = make_world(database, customers=10)
    world.plan()
    now = datetime.now(UTC)
    ledger = world.at_work(lease=timedelta(seconds=5), at=now)
    claimed = ledger.claim(limit=10, replays_of=(), now=now).deliveries
    assert world.reap(now + timedelta(seconds=6)) == Reaped(10, 0)
    later = now + timedelta(seconds=6)
    others = world.at_work(at=later).claim(limit=10, replays_of=(), now=later).deliveries
    seqs = [row.seq for row in claimed]
    assert {row.seq for row in others} == set(seqs)
    with pytest.raises(SenderTakenForDead):
        ledger.begin(account_id=world.account_id, seqs=seqs, keys=None, now=later)
    assert not ledger.beat(later)


def test_rows_of_a_dead_sender_go_back_or_are_in_doubt_and_keep_their_key(database: Database) -> None:
    world = make_world(database, customers=10)
    world.plan()
    now = datetime.now(UTC)
    ledger = world.at_work(lease=timedelta(seconds=5), at=now)
    claimed = ledger.claim(limit=10, replays_of=(), now=now).deliveries
    begun = [row.seq for row in claimed[:4]]
    assert ledger.begin(account_id=world.account_id, seqs=begun, keys=["a", "b", "c", "d"], now=now) == set(begun)
    assert world.reap(now + timedelta(seconds=6)) == Reaped(6, 4)
    assert world.states() == {"planned": 6, "unknown": 4}
    later = now + timedelta(seconds=7)
    replays = world.at_work(at=later).claim(limit=4, replays_of=[world.account_id], now=later).deliveries
    assert sorted(row.key or "" for row in replays) == ["a", "b", "c", "d"]


def test_of_a_row_that_was_tried_before_only_the_last_claim_tells_whether_its_call_may_have_left(
    database: Database,
) -> None:
    world = make_world(database, customers=2)
    world.plan()
    now = datetime.now(UTC)
    ledger = world.at_work(lease=timedelta(seconds=5), at=now)
    claimed = ledger.claim(limit=2, replays_of=(), now=now).deliveries
    ledger.begin(account_id=world.account_id, seqs=[row.seq for row in claimed], keys=None, now=now)
    ledger.record(results=[put_off(row, world.account_id, now) for row in claimed], effects={}, now=now)
    assert len(ledger.claim(limit=2, replays_of=(), now=now).deliveries) == 2
    ledger.begin(account_id=world.account_id, seqs=[claimed[0].seq], keys=None, now=now)
    assert world.reap(now + timedelta(seconds=6)) == Reaped(1, 1)
    assert world.states() == {"retrying": 1, "unknown": 1}


def put_off(row: Claimed, account_id: int, now: datetime) -> Result:
    down, state = ErrorClass.DOWN, DeliveryState.RETRYING
    return Result(row.seq, state, now, down, "503", "busy", None, None, row.tries + 1, now, 1, account_id, None)


def test_suppressed_or_withdrawn_after_planning_is_not_sent(database: Database) -> None:
    world = make_world(database, customers=10)
    world.plan()
    world.change(
        "INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)"
        " SELECT :line, channel, address, 'by_hand', 'test', now() FROM deliveries"
        " WHERE distribution_id = :distribution_id AND address LIKE '%c1'"
    )
    world.change(
        "UPDATE consents SET granted = false WHERE customer_id IN"
        " (SELECT id FROM customers WHERE product_line_id = :line AND external_id = 'c2')"
    )
    provider = RecordingProvider()
    run(world.sender(provider))
    assert world.states() == {"sent": 8, "suppressed": 2}
    assert len(provider.reached) == 8


def test_what_has_not_left_when_the_theme_ends_expires(database: Database) -> None:
    world = make_world(database, customers=10)
    world.plan()
    world.change("UPDATE themes SET ends_at = now() WHERE id = :theme_id")
    provider = RecordingProvider()
    (report,) = run(world.sender(provider))
    assert (report.closed_because, provider.calls) == ("the theme has ended", [])
    assert world.states() == {"expired": 10}


def test_leases_are_kept_while_a_call_takes_long(database: Database) -> None:
    world = make_world(database, customers=4)
    world.plan()
    provider = RecordingProvider(gate=asyncio.Event())

    async def scenario() -> None:
        sender = asyncio.create_task(world.sender(provider, lease=timedelta(seconds=1)).run())
        await until(lambda: len(provider.calls) == 4)
        for _ in range(3):
            await asyncio.sleep(0.6)
            await asyncio.to_thread(world.reap, datetime.now(UTC))
        assert world.states() == {"sending": 4}
        assert provider.gate is not None
        provider.gate.set()
        await sender

    asyncio.run(scenario())
    assert world.states() == {"sent": 4}


def test_an_answer_that_comes_after_the_lease_ran_out_settles_the_doubt(database: Database) -> None:
    world = make_world(database, customers=4)
    world.plan()
    provider = RecordingProvider(gate=asyncio.Event())

    async def scenario() -> None:
        sender = asyncio.create_task(world.sender(provider).run())
        await until(lambda: len(provider.calls) == 4)
        await until_reaped(world)
        assert world.states() == {"unknown": 4}
        assert provider.gate is not None
        provider.gate.set()
        await sender

    asyncio.run(scenario())
    assert world.states() == {"sent": 4}


def test_the_rate_of_an_account_is_kept(database: Database) -> None:
    world = make_world(database, customers=40)
    world.plan()
    provider, times = RecordingProvider(), []

    async def scenario() -> None:
        provider.on_call = lambda _: times.append(asyncio.get_running_loop().time())
        await world.sender(provider).run()

    world.allow(at_most=20)
    asyncio.run(scenario())
    assert times[-1] - times[0] >= 1.0  # no second of all takes more than 20


def _run_until_settled(world: World, provider: RecordingProvider) -> None:
    for _ in range(60):
        (report,) = run(world.sender(provider))
        if report.next_due_at is None:
            return
        _wait_until(report.next_due_at)
    raise AssertionError(f"not settled: {world.states()}")


def _wait_until(due: datetime) -> None:
    async def wait() -> None:
        await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()) + 0.002)

    asyncio.run(wait())
