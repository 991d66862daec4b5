"""The verbs `up`, `down` and `status`."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from console.supervisor import record
from console.supervisor.environment import settings_environment
from console.supervisor.errors import PartFailed, StartedElsewhere, StateUnreadable, StillStarting
from console.supervisor.layout import Layout, read_private
from console.supervisor.parts import answers, parts_of
from console.supervisor.plan import external_parts, make_plan
from console.supervisor.processes import INSTALLATION, PART, end, marked
from console.supervisor.record import GOOD_STATES, Installation, Options, PartRecord, PartState
from console.supervisor.supervise import Supervisor, end_parts, last_words
from settings import Settings

#: A service that ended so often in a row does not come up by itself.
_GIVE_UP_AFTER = 3
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Status:
    """What is there now. `up` only when the supervisor and every part are."""

    up: bool
    supervisor: dict[str, Any]
    parts: tuple[dict[str, Any], ...]
    addresses: dict[str, str]
    state_dir: str
    secret_key: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@contextmanager
def locked(layout: Layout, *, seconds: float = 10.0) -> Iterator[None]:
    """One `up` or `down` at a time for a state directory. Raises StartedElsewhere."""
    deadline = time.monotonic() + seconds
    with layout.lock.open("a", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StartedElsewhere(state_dir=layout.root) from None
                time.sleep(0.1)
        yield


def layout_of(settings: Settings) -> Layout:
    return Layout(settings.state_dir.resolve())


def up(
    settings: Settings, *, dev_key: bool = False, sandbox: bool = True, seconds: float = 120.0, report: Report
) -> tuple[Status, bool]:
    """Start what is missing and wait for it. The second value tells whether everything ran already.

    Raises:
        SupervisorError: nothing was started, or a part does not come up; the message has the remedy.
    """
    layout = layout_of(settings)
    layout.prepare()
    with locked(layout):
        installation = _recorded(layout)
        if is_running(installation) and _keeps(installation, dev_key=dev_key, sandbox=sandbox):
            already = status(settings).up
        else:
            already = False
            prepare(settings, layout, installation, dev_key=dev_key, sandbox=sandbox)
            _start_supervisor(settings, layout)
        _wait_until_up(layout, seconds=seconds, report=report)
    return status(settings), already


def run_in_foreground(settings: Settings, *, dev_key: bool, sandbox: bool) -> None:
    """Be the supervisor, until a signal ends everything. Raises SupervisorError before anything is started."""
    layout = layout_of(settings)
    layout.prepare()
    with locked(layout):
        installation = _recorded(layout)
        prepare(settings, layout, installation, dev_key=dev_key, sandbox=sandbox)
    supervise(settings)


def supervise(settings: Settings) -> None:
    """The supervisor's own life; `prepare` came before it."""
    layout = layout_of(settings)
    installation = _recorded(layout)
    plan = make_plan(settings, layout, installation)
    Supervisor(
        layout=layout,
        name=plan.installation,
        parts=parts_of(plan),
        external=external_parts(plan),
        installation=installation,
    ).run()


def prepare(settings: Settings, layout: Layout, installation: Installation, *, dev_key: bool, sandbox: bool) -> None:
    """Check and decide everything that can be known before a process is started, and put it on record."""
    options = Options(dev_key=dev_key or installation.options.dev_key, sandbox=sandbox)
    installation.options = options
    make_plan(settings, layout, installation)
    _hand_over(layout, installation)
    record.save(layout.state, installation)


def _hand_over(layout: Layout, installation: Installation) -> None:
    """The former supervisor goes and leaves its parts to the next one."""
    recorded = [installation.supervisor] if installation.supervisor else []
    leaving = [*recorded, *marked(layout.installation(), "supervisor")]
    end([identity for identity in leaving if identity.alive()], first=signal.SIGHUP, grace=10)
    if fresh := record.load(layout.state):
        installation.parts = fresh.parts
    installation.supervisor = None


def _recorded(layout: Layout) -> Installation:
    """A damaged record is set aside: what it named is found by its mark."""
    try:
        return record.load(layout.state) or Installation()
    except StateUnreadable:
        layout.state.replace(layout.state.with_suffix(".damaged"))
        return Installation()


def is_running(installation: Installation) -> bool:
    return installation.supervisor is not None and installation.supervisor.alive()


