"""One installation of small flows, in the order of its life: up, seen, hurt, healed, used, ended."""

import json
import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import psycopg2.errors
import pytest
from pydantic import SecretStr
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from console.prefect_api import PrefectApi, PrefectRefused
from console.supervisor.environment import load_environment
from console.supervisor.layout import Layout
from console.supervisor.plan import external_database
from console.supervisor.processes import marked
from settings import Settings

TRIAL = Path(__file__).parent / "trial"
STEPS = {"migrations": "done", "deployments": "done"}
SERVICES = ("prefect-server", "postgres", "approvals-runner", "senders-worker", "http-service", "sandbox")

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory, themeline_at: Callable[..., Any]) -> Iterator[Any]:
    variables = {"THEMELINE_PREFECT_FILE": str(TRIAL / "prefect.yaml"), "PYTHONPATH": str(TRIAL)}
    themeline = themeline_at(tmp_path_factory.mktemp("trial"), **variables)
    try:
        themeline.json("up", "--dev-key")
        yield themeline
    finally:
        themeline.run("down")


def pids(status: Any) -> dict[str, int]:
    return {part["name"]: part["pid"] for part in status["parts"] if part["pid"]}


def states(status: Any) -> dict[str, str]:
    return {part["name"]: part["state"] for part in status["parts"]}


def api_of(themeline: Any) -> PrefectApi:
    return PrefectApi.from_environment(load_environment(themeline.state_dir, given={}))


def name_of(themeline: Any) -> str:
    return str((themeline.state_dir / "installation").read_text(encoding="utf-8"))


