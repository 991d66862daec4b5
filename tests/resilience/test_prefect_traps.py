"""Whatever is done to gate runs in Prefect: only a person's own answer decides, and every question comes back."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from approval.service.rounds import close_round
from approval.states import RoundState, TaskState
from console.prefect_api import PrefectApi, PrefectRefused
from models.queries import approvals, themes
from tests.acceptance.world import JURY, ROOT, Prefect, World, task_of, wait_until, world_of
from tests.resilience.patience import PatientPrefect
from themes.service.finding import require_theme

pytestmark = pytest.mark.timeout(480)  # the first test waits for the installation as well

KEY = "acc-traps"
RECONCILE = "reconcile/scheduled"
CANCELLED, DELETED, FORCED, PLANTED, STALE, TWICE, KILLED = JURY


@pytest.fixture(scope="module")
def world(installation: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_of(installation.environment, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def gates(world: World) -> dict[str, str]:
    """A theme in review, seven people asked at once: login -> gate run."""
    file = world.theme_file(KEY, author="acc-cyn", start=timedelta(days=2), policy="acc-jury")
    world.draft(file, "acc-cyn")
    world.sign("submit", KEY, "acc-cyn")
    return {login: world.question(login, KEY)["id"] for login in JURY}


@pytest.fixture(scope="module")
def prefect(installation: Any) -> Prefect:
    return PatientPrefect(installation.environment)


def keyset(world: World, run: str) -> dict[str, str]:
    found: dict[str, str] = world.api.flow_run(run)["state"]["state_details"]["run_input_keyset"]
    return found


def test_run_that_was_cancelled_deleted_or_forced_on_decides_nothing_and_is_replaced_with_one_alert(
    world: World, prefect: Prefect, gates: dict[str, str]
) -> None:
    prefect.force(gates[CANCELLED], "CANCELLED")
    prefect.call("DELETE", f"/flow_runs/{gates[DELETED]}")
    prefect.force(gates[FORCED], "COMPLETED")
    world.run_deployment(RECONCILE)
    hurt = (CANCELLED, DELETED, FORCED)
    new = {login: world.question(login, KEY)["id"] for login in hurt}
    assert not {*new.values()} & {*gates.values()}
    assert world.decisions(KEY) == []
    assert sorted(alert.text.split()[3] for alert in world.alerts(KEY)) == sorted(hurt)
    world.run_deployment(RECONCILE)
    assert {login: world.question(login, KEY)["id"] for login in hurt} == new
    assert [alert.times_seen for alert in world.alerts(KEY)] == [1, 1, 1]
    for login in hurt:
        world.answer(login, KEY)
    wait_until("three decisions", lambda: {*world.decisions(KEY)} == {(login, "approve") for login in hurt})


def test_planted_answer_with_a_code_that_is_not_hers_decides_nothing_and_she_is_asked_again(
    world: World, prefect: Prefect, gates: dict[str, str]
) -> None:
    run = gates[PLANTED]
    prefect.plant(run, keyset(world, run)["response"], world.form(PLANTED, code="000000"))
    prefect.force(run, "SCHEDULED", "Resuming")
    wait_until("asked again", lambda: world.run_state(run) == "PAUSED" and task_of(world, run).attempt == 2)
    description = wait_until("brief", lambda: world.api.read_input(run, keyset(world, run)["description"]))
    assert json.loads(description).startswith("**Asked again: The one")
    assert PLANTED not in dict(world.decisions(KEY))


def test_run_forced_on_without_an_answer_decides_nothing_is_alerted_and_asks_again(
    world: World, prefect: Prefect, gates: dict[str, str]
) -> None:
    run = gates[PLANTED]
    prefect.force(run, "SCHEDULED", "Resuming")
    wait_until("asked again", lambda: world.run_state(run) == "PAUSED" and task_of(world, run).attempt == 3)
    assert [alert.key for alert in world.alerts(KEY) if f" {PLANTED} " in alert.text] == [
        f"gate:{task_of(world, run).id}:2"
    ]
    assert PLANTED not in dict(world.decisions(KEY))
    world.answer(PLANTED, KEY)
    wait_until("her decision", lambda: PLANTED in dict(world.decisions(KEY)))


def test_answer_to_the_old_form_after_asking_again_is_not_taken(
    world: World, prefect: Prefect, gates: dict[str, str]
) -> None:
    run = gates[STALE]
    old = keyset(world, run)
    world.api.resume(run, world.form(STALE, code="000000"))
    wait_until("asked again", lambda: world.run_state(run) == "PAUSED" and task_of(world, run).attempt == 2)
    prefect.call("DELETE", f"/flow_runs/{run}/input/{old['response']}")
    prefect.plant(run, old["response"], world.form(STALE))
    prefect.force(run, "SCHEDULED", "Resuming")
    wait_until("asked once more", lambda: world.run_state(run) == "PAUSED" and task_of(world, run).attempt == 3)
    assert STALE not in dict(world.decisions(KEY))
    world.answer(STALE, KEY)
    wait_until("her decision", lambda: STALE in dict(world.decisions(KEY)))


def test_answering_twice_at_once_decides_once(world: World, installation: Any, gates: dict[str, str]) -> None:
    form, outcomes = world.form(TWICE), []

    def press() -> None:
        with PrefectApi.from_environment(installation.environment) as api:
            try:
                api.resume(gates[TWICE], form)
            except PrefectRefused as refused:
                outcomes.append(str(refused))
            else:
                outcomes.append("accepted")

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("accepted") >= 1
    assert world.wait_for_end(gates[TWICE]) == "Decided"
    assert world.decisions(KEY).count((TWICE, "approve")) == 1
    with pytest.raises(PrefectRefused):
        world.api.resume(gates[TWICE], form)


def runner_pid(world: World) -> int:
    status = json.loads(world.cli.run("status", "--json").stdout)
    return int(next(part["pid"] or 0 for part in status["parts"] if part["name"] == "approvals-runner"))


def kill_runner(world: World) -> None:
    """The runner and every flow run that it has started, as when a machine dies."""
    runner = psutil.Process(runner_pid(world))
    for process in [runner, *runner.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            os.kill(process.pid, signal.SIGKILL)
    wait_until("another runner", lambda: runner_pid(world) not in {0, runner.pid})


def reconcile_at_once(installation: Any) -> None:
    """The reconciler in a process of its own, which takes every run without a process for lost by now."""
    subprocess.run(
        [sys.executable, "-c", "from flows.reconcile import reconcile; reconcile()"],
        cwd=ROOT,
        env={**os.environ, **installation.environment, "THEMELINE_LOST_RUN_AFTER": "PT0S"},
        check=True,
        capture_output=True,
        timeout=60,
    )


def waiting_for_a_lock(world: World) -> bool:
    with world.database.begin() as session:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
        return bool(session.scalar(text(waiting)))


def test_runner_killed_before_the_decision_is_on_record_loses_no_question(
    world: World, installation: Any, gates: dict[str, str]
) -> None:
    with world.database.begin() as session:
        assert themes.theme_by_key(session, KEY, lock=True)  # the decision has to wait for this lock
        world.api.resume(gates[KILLED], world.form(KILLED))
        wait_until("the decision under way", lambda: waiting_for_a_lock(world))
        kill_runner(world)
    assert KILLED not in dict(world.decisions(KEY))
    reconcile_at_once(installation)
    assert world.run_state(gates[KILLED]) == "CANCELLED"
    world.answer(KILLED, KEY)
    world.wait_for_state(KEY, "scheduled")
    assert {*world.decisions(KEY)} == {(login, "approve") for login in JURY}


def test_runner_killed_after_the_decision_is_on_record_still_has_its_effects(world: World, installation: Any) -> None:
    key = "acc-killed"
    world.draft(world.theme_file(key, author="acc-sue", start=timedelta(days=2), policy="acc-two"), "acc-sue")
    world.sign("submit", key, "acc-sue")
    gate = world.question("acc-bob", key)["id"]
    world.api.resume(gate, world.form("acc-bob"))
    wait_until("the decision", lambda: task_of(world, gate).state is TaskState.DECIDED)
    kill_runner(world)
    reconcile_at_once(installation)
    assert world.decisions(key) == [("acc-bob", "approve")]
    assert all(world.question(login, key) for login in ("acc-carl", "acc-cyn", "acc-cora"))


def test_gate_whose_question_was_cancelled_while_it_was_being_opened_is_closed(world: World) -> None:
    key = "acc-half-open"
    world.draft(world.theme_file(key, author="acc-tara", start=timedelta(days=2), policy="acc-two"), "acc-tara")
    world.sign("submit", key, "acc-tara")
    gate = world.question("acc-bob", key)["id"]
    with world.database.begin() as session:
        # As a process leaves it that dies after it has tied the run to its question, and before it notes the form.
        approvals.task_by_id(session, task_of(world, gate).id, lock=True).gate_ready = False
        theme = require_theme(session, key, lock=True)
        (a_round,) = approvals.rounds(session, theme.id)
        close_round(session, theme=theme, a_round=a_round, state=RoundState.WITHDRAWN, now=datetime.now(UTC))
    world.run_deployment(RECONCILE)
    assert world.run_state(gate) == "CANCELLED"
