"""Ctrl-C and a reader that went away end a verb without a traceback."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.integration.command_line import environment_of
from tests.integration.scene import Scene

ROOT = Path(__file__).parents[2]
#: To a shell both are 130. Python ends by the signal itself where the interrupt came while it ran code from a string,
#: as it does to make a dataclass, however it was handled afterwards.
INTERRUPTED = {130, -signal.SIGINT}


@pytest.fixture
def environment(scene: Scene, tmp_path: Path) -> dict[str, str]:
    url = scene.database.engine.url.render_as_string(hide_password=False)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("THEMELINE_", "PREFECT_"))}
    return {**ours, **environment_of(url, tmp_path / "state")}


@contextmanager
def started(environment: Mapping[str, str], *words: str) -> Iterator["subprocess.Popen[str]"]:
    # A test run in the background of a shell ignores Ctrl-C, and would hand that down.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "console.cli", *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def connections(scene: Scene) -> set[int]:
    """All, that which asks among them."""
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
    with scene.begin() as session:
        return set(session.scalars(text(query)))


def wait_for_query(scene: Scene, before: set[int]) -> None:
    """Until the command has come to the database beside us, so that it is well under way."""
    deadline = time.monotonic() + 30
    while not connections(scene) - before:
        assert time.monotonic() < deadline, "the command never asked the database"
        time.sleep(0.05)


def test_ctrl_c_ends_a_verb_that_watches_without_a_traceback(scene: Scene, environment: dict[str, str]) -> None:
    scene.draft()
    before = connections(scene)  # the last of ours is back in the pool, and the next question takes one of the pool
    with started(environment, "deliveries", "progress", "womens-day-2027", "--follow") as process:
        wait_for_query(scene, before)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    assert process.returncode in INTERRUPTED
    assert "Traceback" not in told


@pytest.mark.parametrize("words", [("theme", "show", "womens-day-2027"), ("theme", "list", "--json")])
def test_reader_that_went_away_shows_no_traceback(
    scene: Scene, environment: dict[str, str], words: tuple[str, ...]
) -> None:
    scene.draft()
    with started(environment, *words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
    assert "Traceback" not in told
    assert "Exception ignored" not in told
