"""A provider that does nothing but answer, as WeChat, JPush and Aliyun do: so lean that the sender is measured.

`python -m benchmarks.sink [SECONDS]` prints its port; it waits so long before it answers a message. `GET /_count` says
how many recipients were accepted.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import parse_qs

import uvloop

_OK = b'{"errcode":0,"errmsg":"ok","msgid":2258033284834377729}'
_TAKEN = b'{"Code":"OK","Message":"OK","RequestId":"0A7C","BizId":"900619746936498440^0"}'
_TOKEN = b'{"access_token":"benchmark","expires_in":7200}'
_END = b"\r\n\r\n"


class Sink(asyncio.Protocol):
    """One connection. Requests follow each other and each has a Content-Length; that is all of HTTP it knows."""

    accepted = 0
    keys = count(1)
    seconds = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined] # a stream transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (head := self._buffer.find(_END)) >= 0:
            end = head + len(_END) + self._length(self._buffer[:head])
            if len(self._buffer) < end:
                return
            body = self._answer(self._buffer[: self._buffer.find(b" HTTP/")], self._buffer[head + len(_END) : end])
            self._buffer = self._buffer[end:]
            answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
                len(body),
                body,
            )
            if self.seconds:
                asyncio.get_running_loop().call_later(self.seconds, self._write, answer)
            else:
                self._write(answer)

    @staticmethod
    def _length(head: bytes) -> int:
        start = head.lower().find(b"content-length:")
        return int(head[start + 15 :].split(b"\r\n", 1)[0]) if start >= 0 else 0

    def _answer(self, request: bytes, body: bytes) -> bytes:
        if b"/message/subscribe/send" in request:
            Sink.accepted += 1
            return _OK
        if b"/batch/regid/single" in request:
            keys = json.loads(body)["pushlist"]
            Sink.accepted += len(keys)
            return json.dumps({key: {"msg_id": "18100287008546112"} for key in keys}).encode()
        if b"Action=SendBatchSms" in request or b"TemplateCode=" in request:
            Sink.accepted += len(json.loads(parse_qs(body)[b"PhoneNumberJson"][0]))
            return _TAKEN
        if b"/push/cid" in request:
            wanted = int(request.partition(b"count=")[2].partition(b"&")[0])
            return json.dumps({"cidlist": [f"benchmark-{next(Sink.keys):032x}" for _ in range(wanted)]}).encode()
        if b"/stable_token" in request:
            return _TOKEN
        return json.dumps({"accepted": Sink.accepted}).encode()


@contextmanager
def running(*, seconds: float = 0.0) -> Iterator[str]:
    """One in a process of its own; its address."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.sink", str(seconds)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    Sink.seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    uvloop.run(_serve())
