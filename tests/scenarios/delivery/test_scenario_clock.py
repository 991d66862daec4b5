"""The clock of a scenario goes on, whoever of those that read it is killed."""

import time
from datetime import UTC, datetime, timedelta

from tests.scenarios.delivery.clock import Clock
from tests.scenarios.delivery.senders import forked

START = datetime(2027, 3, 6, 9, tzinfo=UTC)
KILLS = 30


def read_for_ever(clock: Clock) -> None:
    while True:
        clock()


def test_readers_that_are_killed_stop_nobody() -> None:
    context = forked()
    clock = Clock.starting(context, START)
    for _ in range(KILLS):
        reader = context.Process(target=read_for_ever, args=(clock,), daemon=True)
        reader.start()
        time.sleep(0.05)
        reader.kill()
        reader.join()
        clock.move(timedelta(hours=1))
    assert timedelta(hours=KILLS) <= clock() - START < timedelta(hours=KILLS, minutes=1)
