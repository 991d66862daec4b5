"""A theme taken down while two sender processes are at work, one of which is killed at that moment.

The sandbox's own log is the judge of what left.
"""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from channels.engine import MOVES
from channels.states import Channel
from sandbox.process import started
from tests.integration.delivery_world import RecordingProvider, run
from tests.integration.moves_guard import guard_moves
from tests.integration.scene import Scene
from tests.integration.takedown_world import Launched, launched, sender
from themes.lifecycle import ThemeState

ROOT = Path(__file__).resolve().parents[2]
CUSTOMERS = 3_000
STOPS_WITHIN = 3.0  # seconds, from the takedown to the last call
CORRECTION = "channels: {mini_program: {template: TPL_SORRY, data: {thing1: Sorry}}}"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with started(folder=tmp_path_factory.mktemp("sandbox"), config={"keep_content": False}) as running:
        yield running.http


def with_many_customers(scene: Scene) -> Launched:
    scene.run(
        "INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)"
        " SELECT p.id, 'many-' || n, 'Customer ' || n, 'GB', 'Europe/London', 'en', true"
        " FROM product_lines p, generate_series(1, :many) n",
        "INSERT INTO addresses (customer_id, channel, address, original)"
        " SELECT id, 'mini_program', external_id, '' FROM customers WHERE external_id LIKE 'many-%'",
        "INSERT INTO consents (customer_id, channel, granted, source, recorded_at)"
        " SELECT id, 'mini_program', true, 'test', now() FROM customers WHERE external_id LIKE 'many-%'",
        many=CUSTOMERS,
    )
    return launched(scene, channels=(Channel.MINI_PROGRAM,))


def process(world: Launched, sandbox: str) -> "subprocess.Popen[bytes]":
    url = world.scene.database.engine.url.render_as_string(hide_password=False)
    distribution_id = str(world.worlds[Channel.MINI_PROGRAM].distribution_id)
    command = [sys.executable, "-m", "tests.integration.delivery_process", url, distribution_id, sandbox]
    begun = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert begun.stdout is not None
    assert begun.stdout.readline() == b"ready\n"
    return begun


def begin(sending: "subprocess.Popen[bytes]") -> None:
    assert sending.stdin is not None
    sending.stdin.write(b"go\n")
    sending.stdin.flush()


def end(sending: "subprocess.Popen[bytes]") -> None:
    sending.kill()
    sending.wait()
    for pipe in (sending.stdin, sending.stdout):
        if pipe is not None:
            pipe.close()


def reached(sandbox: str) -> Counter[str]:
    answer = requests.get(f"{sandbox}/_log?channel=mini_program&records=1&limit=100000", timeout=30).json()
    return Counter(record["recipient"] for record in answer["records"])


def wait_until_sending(scene: Scene) -> None:
    deadline = time.monotonic() + 60
    while True:
        with scene.begin() as session:
            if session.scalars(text("SELECT count(*) FROM deliveries WHERE state = 'sent'")).one() > CUSTOMERS // 20:
                return
        assert time.monotonic() < deadline, "nothing is sent"
        time.sleep(0.02)


def test_takedown_stops_every_process_and_corrects_exactly_those_who_may_have_been_reached(
    scene: Scene, sandbox: str
) -> None:
    guard_moves(scene.database, "deliveries", MOVES)
    world = with_many_customers(scene)
    sending = [process(world, sandbox) for _ in range(2)]
    try:
        for one in sending:
            begin(one)
        wait_until_sending(scene)
        world.take_down(correction=world.correction(CORRECTION))
        end(sending[0])
        time.sleep(STOPS_WITHIN)
        left = reached(sandbox)
        deadline = time.monotonic() + 60
        while world.undo().state is not ThemeState.REVOKED:
            assert time.monotonic() < deadline, world.revocations()[Channel.MINI_PROGRAM].last_problem
            time.sleep(0.1)
        assert sending[1].wait(timeout=60) == 0
    finally:
        for one in sending:
            end(one)
    assert (reached(sandbox), set(left.values())) == (left, {1})
    own = world.worlds[Channel.MINI_PROGRAM]
    rows = own.rows("SELECT address, state FROM deliveries WHERE distribution_id = :distribution_id")
    sent, doubtful = ({address for address, state in rows if state == one} for one in ("sent", "unknown"))
    assert {state for _, state in rows} <= {"sent", "unknown", "cancelled"}
    assert sent <= set(left) <= sent | doubtful
    assert 0 < len(sent) < CUSTOMERS
    told = RecordingProvider()
    run(sender(world.correction_world(Channel.MINI_PROGRAM), told))
    assert told.reached == Counter(sent | doubtful)
