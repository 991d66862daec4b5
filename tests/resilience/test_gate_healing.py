"""Everything at once that can be done to gates and launches in Prefect: one cycle of the reconciler heals it all."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import yaml
from sqlalchemy import text

from approval.form import form_schema, form_version, schema_version
from approval.gates import BRIEFLY
from approval.keys import input_keys
from approval.states import TaskState
from console.demo.approvers import waiting_question
from console.demo.cast import Authenticator
from console.prefect_api import PrefectRefused
from models.approval import Task
from models.queries import alerts, approvals, themes
from tests.acceptance.world import Prefect, World, secret_of, task_of, wait_until, world_of
from tests.resilience.patience import PatientPrefect

pytestmark = pytest.mark.timeout(480)  # the first test springs all the traps

KEY = "acc-healing"
RECONCILE = "reconcile/scheduled"
GATE, LAUNCH = "approval-gate/per-task", "distribute-theme/at-start"
FAR_OFF = "2099-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Gate:
    """One person's question, and the run that shows it."""

    world: World
    prefect: Prefect
    login: str
    task_id: int
    run: str

    @property
    def keys(self) -> dict[str, str]:
        return input_keys(self.task_id, 1)

    def pause(self, **details: object) -> None:
        """Paused again by force, in another way than the one in which it waits for its answer."""
        sound = {"pause_key": f"t{self.task_id}-a1", "pause_reschedule": True, "run_input_keyset": self.keys}
        self.force("PAUSED", "Suspended", **sound | details)

    def force(self, kind: str, name: str | None = None, **details: object) -> None:
        state = {"type": kind, "state_details": details} | ({"name": name} if name else {})
        self.prefect.call("POST", f"/flow_runs/{self.run}/set_state", {"state": state, "force": True})

    def patch(self, **changes: object) -> None:
        self.prefect.call("PATCH", f"/flow_runs/{self.run}", changes)

    def forget(self, part: str) -> None:
        self.prefect.call("DELETE", f"/flow_runs/{self.run}/input/{self.keys[part]}")

    def say(self, part: str, value: object) -> None:
        self.prefect.call("POST", f"/flow_runs/{self.run}/input", {"key": self.keys[part], "value": json.dumps(value)})

    def alter(self, part: str, value: object) -> None:
        self.forget(part)
        self.say(part, value)

    def sql(self, change: str) -> None:
        """What a process leaves in the database that dies half-way."""
        with self.world.database.begin() as session:
            change = f"UPDATE tasks SET {change} WHERE id = :id"  # noqa: S608 - a line of the tables below
            session.execute(text(change), {"id": self.task_id})

    def lose_form(self) -> None:
        self.sql("gate_ready = false, form_version = NULL")
        self.forget("schema")
        self.forget("description")

    def grow_old(self) -> None:
        """Opened before a deployment that added a field to the form."""
        path = f"/flow_runs/{self.run}/input/{self.keys['description']}"
        schema = form_schema(self.prefect.call("GET", path))
        del schema["properties"]["to_level"]
        self.alter("schema", schema)
        self.sql(f"form_version = '{schema_version(schema)}-' || split_part(form_version, '-', 2)")


