"""`python -m benchmarks.approval_scale`: upkeep and inboxes with 1,000 themes in review and 5,000 open questions.

Everything is real: PostgreSQL, Prefect's server on SQLite, the flows of reconciler and sweep, the command line. Only
the gate runs are not opened one by one, which would take six minutes: one is, and its rows are copied in Prefect's own
database. Prints a table, and writes benchmarks/out/approval_scale.json.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from approval.secrecy import new_key
from approval.service import questions
from approval.service.waiting import inbox
from benchmarks.approval_fill import PEOPLE, fill, show_in_prefect
from benchmarks.audience import database
from models.database import Database

OUT = Path(__file__).parent / "out" / "approval_scale.json"
ROOT = Path(__file__).parents[1]
LOST = 20
CYCLE_SECONDS, HEALING_SECONDS, INBOX_MILLISECONDS, COMMAND_MILLISECONDS = 10.0, 20.0, 200.0, 2_000.0


@dataclass(frozen=True, kw_only=True)
class Result:
    name: str
    value: float
    unit: str
    bound: float  # the most that will do

    @property
    def holds(self) -> bool:
        return self.value <= self.bound


@contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """Prefect's server as an installation starts it, with every deployment registered. Yields its API's address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    environment = environment_for(home, api)
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.prefect_server", "--port", str(port)],
            cwd=ROOT, env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            subprocess.run([sys.executable, "-m", "flows.deployments"], cwd=ROOT, env=environment, check=True)
            yield api
        finally:
            server.terminate()
            server.wait(timeout=30)


def environment_for(home: Path, api: str, **more: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "THEMELINE_"))}
    return {
        **ours,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
        "THEMELINE_STATE_DIR": str(home / "state"),
        **more,
    }


def measure(environment: Mapping[str, str]) -> dict[str, float]:
    """In a process of its own, which has imported all flows before, as the runner's processes have."""
    command = [sys.executable, "-m", "benchmarks.approval_scale", "--inside"]
    done = subprocess.run(command, cwd=ROOT, env=dict(environment), check=False, capture_output=True, timeout=900)
    if done.returncode:
        raise RuntimeError(f"the measured process failed:\n{done.stdout.decode()}\n{done.stderr.decode()}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def inside() -> dict[str, float]:
    from flows.reconcile import reconcile  # noqa: PLC0415 - only the measured process pays for these imports
    from flows.sweep_deadlines import sweep_deadlines  # noqa: PLC0415 - the same

    opened = Database.from_settings()

    def look(login: str) -> None:
        with opened.begin() as session:
            assert inbox(session, login)  # noqa: S101 - an empty inbox would measure nothing

    look("approver-1")  # connects
    found = {
        "inbox": max(timed(partial(look, f"approver-{number}")) for number in range(1, PEOPLE + 1)),
        "reconcile": max(timed(reconcile) for _ in range(3)),
        "sweep": max(timed(sweep_deadlines) for _ in range(3)),
    }
    lose_some(opened, LOST)
    return {**found, "healing": timed(reconcile)}


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def lose_some(opened: Database, count: int) -> None:
    """Delete gate runs, as anybody with Prefect's password can."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - it tries again while the server is busy

    with opened.begin() as session:
        lost = [gate.flow_run_id for gate in questions.shown_gates(session)[:count]]
    with get_client(sync_client=True) as client:
        for run_id in lost:
            client.delete_flow_run(run_id)


def command(environment: Mapping[str, str]) -> float:
    """`themeline inbox` from its start to its end; the slowest of three."""
    words = [sys.executable, "-m", "console.cli", "inbox", "approver-7", "--json"]
    return max(
        timed(lambda: subprocess.run(words, cwd=ROOT, env=dict(environment), check=True, capture_output=True))
        for _ in range(3)
    )


def results(*, themes: int, questions: int, console: Console) -> list[Result]:
    home = Path(tempfile.mkdtemp(prefix="themeline-bench-scale-"))
    try:
        with database() as opened, prefect_server(home) as api:
            console.print(f"{themes:,} themes in review, {questions:,} open questions …")
            fill(opened, themes=themes, questions=questions)
            url = opened.engine.url.render_as_string(hide_password=False)
            environment = environment_for(home, api, THEMELINE_DATABASE_URL=url, THEMELINE_SECRET_KEY=new_key())
            show_in_prefect(opened, api, home / "prefect.db")
            console.print("reconciling, sweeping, looking into inboxes …")
            found, started = measure(environment), command(environment)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    cycles = found["reconcile"] + found["sweep"]
    return [
        Result(name="a reconciler's cycle", value=found["reconcile"], unit="s", bound=CYCLE_SECONDS),
        Result(name="a sweep's cycle", value=found["sweep"], unit="s", bound=CYCLE_SECONDS),
        Result(name="both, one after the other", value=cycles, unit="s", bound=CYCLE_SECONDS),
        Result(name=f"a cycle that heals {LOST} gates", value=found["healing"], unit="s", bound=HEALING_SECONDS),
        Result(name="an inbox", value=found["inbox"] * 1e3, unit="ms", bound=INBOX_MILLISECONDS),
        Result(name="`themeline inbox`, with its start", value=started * 1e3, unit="ms", bound=COMMAND_MILLISECONDS),
    ]


def table(measured: list[Result]) -> Table:
    shown = Table("what", "value", "unit", "at most", "holds")
    for result in measured:
        shown.add_row(
            result.name, f"{result.value:,.1f}", result.unit, f"{result.bound:,.0f}", "yes" if result.holds else "NO"
        )
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.approval_scale", description=__doc__)
    parser.add_argument("--themes", type=int, default=1_000)
    parser.add_argument("--questions", type=int, default=5_000)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.inside:
        print(json.dumps(inside()))
        return 0
    console = Console()
    measured = results(themes=asked.themes, questions=asked.questions, console=console)
    console.print(table(measured))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([{**asdict(result), "holds": result.holds} for result in measured], indent=2) + "\n")
    return 0 if all(result.holds for result in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
