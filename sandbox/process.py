"""A sandbox as a child process, for the tests, the benchmarks and the demo."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
_POLL_SECONDS = 0.02


class NotStarted(Exception):
    """The sandbox ended, or was not ready in time."""


@dataclass(frozen=True, slots=True)
class Running:
    http: str
    smtp_host: str
    smtp_port: int
    process: subprocess.Popen[bytes]

    @property
    def http_port(self) -> int:
        return int(self.http.rpartition(":")[2])


def start(
    *, folder: Path, config: Mapping[str, Any] | None = None, journal: Path | None = None, seconds: float = 20.0
) -> Running:
    """Start one on free ports, with its files in `folder`, and wait until it listens. Raises NotStarted."""
    ready = Path(tempfile.mkdtemp(dir=folder)) / "ready.json"
    command = [sys.executable, "-m", "sandbox", "--ready-file", str(ready)]
    if config is not None:
        settings = ready.with_name("config.json")
        settings.write_text(json.dumps(config), encoding="utf-8")
        command += ["--config", str(settings)]
    if journal is not None:
        command += ["--journal", str(journal)]
    process = subprocess.Popen(command, cwd=_ROOT)  # noqa: S603 - our own command
    deadline = time.monotonic() + seconds
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise NotStarted(f"the sandbox did not start within {seconds:g} s (exit status {process.wait()})")
        time.sleep(_POLL_SECONDS)
    found = json.loads(ready.read_text(encoding="utf-8"))
    return Running(found["http"], found["smtp"]["host"], found["smtp"]["port"], process)


def stop(running: Running) -> int:
    """End it in order; its exit status."""
    running.process.terminate()
    return running.process.wait(timeout=10)


@contextmanager
def started(*, folder: Path, config: Mapping[str, Any] | None = None, journal: Path | None = None) -> Iterator[Running]:
    running = start(folder=folder, config=config, journal=journal)
    try:
        yield running
    finally:
        stop(running)