#: What is done to a waiting gate -> what the one alert says of it. Each question gets a new run.
BYPASSES: Mapping[str, tuple[Callable[[Gate], None], str]] = {
    "completed": (lambda gate: gate.force("COMPLETED"), "was ended (Completed)"),
    "failed": (lambda gate: gate.force("FAILED"), "was ended (Failed)"),
    "crashed": (lambda gate: gate.force("CRASHED"), "was ended (Crashed)"),
    "cancelled": (lambda gate: gate.force("CANCELLED"), "was ended (Cancelled)"),
    "cancelling": (lambda gate: gate.force("CANCELLING"), "was ended (Cancell"),
    "deleted": (lambda gate: gate.prefect.call("DELETE", f"/flow_runs/{gate.run}"), "was deleted"),
    "running": (lambda gate: gate.force("RUNNING"), "going without an answer"),
    "pending": (lambda gate: gate.force("PENDING"), "going without an answer"),
    "put-off": (lambda gate: gate.force("SCHEDULED", scheduled_time=FAR_OFF), "its run was put off"),
    "paused-by-hand": (lambda gate: gate.force("PAUSED"), "another form"),
    "paused-with-another-key": (lambda gate: gate.pause(pause_key="t1-a1"), "another form"),
    "no-form-wanted": (lambda gate: gate.pause(run_input_keyset=None), "form in another place"),
    "never-rescheduled": (lambda gate: gate.pause(pause_reschedule=False), "no answer would start it"),
    "timing-out": (lambda gate: gate.pause(pause_timeout=FAR_OFF), "no answer would start it"),
    "parameters": (lambda gate: gate.patch(parameters={"task_id": 1}), "was given parameters"),
    "planted": (lambda gate: gate.say("response", gate.world.form(gate.login, code="000000")), "was planted"),
    "no-schema": (lambda gate: gate.forget("schema"), "form was altered or is missing"),
    "any-schema": (lambda gate: gate.alter("schema", {"type": "object"}), "form was altered"),
    "no-brief": (lambda gate: gate.forget("description"), "brief was altered or is missing"),
    "another-brief": (lambda gate: gate.alter("description", "A budget of 1 GBP."), "brief was altered"),
}
#: Put right in the run as it is: nothing was bypassed by it.
MENDED: Mapping[str, Callable[[Gate], None]] = {
    "renamed": lambda gate: gate.patch(name="gone fishing"),
    "in-anothers-inbox": lambda gate: gate.patch(tags=[f"theme:{KEY}", "approver:acc-bob", "level:1"]),
    "form-never-saved": Gate.lose_form,
    "run-never-tied": lambda gate: gate.sql("gate_ready = false, form_version = NULL, flow_run_id = NULL"),
}
#: Opened anew without an alarm.
RENEWED: Mapping[str, Callable[[Gate], None]] = {
    "untied-and-moved-on": lambda gate: gate.sql("gate_ready = false, flow_run_id = NULL, attempt = 2"),
    "old-form": Gate.grow_old,
}
DECIDED, MISLED = "decided", "misled"
EVERY = (*BYPASSES, *MENDED, *RENEWED, DECIDED, MISLED)
AUTHOR = "acc-h-author"


def login_of(trap: str) -> str:
    return f"acc-h-{trap}"


