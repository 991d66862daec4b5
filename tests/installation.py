"""A running installation: one for all tests that need it, in a directory of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from console.supervisor.environment import load_environment
from tests.postgres import in_memory

ROOT = Path(__file__).parents[1]
#: What a developer's own shell may hold must not lead a test to another installation.
FOREIGN = ("THEMELINE_", "PREFECT_")


@dataclass(frozen=True)
class Themeline:
    """The command line over one state directory."""

    state_dir: Path
    extra: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return {**ours, "THEMELINE_STATE_DIR": str(self.state_dir), **self.extra}

    def run(self, *words: str, seconds: float = 180.0) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "console.cli", *words],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def json(self, *words: str, code: int = 0) -> Any:
        outcome = self.run(*words, "--json")
        assert outcome.returncode == code, f"{words}: {outcome.returncode}\n{outcome.stdout}\n{outcome.stderr}"
        return json.loads(outcome.stdout)


@dataclass(frozen=True)
class Running:
    """`environment` connects a process to the installation; `addresses` is what `up --json` names."""

    themeline: Themeline
    environment: Mapping[str, str]
    addresses: Mapping[str, str]


def bring_up(themeline: Themeline) -> Running:
    status = themeline.json("up", "--dev-key")
    return Running(themeline, load_environment(themeline.state_dir, given={}), status["addresses"])


@pytest.fixture(scope="session")
def themeline_at() -> Callable[..., Themeline]:
    """The command line over a state directory, with variables of its own."""
    return lambda state_dir, **extra: Themeline(state_dir, extra)


@pytest.fixture(scope="session")
def installation() -> Iterator[Running]:
    """Everything, as `themeline up --dev-key` starts it.

    Not under pytest's own folder: another session that starts closes that to all but its user, and PostgreSQL, which
    runs as another, loses its data directory.
    """
    with tempfile.TemporaryDirectory(prefix="themeline-installation-", dir=in_memory()) as folder:
        themeline = Themeline(Path(folder), {})
        try:
            yield bring_up(themeline)
        finally:
            themeline.run("down")