def wait_until(seen: Callable[[], bool], *, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline, "not seen in time"
        time.sleep(0.1)


def run_sql(url: URL, statement: str) -> None:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def recorded(themeline: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((themeline.state_dir / "state.json").read_text(encoding="utf-8"))
    return found


def replaced(themeline: Any, part: str, killed: int) -> bool:
    now = recorded(themeline)["parts"][part]
    return bool(now["state"] == "ready" and now["identity"]["pid"] != killed)


def test_everything_runs_after_up_and_status_says_where(trial: Any) -> None:
    status = trial.json("status")
    assert status["up"]
    assert states(status) == dict.fromkeys(SERVICES, "ready") | STEPS
    assert all(psutil.pid_exists(pid) for pid in pids(status).values())
    assert set(status["addresses"]) == {"prefect_api", "prefect_ui", "sandbox_http", "sandbox_smtp", "http"}


def test_secrets_are_in_private_files_and_on_no_command_line(trial: Any) -> None:
    names = ("secret_key", "prefect_auth", "database_password", "database_owner_password")
    secrets = [trial.state_dir / name for name in (*names, "prefect_api_auth", "database_url")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    words = [path.read_text(encoding="utf-8") for path in secrets[: len(names)]]
    told = (trial.state_dir / "state.json").read_text(encoding="utf-8")
    told += "".join(" ".join(psutil.Process(identity.pid).cmdline()) for identity in marked(name_of(trial)))
    assert not any(word in told for word in words)


def test_what_everything_connects_with_cannot_change_the_audit_and_cannot_become_its_owner(trial: Any) -> None:
    given = make_url(load_environment(trial.state_dir, given={})["THEMELINE_DATABASE_URL"])
    for refused in ("UPDATE audit SET comment = ''", "DELETE FROM audit", "TRUNCATE audit", "DROP TABLE audit"):
        with pytest.raises(ProgrammingError) as told:
            run_sql(given, refused)
        assert isinstance(told.value.orig, psycopg2.errors.InsufficientPrivilege)
    for guess in (given.password, None):
        with pytest.raises(OperationalError, match="password"):
            run_sql(given.set(username="postgres", password=guess), "SELECT 1")
    kept = (trial.state_dir / "database_owner_password").read_text(encoding="utf-8")
    run_sql(given.set(username="postgres", password=kept), "SELECT 1")
    assert trial.json("audit", "verify")["role_could_change_it"] == []
    handed = [psutil.Process(pid).environ() for name, pid in pids(trial.json("status")).items() if name != "postgres"]
    assert not any(kept in variables.values() for variables in handed)


def test_the_prefect_server_wants_the_password(trial: Any) -> None:
    with (
        PrefectApi(url=trial.json("status")["addresses"]["prefect_api"]) as api,
        pytest.raises(PrefectRefused, match="PREFECT_API_AUTH_STRING"),
    ):
        api.deployment("trial-question/per-task")


def test_a_second_up_finds_everything_running_and_says_so(trial: Any) -> None:
    before = pids(trial.json("status"))
    again = trial.run("up")
    assert again.returncode == 0
    assert "everything was running already" in again.stdout
    assert pids(trial.json("status")) == before


@pytest.mark.parametrize("part", ["sandbox", "postgres", "prefect-server"])
def test_the_supervisor_replaces_a_part_that_was_killed(trial: Any, part: str) -> None:
    killed = pids(trial.json("status"))[part]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: replaced(trial, part, killed))


def test_a_killed_supervisor_runner_and_worker_show_and_the_next_up_replaces_only_them(trial: Any) -> None:
    before = pids(trial.json("up"))
    killed = {name: before[name] for name in ("approvals-runner", "senders-worker")}
    os.kill(recorded(trial)["supervisor"]["pid"], signal.SIGKILL)
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(psutil.Process(pid).is_running() for pid in killed.values() if psutil.pid_exists(pid)))

    hurt = trial.json("status", code=1)
    assert not hurt["up"]
    assert hurt["supervisor"]["state"] == "down"
    assert {name: states(hurt)[name] for name in killed} == dict.fromkeys(killed, "down")

    healed = pids(trial.json("up"))
    assert {name for name in before if healed[name] != before[name]} == set(killed)


def test_an_answered_question_runs_on_and_a_sender_runs_on_the_worker(trial: Any) -> None:
    with api_of(trial) as api:
        sending = api.create_flow_run("trial-sender/at-start", {"words": 3}, idempotency_key="once")
        again = api.create_flow_run("trial-sender/at-start", {"words": 3}, idempotency_key="once")
        asked = api.create_flow_run("trial-question/per-task", tags=["theme:trial"])
        wait_until(lambda: api.flow_run(asked["id"])["state_name"] == "Suspended")
        with pytest.raises(PrefectRefused, match="word"):
            api.resume(asked["id"], {})
        api.resume(asked["id"], {"word": "yes"})
        assert api.wait(asked["id"])["state_type"] == "COMPLETED"
        assert api.wait(sending["id"])["state_type"] == "COMPLETED"
        found = api.filter_flow_runs({"tags": {"all_": ["theme:trial"]}})
    assert again["id"] == sending["id"]
    assert [run["id"] for run in found] == [asked["id"]]
    log = (trial.state_dir / "trial.log").read_text(encoding="utf-8")
    assert "answered yes" in log
    assert log.count("sent 3") == 1


def test_another_state_directory_uses_the_servers_it_is_given(
    trial: Any, themeline_at: Callable[..., Any], tmp_path: Path
) -> None:
    given = load_environment(trial.state_dir, given={})
    theirs = {name: given[name] for name in ("THEMELINE_DATABASE_URL", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING")}
    guest = themeline_at(tmp_path, **{**trial.extra, **theirs})
    before = pids(trial.json("status"))
    refused = guest.run("up", "--dev-key")
    assert refused.returncode == 2
    assert "THEMELINE_SECRET_KEY" in refused.stderr
    try:
        status = guest.json("up", "--no-sandbox")
        assert states(status) == STEPS | {
            "prefect-server": "external",
            "postgres": "external",
            "approvals-runner": "ready",
            "senders-worker": "ready",
            "http-service": "ready",
        }
        assert status["secret_key"] == "unset"
        assert guest.run("status").returncode == 0
    finally:
        guest.run("down")
    assert pids(trial.json("status")) == before
    assert not marked(name_of(guest))


def test_an_installation_made_before_there_were_passwords_comes_up_with_all_it_has(trial: Any) -> None:
    trial.json("people", "add", "ann", "--name", "Ann")
    before = make_url(load_environment(trial.state_dir, given={})["THEMELINE_DATABASE_URL"])
    trial.json("down")
    (trial.state_dir / "postgres" / "pg_hba.conf").write_text("local all all trust\n", encoding="utf-8")
    for name in ("database_password", "database_owner_password"):
        (trial.state_dir / name).unlink()
    old = before.set(username="postgres", password=None).render_as_string(hide_password=False)
    assert trial.json("up")["up"]
    assert [person["login"] for person in trial.json("people", "list")] == ["ann"]
    for refused in (before, make_url(old)):
        with pytest.raises(OperationalError, match="password"):
            run_sql(refused, "SELECT 1")
    # An address of before in the environment still means our own server, which is not started elsewhere.
    assert not external_database(Settings(database_url=SecretStr(old)), Layout(trial.state_dir.resolve()))


def test_down_leaves_no_process_and_a_second_down_finds_nothing(trial: Any) -> None:
    name = name_of(trial)
    running = pids(trial.json("status"))
    assert set(trial.json("down")["ended"]) == set(running)
    assert not marked(name)
    assert not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in running.values())
    assert trial.json("down") == {"ended": []}
    assert trial.run("status").returncode == 1


def test_a_busy_port_is_named_with_the_remedy_and_nothing_is_started(
    themeline_at: Callable[..., Any], tmp_path: Path
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        themeline = themeline_at(tmp_path, THEMELINE_PREFECT_PORT=str(port))
        outcome = themeline.run("up")
    assert outcome.returncode == 2
    assert f"port {port}" in outcome.stderr
    assert f"pid {os.getpid()}" in outcome.stderr
    assert "THEMELINE_PREFECT_PORT" in outcome.stderr
    assert not (tmp_path / "state.json").exists()
    assert not list((tmp_path / "log").iterdir())


def test_a_broken_entrypoint_is_named_with_its_import_error(themeline_at: Callable[..., Any], tmp_path: Path) -> None:
    broken = tmp_path / "prefect.yaml"
    good = (TRIAL / "prefect.yaml").read_text(encoding="utf-8")
    broken.write_text(good.replace("trial_flows.trial_sender", "trial_flows.no_such_flow"), encoding="utf-8")
    themeline = themeline_at(tmp_path / "state", THEMELINE_PREFECT_FILE=str(broken), PYTHONPATH=str(TRIAL))
    try:
        told = themeline.json("up", code=2)["error"]
    finally:
        themeline.run("down")
    assert told["name"] == "PartFailed"
    assert "trial_flows.no_such_flow" in told["message"]
    assert "AttributeError" in told["message"]
    assert not marked(name_of(themeline))