def _keeps(installation: Installation, *, dev_key: bool, sandbox: bool) -> bool:
    asked = replace(installation.options, dev_key=installation.options.dev_key or dev_key, sandbox=sandbox)
    return asked == installation.options and not any(_gave_up(part) for part in installation.parts.values())


def _gave_up(part: PartRecord) -> bool:
    return part.state is PartState.FAILED or (part.state is PartState.WAITING and part.failures >= _GIVE_UP_AFTER)


def _start_supervisor(settings: Settings, layout: Layout) -> None:
    """Raises PartFailed when it ends before it has put itself on record."""
    environment = {**os.environ, **settings_environment(settings), "THEMELINE_STATE_DIR": str(layout.root)}
    mark = {INSTALLATION: layout.installation(), PART: "supervisor"}
    with layout.log("supervisor").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "console.supervisor"],
            env={**environment, **mark},
            cwd=layout.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while not is_running(_recorded(layout)):
        if child.poll() is not None:
            raise PartFailed(part="supervisor", reason=last_words(layout, "supervisor"), log=layout.log("supervisor"))
        time.sleep(0.05)


def _wait_until_up(layout: Layout, *, seconds: float, report: Report) -> None:
    deadline = time.monotonic() + seconds
    told: dict[str, PartState] = {}
    while True:
        installation = _recorded(layout)
        for part in installation.parts.values():
            if told.get(part.name) is not part.state and part.state in GOOD_STATES:
                told[part.name] = part.state
                report(f"{part.name}: {part.state}")
        if not is_running(installation):
            raise PartFailed(part="supervisor", reason="it ended", log=layout.log("supervisor"))
        if installation.up:
            return
        _raise_if_failed(layout, installation)
        if time.monotonic() > deadline:
            waiting = tuple(p.name for p in installation.parts.values() if p.state not in GOOD_STATES)
            raise StillStarting(parts=waiting or ("supervisor",), seconds=seconds, log=layout.logs)
        time.sleep(0.1)


def _raise_if_failed(layout: Layout, installation: Installation) -> None:
    for part in installation.parts.values():
        if _gave_up(part):
            raise PartFailed(part=part.name, reason=part.message, log=layout.log(part.name))


def down(settings: Settings) -> tuple[str, ...]:
    """End everything of this state directory; the names of the parts that were running. Nothing else is touched."""
    layout = layout_of(settings)
    if not layout.root.exists():
        return ()
    layout.prepare()
    with locked(layout):
        installation = _recorded(layout)
        _hand_over(layout, installation)
        name = layout.installation()
        running = tuple(part.name for part in installation.parts.values() if part.identity and part.identity.alive())
        left = tuple(dict.fromkeys((*running, *(["leftovers"] if not running and marked(name) else []))))
        end_parts(layout, name, installation)
    return left


def status(settings: Settings) -> Status:
    """Looks for itself: what the record says may be old."""
    layout = layout_of(settings)
    installation = _recorded(layout) if layout.root.exists() else Installation()
    parts = tuple(_seen(layout, installation, part) for part in installation.parts.values())
    running = is_running(installation)
    supervisor = installation.supervisor
    return Status(
        up=running and bool(parts) and all(part["state"] in GOOD_STATES for part in parts),
        supervisor={"state": "ready" if running else "down", "pid": supervisor.pid if supervisor and running else None},
        parts=parts,
        addresses=installation.addresses,
        state_dir=str(layout.root),
        secret_key=_key_state(settings, installation),
    )


def _key_state(settings: Settings, installation: Installation) -> str:
    if settings.secret_key:
        return "set"
    return "generated" if installation.options.dev_key else "unset"


def _seen(layout: Layout, installation: Installation, part: PartRecord) -> dict[str, Any]:
    state, message = _look_at(layout, installation, part)
    return {
        "name": part.name,
        "state": str(state),
        "pid": part.identity.pid if part.identity and state is not PartState.DOWN else None,
        "address": part.address,
        "restarts": part.restarts,
        "message": message,
    }


def _look_at(layout: Layout, installation: Installation, part: PartRecord) -> tuple[PartState, str]:
    claims_to_run = part.state in (PartState.READY, PartState.STARTING)
    if claims_to_run and not (part.identity and part.identity.alive()):
        return PartState.DOWN, "its process is gone"
    if part.name != "prefect-server" or part.state not in GOOD_STATES:
        return part.state, part.message
    if answers(installation.addresses["prefect_api"], read_private(layout.prefect_api_auth)):
        return part.state, part.message
    return PartState.DOWN, "does not answer"
