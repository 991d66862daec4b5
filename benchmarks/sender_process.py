"""One sender in a process of its own, as a sender run has one: `python -m benchmarks.sender_process JSON` prints JSON.

It begins when it reads a line, so that several can begin at once.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import timedelta
from uuid import uuid4

import uvloop

from benchmarks.provider import provider_for, renderer
from channels.engine import Backoff
from channels.line import Line
from channels.sender import Sender
from channels.service.ledger import Ledger
from channels.states import Channel, DeliveryState
from channels.transport import HttpTransport
from garbage import rest_the_collector
from models.database import Database

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Order:
    database: str
    distribution_id: int
    account_id: int
    sink: str
    channel: Channel
    concurrency: int
    batch: int = 4_000


@dataclass(frozen=True, kw_only=True)
class Done:
    sent: int
    began: float  # of a clock that all processes share
    ended: float
    cpu_seconds: float
    peak_bytes: int  # of memory

    @property
    def seconds(self) -> float:
        return self.ended - self.began


def at_work(orders: Sequence[Order]) -> list[Done]:
    """Let them all begin at once; what each of them came to."""
    with ExitStack() as stack:
        processes = [stack.enter_context(_started(order)) for order in orders]
        for process in processes:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None  # noqa: S101 - the same
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate()[0] for process in processes]
    return [Done(**json.loads(output)) for output in outputs]


def _started(order: Order) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.sender_process", json.dumps(asdict(order))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def _send(order: Order, database: Database) -> int:
    transport = HttpTransport(connections=order.concurrency)
    provider = provider_for(order.channel, order.sink, transport)
    line = Line(
        account_id=order.account_id,
        key="benchmark",
        provider=provider,
        backoff=Backoff(),
        concurrency=order.concurrency,
    )
    ledger = Ledger(database=database, distribution_id=order.distribution_id, owner=uuid4(), lease=LEASE)
    sender = Sender(ledger=ledger, lines=[line], render=renderer(order.channel), lease=LEASE, batch=order.batch)
    try:
        report = await sender.run()
    finally:
        await provider.close()
        await transport.close()
    return report.states.get(DeliveryState.SENT, 0)


def main() -> None:
    read = json.loads(sys.argv[1])
    order = Order(**{**read, "channel": Channel(read["channel"])})
    database = Database(url=order.database, pool_size=4)
    with database.begin():
        pass  # connected
    rest_the_collector()
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    sent = uvloop.run(_send(order, database))
    done = Done(
        sent=sent,
        began=began,
        ended=time.monotonic(),
        cpu_seconds=time.process_time() - cpu,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    database.dispose()
    print(json.dumps(asdict(done)))


if __name__ == "__main__":
    main()
