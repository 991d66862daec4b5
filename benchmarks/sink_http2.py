"""`python -m benchmarks.sink_http2`: a provider that speaks HTTP/2 and accepts everything; prints its port.

Its protocol is the sandbox's, in Python throughout: it limits how many calls get through, not what each costs.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import uvloop

from sandbox.http2 import Http2
from sandbox.http_call import Reply

_ACCEPTED = b'{"name":"projects/benchmark/messages/0:1500415314455276%31bd1c9631bd1c96"}'


def _answer(_method: str, _target: str, _headers: Mapping[str, str], _body: bytes) -> Reply:
    return Reply(200, _ACCEPTED)


@contextmanager
def running() -> Iterator[str]:
    """One in a process of its own; its address."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.sink_http2"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


async def _serve() -> None:
    connections: set[Http2] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: Http2(answer=_answer, open_connections=connections), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