@pytest.fixture(scope="module")
def world(installation: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world that all share, with an author and a juror for each trap."""
    world = world_of(installation.environment, tmp_path_factory.mktemp("world"))
    for login in (AUTHOR, *map(login_of, EVERY)):
        added = world.cli.json("people", "add", login, "--name", login)
        world.people[login] = Authenticator(secret=secret_of(added["enrolment_link"]))
    jury = [{"level": "jury", "approvers": [*map(login_of, EVERY)], "quorum": "all"}]
    policy = {"policy": "acc-healing", "fallback": "acc-sid", "theme": jury, "coupon": "none", "activity": "none"}
    (world.folder / "acc-healing.yaml").write_text(yaml.safe_dump(policy))
    world.cli.json("policy", "apply", str(world.folder / "acc-healing.yaml"))
    return world


@pytest.fixture(scope="module")
def prefect(installation: Any) -> Prefect:
    return PatientPrefect(installation.environment)


@pytest.fixture(scope="module")
def gates(world: World, prefect: Prefect) -> dict[str, Gate]:
    """A theme in review, and one waiting gate a trap."""
    world.draft(world.theme_file(KEY, author=AUTHOR, start=timedelta(days=2), policy="acc-healing"), AUTHOR)
    world.sign("submit", KEY, AUTHOR)
    found = {}
    for trap in EVERY:
        run = world.question(login_of(trap), KEY)["id"]
        found[trap] = Gate(world, prefect, login_of(trap), task_of(world, run).id, run)
    return found


@pytest.fixture(scope="module")
def stray(prefect: Prefect) -> str:
    """A gate that somebody made by hand, to be answered by a person who takes it for ours."""
    deployment = prefect.call("GET", f"/deployments/name/{GATE}")["id"]
    state = {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_key": "t1-a9", "pause_reschedule": True}}
    run = prefect.call("POST", f"/deployments/{deployment}/create_flow_run", {"state": state, "name": "Approve · all"})
    return str(run["id"])


@pytest.fixture(scope="module")
def healed(world: World, gates: dict[str, Gate], stray: str) -> dict[str, Task]:
    """Every trap is sprung, then the reconciler runs. Returns the questions as they are then."""
    world.answer(gates[DECIDED].login, KEY)
    assert world.wait_for_end(gates[DECIDED].run) == "Decided"
    gates[DECIDED].pause()
    for trap, (spring, _) in BYPASSES.items():
        spring(gates[trap])
    for trap, spring in {**MENDED, **RENEWED}.items():
        spring(gates[trap])
    sprung = datetime.now(UTC)
    wait_until("runs that are old enough", lambda: datetime.now(UTC) > sprung + BRIEFLY)
    world.run_deployment(RECONCILE)
    world.run_deployment(RECONCILE)  # which finds nothing more, and says nothing more
    with world.database.begin() as session:
        tasks = {trap: approvals.task_by_id(session, gate.task_id) for trap, gate in gates.items()}
    assert world.run_state(stray) == "CANCELLED"
    return tasks


def alerts_about(world: World, login: str) -> list[tuple[str, str, int]]:
    with world.database.begin() as session:
        return [(one.key, one.text, one.times_seen) for one in alerts.alerts(session) if f" {login} " in one.text]


def is_waiting(world: World, login: str, task: Task) -> bool:
    """As its person finds it: in her inbox, with its form."""
    run = waiting_question(world.api, login, KEY)
    return run is not None and UUID(run["id"]) == task.flow_run_id


@pytest.mark.parametrize("trap", BYPASSES)
def test_bypassed_gate_decides_nothing_is_alerted_once_and_replaced(
    world: World, gates: dict[str, Gate], healed: dict[str, Task], trap: str
) -> None:
    task, gate = healed[trap], gates[trap]
    ((key, told, times_seen),) = alerts_about(world, gate.login)
    assert (key, times_seen) == (f"gate:{gate.task_id}:1", 1)
    assert BYPASSES[trap][1] in told
    assert (task.state, task.attempt, task.gate_ready) == (TaskState.OPEN, 2, True)
    assert task.flow_run_id != UUID(gate.run)
    assert is_waiting(world, gate.login, task)
    assert state_of(world, gate.run) in {"GONE", "COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def state_of(world: World, run: str) -> str:
    try:
        return world.run_state(run)
    except PrefectRefused:
        return "GONE"


@pytest.mark.parametrize("trap", MENDED)
def test_gate_that_was_mislabelled_or_half_opened_is_mended_as_it_is(
    world: World, gates: dict[str, Gate], healed: dict[str, Task], trap: str
) -> None:
    task, gate = healed[trap], gates[trap]
    assert (task.state, task.attempt, task.gate_ready, task.flow_run_id) == (TaskState.OPEN, 1, True, UUID(gate.run))
    assert is_waiting(world, gate.login, task)
    run = world.api.flow_run(gate.run)
    assert run["name"].endswith(f" · level 1 jury · {gate.login}")
    assert {f"theme:{KEY}", f"approver:{gate.login}", "level:1"} <= {*run["tags"]}
    assert "approver:acc-bob" not in run["tags"]
    told = [key for key, *_ in alerts_about(world, gate.login)]
    assert told == ([f"gate-labels:{gate.task_id}:1"] if trap in {"renamed", "in-anothers-inbox"} else [])


@pytest.mark.parametrize("trap", RENEWED)
def test_gate_left_by_a_death_or_by_a_deployment_is_opened_anew_without_an_alarm(
    world: World, gates: dict[str, Gate], healed: dict[str, Task], trap: str
) -> None:
    task, gate = healed[trap], gates[trap]
    assert (task.state, task.attempt, task.gate_ready, task.ask_again_because) == (TaskState.OPEN, 2, True, None)
    assert is_waiting(world, gate.login, task)
    assert state_of(world, gate.run) == "CANCELLED"
    assert alerts_about(world, gate.login) == []


@pytest.mark.usefixtures("healed")
def test_deployment_that_changed_the_form_and_gate_of_nobody_are_told_once_each(world: World, stray: str) -> None:
    with world.database.begin() as session:
        told = {one.key: one.times_seen for one in alerts.alerts(session)}
    assert told[f"form:{form_version()}"] == 1
    assert told[f"stray-gate:{stray}"] == 1


def test_decided_question_forced_back_into_an_inbox_is_closed(
    world: World, gates: dict[str, Gate], healed: dict[str, Task]
) -> None:
    assert state_of(world, gates[DECIDED].run) == "CANCELLED"
    assert healed[DECIDED].state is TaskState.DECIDED
    assert world.decisions(KEY) == [(gates[DECIDED].login, "approve")]


@pytest.mark.usefixtures("healed")
def test_answer_on_an_altered_brief_is_not_taken_even_where_nobody_has_seen_it_yet(
    world: World, gates: dict[str, Gate]
) -> None:
    gate = gates[MISLED]
    gate.alter("description", "A budget of 1 GBP.")
    world.api.resume(gate.run, world.form(gate.login))
    wait_until("asked again", lambda: world.run_state(gate.run) == "PAUSED" and task_of(world, gate.run).attempt == 2)
    ((key, told, _),) = alerts_about(world, gate.login)
    assert (key, "brief was altered" in told) == (f"gate:{gate.task_id}:1", True)
    assert gate.login not in dict(world.decisions(KEY))
    world.answer(gate.login, KEY)
    wait_until("her decision", lambda: gate.login in dict(world.decisions(KEY)))


LAUNCHES: Mapping[str, tuple[Callable[[Prefect, str], object], str]] = {
    "deleted": (lambda prefect, run: prefect.call("DELETE", f"/flow_runs/{run}"), "was deleted"),
    "paused": (lambda prefect, run: prefect.force(run, "PAUSED"), "was paused"),
    "misdirected": (
        lambda prefect, run: prefect.call("PATCH", f"/flow_runs/{run}", {"parameters": {"theme_id": 1}}),
        "given other parameters",
    ),
    "put-off": (
        lambda prefect, run: prefect.call(
            "POST",
            f"/flow_runs/{run}/set_state",
            {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": FAR_OFF}}, "force": True},
        ),
        "was put off",
    ),
}


def launch_run(world: World, key: str) -> str:
    with world.database.begin() as session:
        theme = themes.theme_by_key(session, key)
    assert theme is not None
    return str(theme.launch_run_id)


def test_launch_run_that_would_not_start_its_theme_is_replaced_and_one_of_no_theme_cancelled(
    world: World, prefect: Prefect
) -> None:
    runs = {}
    for trap in LAUNCHES:
        key = f"acc-launch-{trap}"
        world.draft(world.theme_file(key, author=AUTHOR, start=timedelta(days=2), policy="acc-none"), AUTHOR)
        world.sign("submit", key, AUTHOR)
        world.wait_for_state(key, "scheduled")
        runs[key] = launch_run(world, key)
    deployment = prefect.call("GET", f"/deployments/name/{LAUNCH}")["id"]
    late: dict[str, object] = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": FAR_OFF}}}
    late |= {"parameters": {"theme_id": 1, "revision_id": 1}}
    unwanted = prefect.call("POST", f"/deployments/{deployment}/create_flow_run", late)["id"]
    for trap, (spring, _) in LAUNCHES.items():
        spring(prefect, runs[f"acc-launch-{trap}"])
    made = datetime.now(UTC)
    wait_until("a run that is old enough", lambda: datetime.now(UTC) > made + BRIEFLY)
    world.run_deployment(RECONCILE)
    for trap, (_, words) in LAUNCHES.items():
        key = f"acc-launch-{trap}"
        assert words in " ".join(alert.text for alert in world.alerts(key))
        anew = launch_run(world, key)
        assert anew != runs[key]
        assert world.run_state(anew) == "SCHEDULED"
        assert state_of(world, runs[key]) in {"GONE", "CANCELLED"}
    assert world.run_state(unwanted) == "CANCELLED"
