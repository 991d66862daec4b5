"""A sender whose process stalled for longer than its lease: others have gone on meanwhile, and it finds out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.logging import disable_run_logger

from channels import service
from channels.engine import MOVES
from channels.errors import SenderTakenForDead
from channels.line import Line
from channels.message import Message, Outcome, PushContent
from channels.sender import SenderReport
from channels.states import ErrorClass
from models.database import Database
from models.queries.deliveries import Reaped
from settings import get_settings
from tasks import sending
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

SOON = timedelta(hours=1)  # long after any lease here


@pytest.fixture(autouse=True, scope="module")
def _only_moves_of_the_table(database: Database) -> None:
    guard_moves(database, "deliveries", MOVES)


def now() -> datetime:
    return datetime.now(UTC)


def world_of(database: Database, customers: int) -> World:
    world = make_world(database, customers=customers)
    world.plan()
    return world


def stalled(
    world: World, provider: RecordingProvider, *, in_flight: int, meanwhile: Callable[[], Awaitable[object]]
) -> SenderReport:
    """A sender that is reaped while so many calls are in flight; what others do `meanwhile`; then the answers come."""
    provider.gate = asyncio.Event()

    async def scenario() -> SenderReport:
        assert provider.gate is not None
        sender = asyncio.create_task(world.sender(provider, batch=in_flight, concurrency=in_flight).run())
        await until(lambda: len(provider.calls) == in_flight)
        await until_reaped(world)
        await meanwhile()
        provider.gate.set()
        return await sender

    return asyncio.run(scenario())


async def nothing() -> None:
    return


@pytest.mark.parametrize("is_reaped", [True, False])
def test_a_claim_says_that_the_sender_was_taken_for_dead_and_takes_nothing(
    database: Database, *, is_reaped: bool
) -> None:
    world = world_of(database, 4)
    ledger = world.at_work()
    later = now() + SOON
    if is_reaped:
        world.reap(later)

    with pytest.raises(SenderTakenForDead, match=r"for 30 s.*start a sender anew"):
        ledger.claim(limit=4, replays_of=(), now=later)

    assert world.states() == {"planned": 4}


def test_a_sender_is_not_reaped_while_its_claim_is_under_way(database: Database) -> None:
    world = world_of(database, 4)
    ledger = world.at_work(lease=timedelta(seconds=5))
    with database.begin() as claiming:
        ledger._be_alive(claiming, now())
        assert world.reap(now() + SOON) == Reaped(0, 0)
        assert world.rows("SELECT count(*) FROM senders WHERE distribution_id = :distribution_id") == [(1,)]
    world.reap(now() + SOON)
    assert world.rows("SELECT count(*) FROM senders WHERE distribution_id = :distribution_id") == [(0,)]


def test_it_stops_claiming_writes_down_what_came_of_its_calls_and_another_sends_the_rest(database: Database) -> None:
    world, provider = world_of(database, 12), RecordingProvider()

    report = stalled(world, provider, in_flight=4, meanwhile=nothing)

    assert report.taken_for_dead
    assert "start a sender anew" in (report.closed_because or "")
    assert world.states() == {"sent": 4, "planned": 8}
    (fresh,) = run(world.sender(provider))
    assert not fresh.taken_for_dead
    assert world.states() == {"sent": 12}
    assert set(provider.reached.values()) == {1}


def test_what_a_later_sender_decided_stands_whatever_it_heard_itself(database: Database) -> None:
    world = world_of(database, 4)
    provider, other = (
        RecordingProvider(keys=True, answer=refuse(ErrorClass.BAD_RECIPIENT)),
        RecordingProvider(keys=True),
    )

    async def replay() -> None:
        world.change("UPDATE deliveries SET due_at = now() WHERE distribution_id = :distribution_id")
        await world.sender(other).run()

    report = stalled(world, provider, in_flight=4, meanwhile=replay)

    assert report.taken_for_dead
    assert world.states() == {"sent": 4}
    tries = (
        "SELECT count(*) FROM attempts a JOIN deliveries d ON d.seq = a.delivery_seq"
        " WHERE d.distribution_id = :distribution_id"
    )
    assert world.rows(tries) == [(8,)]  # what it heard is on record all the same


def test_calls_that_waited_for_a_slot_when_it_was_taken_for_dead_are_in_doubt_no_more(database: Database) -> None:
    world = world_of(database, 6)
    ledger = world.at_work()
    claimed = [row.seq for row in ledger.claim(limit=6, replays_of=(), now=now()).deliveries]
    ledger.begin(account_id=world.account_id, seqs=claimed[:4], keys=None, now=now())
    ledger.begin(account_id=world.account_id, seqs=claimed[4:], keys=["a", "b"], now=now())
    assert world.reap(now() + SOON) == Reaped(0, 6)

    world.at_work().release(claimed, now())  # another cannot know
    assert world.states() == {"unknown": 6}
    ledger.release([*claimed[:3], *claimed[4:]], now())

    assert world.states() == {"retrying": 3, "unknown": 3}  # with a key, a replay tells
    again = world.at_work().claim(limit=6, replays_of=(), now=now()).deliveries
    assert sorted(row.seq for row in again) == claimed[:3]


def test_its_next_sign_of_life_ends_it_even_while_all_its_slots_are_busy(database: Database) -> None:
    world, provider = world_of(database, 6), RecordingProvider(gate=asyncio.Event())

    async def scenario() -> SenderReport:
        assert provider.gate is not None
        sender = world.sender(provider, lease=timedelta(seconds=0.6), batch=6, concurrency=2)
        running = asyncio.create_task(sender.run())
        await until(lambda: len(provider.calls) == 2)
        await until_reaped(world)
        await until(lambda: sender._taken_for_dead)
        provider.gate.set()
        return await running

    report = asyncio.run(scenario())
    assert report.taken_for_dead
    assert world.states() == {"sent": 2, "planned": 4}


def test_what_goes_on_after_its_distribution_was_complete_opens_it_again(database: Database) -> None:
    world = world_of(database, 4)
    throttled = True

    def answer(message: Message) -> Outcome:
        return refuse(ErrorClass.THROTTLED, about_recipient=True)(message) if throttled else accept(message)

    async def complete() -> None:
        world.change("UPDATE distributions SET state = 'complete', completed_at = now() WHERE id = :distribution_id")

    provider = RecordingProvider(answer=answer)
    stalled(world, provider, in_flight=4, meanwhile=complete)
    assert world.states() == {"retrying": 4}

    with database.begin() as session:
        service.sweep_deliveries(session, now=now())
    throttled = False
    run(world.sender(provider))
    assert world.states() == {"sent": 4}


def test_what_it_could_not_begin_goes_back_even_where_nobody_has_reaped_it(database: Database) -> None:
    world, provider, behind = world_of(database, 4), RecordingProvider(), [timedelta()]

    def stalls(recipient: Mapping[str, Any]) -> PushContent:
        behind[0] = SOON  # between the claim and the call
        return push_text(recipient)

    (report,) = run(world.sender(provider, render=stalls, clock=lambda: now() + behind[0]))

    assert (report.taken_for_dead, provider.calls) == (True, [])
    assert world.states() == {"planned": 4}
    run(world.sender(provider))
    assert world.states() == {"sent": 4}


def test_its_run_ends_with_that_reason_and_a_run_that_is_started_anew_sends_the_rest(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, provider = world_of(database, 6), RecordingProvider()

    @asynccontextmanager
    async def lines(*_: object) -> AsyncIterator[list[Line]]:
        yield [world.line(provider, concurrency=2)]

    def reap(_: object) -> None:
        while world.rows("SELECT 1 FROM senders WHERE distribution_id = :distribution_id"):
            world.reap(now() + SOON)

    monkeypatch.setattr(sending, "_lines", lines)
    monkeypatch.setattr(sending, "database", lambda: database)
    monkeypatch.setattr(get_settings(), "sender_batch", 2)
    work = sending.Work(distribution_id=world.distribution_id, theme=world.theme_key, accounts=[], render=push_text)
    provider.on_call = reap
    with disable_run_logger(), pytest.raises(SenderTakenForDead, match="start a sender anew"):
        asyncio.run(sending._send_until(asyncio.Event(), work))
    assert world.states() == {"sent": 2, "planned": 4}

    provider.on_call = lambda _: None
    with disable_run_logger():
        asyncio.run(sending._send_until(asyncio.Event(), work))
    assert world.states() == {"sent": 6}
