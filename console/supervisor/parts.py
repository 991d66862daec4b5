"""What an installation is made of: commands, their order and how each shows that it is ready."""

import hashlib
import json
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import requests

from console.supervisor.layout import Layout
from console.supervisor.ports import HOST
from console.supervisor.postgres import is_ready
from console.supervisor.processes import INSTALLATION, PART, Identity

Probe = Callable[[Identity], bool]
_SOON = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A service that is kept running, or a step (`ends`) that is run once at each start of the supervisor."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    needs: tuple[str, ...] = ()
    address: str = ""
    ends: bool = False
    probe: Probe = field(default=lambda _: True)
    stop_signal: int = signal.SIGTERM
    grace: float = 8.0
    patience: float = 90.0
    fresh_file: Path | None = None

    @property
    def fingerprint(self) -> str:
        """Differs when a running process was started with another command or environment."""
        ours = {name: value for name, value in self.environment.items() if name.startswith(("THEMELINE_", "PREFECT_"))}
        return hashlib.sha256(json.dumps([self.command, sorted(ours.items())]).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to start, with what. `database_url` and `api_url` of None stand for the embedded ones."""

    layout: Layout
    installation: str
    environment: Mapping[str, str]
    server_environment: Mapping[str, str]
    embedded_database: bool
    embedded_prefect: bool
    socket_dir: Path
    api_url: str
    api_auth: str | None
    prefect_port: int
    sandbox_ports: tuple[int, int] | None
    http_host: str
    http_port: int

    def marked(self, part: str, *extra: Mapping[str, str]) -> dict[str, str]:
        merged = dict(self.environment)
        for variables in extra:
            merged |= variables
        return merged | {INSTALLATION: self.installation, PART: part}


def python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def parts_of(plan: Plan) -> tuple[Part, ...]:
    """In the order in which they are started; those that need nothing of each other start at the same time."""
    embedded = [
        *([_prefect_server(plan)] if plan.embedded_prefect else []),
        *([_postgres(plan)] if plan.embedded_database else []),
    ]
    sandbox = [_sandbox(plan, plan.sandbox_ports)] if plan.sandbox_ports else []
    return (*embedded, _migrations(plan), _deployments(plan), _runner(plan), _worker(plan), _http(plan), *sandbox)


def _prefect_server(plan: Plan) -> Part:
    return Part(
        name="prefect-server",
        command=python("flows.prefect_server", "--port", str(plan.prefect_port)),
        environment=plan.marked("prefect-server", plan.server_environment),
        address=f"http://{HOST}:{plan.prefect_port}",
        probe=lambda _: answers(plan.api_url, plan.api_auth),
    )


def _postgres(plan: Plan) -> Part:
    pgdata, owner = plan.layout.postgres, plan.layout.database_owner_password
    return Part(
        name="postgres",
        command=python("console.supervisor.postgres", str(pgdata), str(plan.socket_dir), str(owner)),
        environment=plan.marked("postgres"),
        address=str(pgdata),
        probe=lambda identity: _postgres_ready(pgdata, identity),
        stop_signal=signal.SIGINT,
        grace=20.0,
    )


def _migrations(plan: Plan) -> Part:
    owner = ("--embedded-owner", str(plan.layout.database_owner_password)) if plan.embedded_database else ()
    return Part(
        name="migrations",
        command=python("console.supervisor.migrate", *owner),
        environment=plan.marked("migrations"),
        needs=("postgres",) if plan.embedded_database else (),
        ends=True,
    )


def _deployments(plan: Plan) -> Part:
    """Needs no server to start: it imports the flows meanwhile, and then waits for the server itself."""
    return Part(
        name="deployments",
        command=python("flows.deployments"),
        environment=plan.marked("deployments"),
        ends=True,
    )


def _runner(plan: Plan) -> Part:
    ready = plan.layout.ready("approvals-runner")
    return Part(
        name="approvals-runner",
        command=python("flows.serve", "--ready-file", str(ready)),
        environment=plan.marked("approvals-runner"),
        needs=("migrations", *(("prefect-server",) if plan.embedded_prefect else ())),
        address="pool approvals",
        probe=lambda identity: ready.exists() and ready.read_text(encoding="utf-8").strip() == str(identity.pid),
        fresh_file=ready,
    )


def _worker(plan: Plan) -> Part:
    name = f"senders-{socket.gethostname()}"
    tuning = {
        "PREFECT_WORKER_QUERY_SECONDS": plan.environment.get("PREFECT_WORKER_QUERY_SECONDS", "1"),
        "PREFECT_WORKER_HEARTBEAT_SECONDS": plan.environment.get("PREFECT_WORKER_HEARTBEAT_SECONDS", "5"),
    }
    return Part(
        name="senders-worker",
        command=python("prefect", "worker", "start", "--pool", "senders", "--type", "process", "--name", name),
        environment=plan.marked("senders-worker", tuning),
        needs=("deployments", "migrations"),
        address="pool senders",
        probe=lambda identity: worker_heard(plan.api_url, plan.api_auth, name=name, since=identity.created),
    )


def _http(plan: Plan) -> Part:
    ready = plan.layout.ready("http-service")
    listen = ("--host", plan.http_host, "--port", str(plan.http_port))
    return Part(
        name="http-service",
        command=python("console.http", *listen, "--ready-file", str(ready)),
        environment=plan.marked("http-service"),
        needs=("migrations",),
        address=f"http://{plan.http_host}:{plan.http_port}",
        probe=lambda identity: ready.exists() and ready.read_text(encoding="utf-8").strip() == str(identity.pid),
        fresh_file=ready,
    )


def _sandbox(plan: Plan, ports: tuple[int, int]) -> Part:
    ready = plan.layout.ready("sandbox")
    http, smtp = (str(port) for port in ports)
    listen = ("--host", HOST, "--http-port", http, "--smtp-port", smtp)
    files = ("--ready-file", str(ready), "--journal", str(plan.layout.journal))
    return Part(
        name="sandbox",
        command=python("sandbox", *listen, *files),
        environment=plan.marked("sandbox"),
        address=f"http://{HOST}:{http} smtp://{HOST}:{smtp}",
        probe=lambda identity: ready.exists() and json.loads(ready.read_text(encoding="utf-8"))["pid"] == identity.pid,
        fresh_file=ready,
    )


def _postgres_ready(pgdata: Path, identity: Identity) -> bool:
    with suppress(FileNotFoundError, PermissionError, ValueError):
        pid = int((pgdata / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        return pid == identity.pid and is_ready(pgdata)
    return False


def session_for(auth: str | None) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    if auth:
        user, _, password = auth.partition(":")
        session.auth = (user, password)
    return session


def answers(api_url: str, auth: str | None) -> bool:
    try:
        with session_for(auth) as session:
            return session.get(f"{api_url}/health", timeout=_SOON).ok
    except requests.RequestException:
        return False


def worker_heard(api_url: str, auth: str | None, *, name: str, since: float) -> bool:
    """Whether the worker of that name sent a heartbeat after the given time (a Unix time)."""
    try:
        with session_for(auth) as session:
            answer = session.post(f"{api_url}/work_pools/senders/workers/filter", json={}, timeout=_SOON)
            found = answer.json() if answer.ok else []
    except (requests.RequestException, ValueError):
        return False
    return any(
        worker["name"] == name and datetime.fromisoformat(worker["last_heartbeat_time"]).timestamp() >= since
        for worker in found
    )
