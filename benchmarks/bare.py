"""The same calls without a database: the same client builds the same bodies for the same sink, so many at once.

`python -m benchmarks.bare SINK CHANNEL COUNT CONCURRENCY` prints calls a second.
"""

import asyncio
import gc
import subprocess
import sys
import time
from uuid import uuid4

import uvloop

from benchmarks.provider import customer, provider_for, renderer
from channels.message import Message
from channels.states import Channel
from channels.transport import HttpTransport


def measure(sink: str, *, channel: Channel, count: int, concurrency: int) -> float:
    """Calls a second, one message each, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bare", sink, channel.value, str(count), str(concurrency)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


async def _run(sink: str, channel: Channel, count: int, concurrency: int) -> float:
    transport, render = HttpTransport(connections=concurrency), renderer(channel)
    provider = provider_for(channel, sink, transport)
    people = iter([customer(number, uuid4()) for number in range(count)])

    async def work() -> None:
        for person in people:
            address = f"o{person['customer']['id']:>027}"
            message = Message(delivery_id=person["delivery_id"], address=address, content=render(person))
            (outcome,) = await provider.send([message])
            if outcome.error is not None:
                raise RuntimeError(f"{outcome.error}: {outcome.detail}")

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    rate = count / (time.perf_counter() - began)
    await provider.close()
    await transport.close()
    return rate


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    print(uvloop.run(_run(sys.argv[1], Channel(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
