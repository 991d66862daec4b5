"""The clock of a scenario goes on, whoever of those that read it is killed."""

from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection

from tests.scenarios.delivery.clock import Clock
from tests.scenarios.delivery.senders import forked

START = datetime(2027, 3, 6, 9, tzinfo=UTC)
KILLS = 30


def read_for_ever(clock: Clock, reads: Connection) -> None:
    reads.send("now")
    while True:
        clock()


def test_readers_that_are_killed_stop_nobody() -> None:
    context = forked()
    clock = Clock.starting(context, START)
    for _ in range(KILLS):
        mine, its = context.Pipe(duplex=False)
        reader = context.Process(target=read_for_ever, args=(clock, its), daemon=True)
        reader.start()
        mine.recv()
        reader.kill()
        reader.join()
        clock.move(timedelta(hours=1))
    assert timedelta(hours=KILLS) <= clock() - START < timedelta(hours=KILLS, minutes=1)
