import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import psutil
import pytest

from console.supervisor.processes import INSTALLATION, PART, Identity, belonging_to, end, marked

Sleep = Callable[..., "subprocess.Popen[str]"]
_STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
_PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'], start_new_session=True); "


@pytest.fixture
def name() -> str:
    return uuid4().hex


@pytest.fixture
def sleeper() -> Iterator[Sleep]:
    """Starts processes that wait for their input to end, and say when they are set up."""
    with ExitStack() as stack:

        def start(*, prelude: str = "", **mark: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-c", f"{prelude}print('set', flush=True); input()"],
                env={**os.environ, **mark},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            assert process.stdout.readline() == "set\n"
            return process

        yield start


def identity_of(process: "subprocess.Popen[str]") -> Identity:
    found = Identity.of(process.pid)
    assert found is not None
    return found


def test_a_pid_that_now_belongs_to_somebody_else_is_neither_alive_nor_signalled(sleeper: Sleep, name: str) -> None:
    foreign = identity_of(sleeper())
    former = Identity(foreign.pid, foreign.created - 100)
    assert not former.alive()
    end([former], grace=0.1)
    assert belonging_to(name, "sandbox", former) == []
    assert foreign.alive()


def test_processes_of_another_installation_are_not_ours(sleeper: Sleep, name: str) -> None:
    ours = sleeper(**{INSTALLATION: name, PART: "sandbox"})
    sleeper(**{INSTALLATION: uuid4().hex, PART: "sandbox"})
    sleeper()
    assert marked(name) == [identity_of(ours)]
    assert marked(name, "postgres") == []


def test_a_child_that_left_the_process_group_is_still_found(sleeper: Sleep, name: str) -> None:
    parent = sleeper(prelude=_PARENT, **{INSTALLATION: name, PART: "senders-worker"})
    child = psutil.Process(parent.pid).children()[0]
    assert os.getpgid(child.pid) != os.getpgid(parent.pid)
    members = belonging_to(name, "senders-worker", identity_of(parent))
    assert {member.pid for member in members} == {parent.pid, child.pid}
    end(members, grace=2)
    assert not any(member.alive() for member in members)


def test_what_does_not_end_when_asked_is_killed(sleeper: Sleep) -> None:
    stubborn = identity_of(sleeper(prelude=_STUBBORN))
    end([stubborn], grace=0.2)
    assert not stubborn.alive()


def test_a_living_database_is_asked_by_its_first_process_only(sleeper: Sleep, name: str) -> None:
    postmaster = sleeper(prelude=_PARENT, **{INSTALLATION: name, PART: "postgres"})
    assert belonging_to(name, "postgres", identity_of(postmaster)) == [identity_of(postmaster)]
    end(marked(name), grace=2)
