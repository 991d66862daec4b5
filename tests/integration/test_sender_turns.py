"""Turns among sender runs, on a Prefect server of the test's own."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags
from prefect.client.schemas.objects import FlowRun
from prefect.states import Running

from tasks import turns


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
