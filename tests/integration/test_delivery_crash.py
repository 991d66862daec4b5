"""Senders killed with SIGKILL at random moments: nothing is lost, nothing is sent twice.

4,000 deliveries through the real provider modules to the sandbox, whose own log is the judge.
"""

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from channels.engine import MOVES
from channels.states import Channel
from models.database import Database
from sandbox.process import started
from tests.integration.delivery_world import World, make_world
from tests.integration.moves_guard import guard_moves

CUSTOMERS = 2_000  # per channel
KILLS = 5  # per channel
SENDERS = 2  # at once, per channel
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started(folder=tmp_path_factory.mktemp("sandbox"), config={"keep_content": False}) as running:
        yield running.http


@pytest.fixture(scope="module", autouse=True)
def _only_moves_of_the_table(database: Database) -> None:
    guard_moves(database, "deliveries", MOVES)


class Senders:
    """Sender processes of one distribution, ready before they are needed; the oldest is killed, another takes over."""

    def __init__(self, world: World, url: str, sandbox: str, *, count: int) -> None:
        command = [sys.executable, "-m", "tests.integration.delivery_process", url, str(world.distribution_id), sandbox]
        self._ready = [
            subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(count)
        ]
        self._at_work: list[subprocess.Popen[bytes]] = []
        for process in self._ready:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"

    def start(self) -> None:
        process = self._ready.pop()
        self._at_work.append(process)
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()

    def kill_oldest(self) -> bool:
        """False when it had ended by itself."""
        process = self._at_work.pop(0)
        ended = process.poll() is not None
        _end(process)
        return not ended

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for process in self._at_work:
            assert process.wait(timeout=max(1.0, deadline - time.monotonic())) == 0

    def kill_all(self) -> None:
        for process in self._at_work + self._ready:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


@contextmanager
def sums_watched(world: World) -> Iterator[list[int]]:
    """Counts the rows again and again meanwhile, over all states."""
    sums: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            sums.append(sum(world.states().values()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sums
    finally:
        over.set()
        thread.join()


def killed_again_and_again(world: World, url: str, sandbox: str, seed: int) -> int:
    """Plan, send, kill at random moments, send to the end; returns how many senders were killed at work."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    assert world.plan().planned == CUSTOMERS
    senders = Senders(world, url, sandbox, count=SENDERS + KILLS)
    killed = 0
    try:
        for _ in range(SENDERS):
            senders.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.1, 0.7))
            killed += senders.kill_oldest()
            senders.start()
        senders.wait(60)
    finally:
        senders.kill_all()
    return killed


def reached(sandbox: str, channel: Channel, world: World) -> Counter[str]:
    """How often each address of this theme is in the sandbox's log."""
    answer = requests.get(f"{sandbox}/_log?channel={channel}&records=1&limit=100000", timeout=30).json()
    own = world.rows("SELECT address FROM deliveries WHERE distribution_id = :distribution_id")
    addresses = {address for (address,) in own}
    return Counter(record["recipient"] for record in answer["records"] if record["recipient"] in addresses)


def test_killed_senders_reach_each_push_recipient_exactly_once(
    database: Database, database_url: str, sandbox: str
) -> None:
    world = make_world(database, customers=CUSTOMERS, channel=Channel.PUSH)
    world.allow(at_most=12)
    with sums_watched(world) as sums:
        assert killed_again_and_again(world, database_url, sandbox, seed=20) >= KILLS - 1
    assert set(sums) <= {0, CUSTOMERS}
    assert world.states() == {"sent": CUSTOMERS}
    log = reached(sandbox, Channel.PUSH, world)
    assert (len(log), set(log.values())) == (CUSTOMERS, {1})
    replayed = world.rows(
        "SELECT count(*) FROM (SELECT delivery_seq FROM attempts a JOIN deliveries d ON d.seq = a.delivery_seq"
        " WHERE d.distribution_id = :distribution_id GROUP BY 1 HAVING count(*) > 1) twice"
    )
    assert replayed[0][0] < CUSTOMERS / 10


def test_killed_senders_reach_each_mini_program_recipient_at_most_once_and_list_the_doubtful(
    database: Database, database_url: str, sandbox: str
) -> None:
    world = make_world(database, customers=CUSTOMERS, channel=Channel.MINI_PROGRAM)
    world.allow(at_most=500)
    with sums_watched(world) as sums:
        killed = killed_again_and_again(world, database_url, sandbox, seed=21)
    assert killed >= KILLS - 1
    assert set(sums) <= {0, CUSTOMERS}
    states = world.states()
    assert set(states) <= {"sent", "unknown"}
    assert sum(states.values()) == CUSTOMERS
    # only what was about to leave, or had just left, when its sender was killed
    assert 0 < states["unknown"] < killed * 300
    log = reached(sandbox, Channel.MINI_PROGRAM, world)
    assert set(log.values()) == {1}
    rows = world.rows("SELECT address, state FROM deliveries WHERE distribution_id = :distribution_id")
    sent = {address for address, state in rows if state == "sent"}
    assert sent <= set(log)
    assert set(log) - sent <= {address for address, state in rows if state == "unknown"}
