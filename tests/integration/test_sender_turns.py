"""How many sender runs are started, and turns among them, on a Prefect server of the test's own."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.states import Completed, Running

from channels.service import distribution as service
from models.database import Database
from settings import Settings
from tasks import distribution, turns
from tasks.sender_runs import ensure_senders
from tests.integration.delivery_world import RecordingProvider, World, make_world, run

BATCH = 4


@pytest.fixture
def world(database: Database, monkeypatch: pytest.MonkeyPatch) -> World:
    """Of ten customers, whose account wants three senders at once."""
    made = make_world(database, customers=10)
    made.plan()
    want(made, 3)
    monkeypatch.setattr(distribution, "database", lambda: database)
    monkeypatch.setattr(distribution, "get_settings", lambda: Settings(sender_batch=BATCH))
    return made


def want(world: World, senders: int) -> None:
    limits = f'{{"limits": {{"senders": {senders}}}}}'
    world.change(
        "UPDATE provider_accounts SET settings = settings || CAST(:limits AS jsonb) WHERE key = :key",
        limits=limits,
        key=world.account_key,
    )


def wanted(world: World, *, batch: int = BATCH) -> int:
    with world.database.begin() as session:
        return service.senders_wanted(
            session, distribution_id=world.distribution_id, batch=batch, now=datetime.now(UTC)
        )


def test_an_account_gets_as_many_senders_as_it_wants_and_have_a_batch_of_work(world: World) -> None:
    assert [wanted(world, batch=batch) for batch in (1, 4, 5, 10, 100)] == [3, 3, 2, 1, 1]
    want(world, 1)
    assert wanted(world, batch=1) == 1


def test_no_sender_is_wanted_where_nothing_may_leave_or_nothing_is_left(world: World) -> None:
    world.set_theme("paused")
    assert wanted(world) == 0
    world.set_theme("live")
    run(world.sender(RecordingProvider()))
    assert wanted(world) == 0


def test_senders_that_are_missing_are_started_and_no_more(prefect: SyncPrefectClient, world: World) -> None:
    flow = prefect.create_flow_from_name("send-deliveries")
    prefect.create_deployment(flow_id=flow, name="for-channel")
    started = ensure_senders.fn(world.distribution_id, "push", world.theme_key)
    assert len(started) == len(set(started)) == 3
    assert {one.id for one in of(prefect, world.distribution_id)} == set(started)
    assert ensure_senders.fn(world.distribution_id, "push", world.theme_key) == []
    prefect.set_flow_run_state(started[0], Completed(), force=True)
    assert len(ensure_senders.fn(world.distribution_id, "push", world.theme_key)) == 1


@pytest.fixture
def deployment(prefect: SyncPrefectClient, request: pytest.FixtureRequest) -> UUID:
    flow = prefect.create_flow_from_name("send-deliveries")
    return prefect.create_deployment(flow_id=flow, name=request.node.name)


def sender(prefect: SyncPrefectClient, deployment: UUID, number: int, *, works: bool = False) -> UUID:
    """A run that waits, or that has begun just now."""
    run = prefect.create_flow_run_from_deployment(
        deployment, parameters={"distribution_id": number}, name=f"Send · {number}", tags=[f"distribution:{number}"]
    )
    if works:
        prefect.set_flow_run_state(run.id, Running(), force=True)
    return run.id


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(turns, "clock", lambda: datetime.now(UTC) + timedelta(seconds=seconds))


def of(prefect: SyncPrefectClient, number: int) -> list[FlowRun]:
    wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[f"distribution:{number}"]))
    return prefect.read_flow_runs(flow_run_filter=wanted)


def test_a_sender_that_others_wait_for_queues_again_behind_them(
    prefect: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = sender(prefect, deployment, 1, works=True)
    sender(prefect, deployment, 2)
    assert not turns.give_way(works)
    later(monkeypatch, 61)
    assert turns.give_way(works)
    successor = next(run for run in of(prefect, 1) if run.id != works)
    assert (successor.name, successor.parameters) == ("Send · 1", {"distribution_id": 1})
    assert successor.deployment_id == deployment


def test_who_has_worked_longest_gives_way(
    prefect: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = [sender(prefect, deployment, 10 + number, works=True) for number in range(3)]
    sender(prefect, deployment, 20)
    later(monkeypatch, 61)
    assert [turns.give_way(run) for run in reversed(at_work)] == [False, False, True]


def test_a_sender_that_nobody_waits_for_works_on(
    prefect: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = sender(prefect, deployment, 30, works=True)
    later(monkeypatch, 61)
    assert not turns.give_way(works)


def test_the_end_of_a_turn_asks_the_sender_to_stop(
    prefect: SyncPrefectClient, deployment: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    works = sender(prefect, deployment, 40, works=True)
    sender(prefect, deployment, 41)
    later(monkeypatch, 61)
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.01)

    async def work() -> bool:
        stop = asyncio.Event()
        ended = await turns.end_turn(stop, run_id=works)
        return ended and stop.is_set()

    assert asyncio.run(work())


def test_a_sender_that_is_stopped_otherwise_keeps_its_turn(prefect: SyncPrefectClient, deployment: UUID) -> None:
    works = sender(prefect, deployment, 50, works=True)

    async def work() -> bool:
        stop = asyncio.Event()
        stop.set()
        return await turns.end_turn(stop, run_id=works)

    assert not asyncio.run(work())
    assert len(of(prefect, 50)) == 1
