"""Keeps the parts of a plan running until told to end."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from console.supervisor import record
from console.supervisor.backoff import failures_after, pause_before
from console.supervisor.layout import Layout
from console.supervisor.parts import Part
from console.supervisor.processes import Identity, belonging_to, end, marked
from console.supervisor.record import Installation, PartRecord, PartState

_STEP = 0.1
_LOG_LINES = 4


class Supervisor:
    """Starts what is missing, replaces what died, adopts what an earlier supervisor left."""

    def __init__(
        self,
        *,
        layout: Layout,
        name: str,
        parts: Sequence[Part],
        external: Mapping[str, str],
        installation: Installation,
    ) -> None:
        self._external = external
        self._layout = layout
        self._name = name
        self._parts = parts
        self._installation = installation
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._leaving: int | None = None

    def run(self) -> None:
        """Until SIGTERM or SIGINT, which end everything, or SIGHUP, which leaves the parts to a successor."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._leave)
        self._installation.supervisor = Identity.of(os.getpid())
        self._adopt()
        while self._leaving is None:
            before = repr(self._installation)
            for part in self._parts:
                self._advance(part, self._installation.parts[part.name])
            if repr(self._installation) != before:
                record.save(self._layout.state, self._installation)
            time.sleep(_STEP)
        if self._leaving != signal.SIGHUP:
            end_parts(self._layout, self._name, self._installation)

    def _leave(self, number: int, _frame: FrameType | None) -> None:
        self._leaving = number

    def _adopt(self) -> None:
        """Keep what runs as planned; end what is left of everything else."""
        former, self._installation.parts = self._installation.parts, {}
        for part in self._parts:
            self._installation.parts[part.name] = self._adopted(part, former.pop(part.name, None))
        for name, address in self._external.items():
            self._installation.parts[name] = PartRecord(name=name, state=PartState.EXTERNAL, address=address)
        for name, left in former.items():
            end(belonging_to(self._name, name, left.identity), grace=5)
        record.save(self._layout.state, self._installation)

    def _adopted(self, part: Part, left: PartRecord | None) -> PartRecord:
        now = time.time()
        fresh = PartRecord(name=part.name, address=part.address, fingerprint=part.fingerprint, since=now)
        if left and left.identity and left.identity.alive() and left.fingerprint == part.fingerprint and not part.ends:
            fresh.identity, fresh.state, fresh.restarts = left.identity, PartState.STARTING, left.restarts
            return fresh
        end(belonging_to(self._name, part.name, left.identity if left else None), first=part.stop_signal, grace=5)
        return fresh

    def _advance(self, part: Part, at: PartRecord) -> None:
        match at.state:
            case PartState.WAITING if self._may_start(part, at):
                self._start(part, at)
            case PartState.STARTING | PartState.READY if self._ended(part, at):
                self._after_end(part, at)
            case PartState.STARTING if not part.ends:
                self._look(part, at)

    def _may_start(self, part: Part, at: PartRecord) -> bool:
        met = all(self._installation.parts[name].state in record.GOOD_STATES for name in part.needs)
        return met and time.time() >= at.retry_at

    def _start(self, part: Part, at: PartRecord) -> None:
        if part.fresh_file:
            part.fresh_file.unlink(missing_ok=True)
        with self._layout.log(part.name).open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 - a command of our own plan
                part.command,
                env=dict(part.environment),
                cwd=self._layout.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._children[part.name] = child
        at.identity, at.state, at.since = Identity.of(child.pid), PartState.STARTING, time.time()
        record.save(self._layout.state, self._installation)

    def _ended(self, part: Part, at: PartRecord) -> bool:
        child = self._children.get(part.name)
        if child and at.identity and child.pid == at.identity.pid:
            return child.poll() is not None
        return at.identity is None or not at.identity.alive()

    def _look(self, part: Part, at: PartRecord) -> None:
        if at.identity and part.probe(at.identity):
            at.state, at.message, at.since = PartState.READY, "", time.time()
        elif time.time() - at.since > part.patience:
            end(belonging_to(self._name, part.name, at.identity), first=part.stop_signal, grace=part.grace)

    def _after_end(self, part: Part, at: PartRecord) -> None:
        child = self._children.pop(part.name, None)
        status = child.returncode if child else None
        end(belonging_to(self._name, part.name, at.identity), grace=2)
        if part.ends and status == 0:
            at.state, at.message, at.identity = PartState.DONE, "", None
            return
        at.failures = failures_after(failures=at.failures, ran_for=time.time() - at.since)
        at.message = f"ended {_how(status)}: {last_words(self._layout, part.name)}"
        at.state = PartState.FAILED if part.ends else PartState.WAITING
        at.restarts += 0 if part.ends else 1
        at.identity, at.retry_at = None, time.time() + pause_before(at.failures)


def _how(status: int | None) -> str:
    if status is None:
        return "unseen"
    return f"by signal {-status}" if status < 0 else f"with status {status}"


def last_words(layout: Layout, part: str) -> str:
    """The last lines of a part's log: the reason, as far as the part told it."""
    path = layout.log(part)
    if not path.exists():
        return "no log"
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return " | ".join(line.strip() for line in lines[-_LOG_LINES:]) or "no word in its log"


#: Parts that others use end after those others, the database last.
_STAGES = {"postgres": 2, "prefect-server": 1, "sandbox": 1}


def end_parts(layout: Layout, name: str, installation: Installation) -> None:
    """In order: first what uses the others, the database last. Then nothing of ours is left."""
    for stage in (0, 1, 2):
        ending = [at for at in installation.parts.values() if _STAGES.get(at.name, 0) == stage]
        members = [identity for at in ending for identity in belonging_to(name, at.name, at.identity)]
        is_database = stage == _STAGES["postgres"]
        end(members, first=signal.SIGINT if is_database else signal.SIGTERM, grace=20.0 if is_database else 8.0)
    end(marked(name), grace=3)
    for path in (layout.state, *layout.ready("any").parent.glob("*.ready")):
        path.unlink(missing_ok=True)
