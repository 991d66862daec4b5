"""A question waits without a process: whatever dies or is replaced meanwhile, it can be answered, and counts once."""

import contextlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import psutil
import pytest

from tests.acceptance.world import World, wait_until, world_of

pytestmark = pytest.mark.timeout(300)

SERVER, RUNNER, WORKER = "prefect-server", "approvals-runner", "senders-worker"
RECONCILE = "reconcile/scheduled"
FINANCE = ("acc-carl", "acc-cyn", "acc-cora")


@pytest.fixture(scope="module")
def world(installation: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_of(installation.environment, tmp_path_factory.mktemp("world"))


def question_about(world: World, key: str) -> str:
    """The gate run that asks Bob about a new theme."""
    world.draft(world.theme_file(key, author="acc-ann", start=timedelta(days=2), policy="acc-two"), "acc-ann")
    world.sign("submit", key, "acc-ann")
    return str(world.question("acc-bob", key)["id"])


def ready_parts(world: World) -> Mapping[str, int]:
    """Name to pid of what is ready."""
    parts = json.loads(world.cli.run("status", "--json").stdout)["parts"]
    return {part["name"]: int(part["pid"]) for part in parts if part["state"] == "ready" and part["pid"]}


def kill(pids: Mapping[str, int], *names: str) -> None:
    """As when a machine dies: the parts and all that they have started, without a word."""
    for name in names:
        part = psutil.Process(pids[name])
        for process in [part, *part.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def await_replaced(world: World, before: Mapping[str, int], *names: str) -> None:
    """The supervisor has started them anew, and everything is ready."""

    def replaced() -> bool:
        now = ready_parts(world)
        return before.keys() <= now.keys() and all(now[name] != before[name] for name in names)

    wait_until(f"{', '.join(names)} again", replaced, seconds=120)


def assert_counts_once(world: World, key: str, gate: str) -> None:
    """Bob's yes is on record once, the next level is asked once, and nobody had to be alarmed."""
    assert world.wait_for_end(gate) == "Decided"
    asked = {login: world.question(login, key)["id"] for login in FINANCE}
    world.run_deployment(RECONCILE)
    assert world.decisions(key) == [("acc-bob", "approve")]
    assert {login: world.question(login, key)["id"] for login in FINANCE} == asked
    runs = world.api.filter_flow_runs({"tags": {"all_": [f"theme:{key}", "approval"]}})
    assert {run["id"] for run in runs} == {gate, *asked.values()}
    assert world.alerts(key) == []


def test_question_outlives_the_server_the_runner_and_the_worker_and_its_answer_counts_once(world: World) -> None:
    key = "acc-outlives"
    gate = question_about(world, key)
    before = world.api.flow_run(gate)
    pids = ready_parts(world)
    kill(pids, SERVER, RUNNER, WORKER)
    await_replaced(world, pids, SERVER, RUNNER, WORKER)
    world.run_deployment(RECONCILE)
    after = world.api.flow_run(gate)
    assert (after["state_name"], after["state_id"]) == ("Suspended", before["state_id"])
    assert world.answer("acc-bob", key) == gate
    assert_counts_once(world, key, gate)


def test_answer_given_while_no_runner_lives_is_taken_by_the_next_one_and_counts_once(world: World) -> None:
    key = "acc-nobody-home"
    gate = question_about(world, key)
    pids = ready_parts(world)
    kill(pids, RUNNER)
    world.api.resume(gate, world.form("acc-bob"))
    await_replaced(world, pids, RUNNER)
    assert_counts_once(world, key, gate)


def test_question_asked_by_one_runner_is_decided_by_the_newly_deployed_one(world: World) -> None:
    key = "acc-deployed-anew"
    gate = question_about(world, key)
    pids = ready_parts(world)
    psutil.Process(pids[RUNNER]).terminate()  # it may finish what runs, as at a deployment
    await_replaced(world, pids, RUNNER)
    assert world.answer("acc-bob", key) == gate
    assert_counts_once(world, key, gate)
