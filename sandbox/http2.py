"""HTTP/2 on the port of HTTP/1.1: a connection that begins with the preface of HTTP/2 is spoken to accordingly.

A fault that cuts a connection resets only the stream of the call that it is for: others share the connection.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError

from sandbox.http_call import Reply

Answer = Callable[[str, str, Mapping[str, str], bytes], Reply]

_PREFACE = b"PRI * HTTP/2.0"


@dataclass(slots=True)
class _Call:
    method: str
    target: str
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class Http2(asyncio.Protocol):
    """One connection; `answer` is given method, target, headers in lower case, and body."""

    def __init__(self, *, answer: Answer, open_connections: "set[Http2]") -> None:
        self._answer = answer
        self._open = open_connections
        self._connection = H2Connection(config=H2Configuration(client_side=False, header_encoding="utf-8"))
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[tuple[int, bytes]] = deque()  # bodies that the client has no room for yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)
        self._connection.initiate_connection()
        self._flush()

    def connection_lost(self, _error: Exception | None) -> None:
        self._open.discard(self)
        self._calls.clear()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._connection.receive_data(data):
                self._handle(event)
        except ProtocolError:
            self._flush()
            self._transport.close()
            return
        self._flush()

    def close(self) -> None:
        self._connection.close_connection()
        self._flush()
        self._transport.close()

    def _handle(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream), headers=headers):
                self._calls[stream] = _call({str(name): str(value) for name, value in headers or ()})
            case DataReceived(stream_id=int(stream), data=bytes(data), flow_controlled_length=int(taken)):
                self._connection.acknowledge_received_data(taken, stream)
                if stream in self._calls:
                    self._calls[stream].body += data
            case StreamEnded(stream_id=int(stream)) if stream in self._calls:
                self._take(stream, self._calls.pop(stream))
            case StreamReset(stream_id=int(stream)):
                self._calls.pop(stream, None)
            case WindowUpdated():
                self._send_waiting()
            case ConnectionTerminated():
                self._transport.close()
            case _:
                pass

    def _take(self, stream: int, call: _Call) -> None:
        reply = self._answer(call.method, call.target, call.headers, bytes(call.body))
        if reply.hang:
            return
        if reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, self._give_late, stream, reply)
        else:
            self._give(stream, reply)

    def _give_late(self, stream: int, reply: Reply) -> None:
        if not self._transport.is_closing():
            self._give(stream, reply)
            self._flush()

    def _give(self, stream: int, reply: Reply) -> None:
        if self._is_closed(stream):
            return
        if reply.cut:
            self._connection.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
            return
        headers = {"content-type": "application/json; charset=utf-8", **_lowered(reply.headers or {})}
        headers["content-length"] = str(len(reply.body))
        self._connection.send_headers(stream, [(":status", str(reply.status)), *headers.items()])
        self._waiting.append((stream, reply.body))
        self._send_waiting()

    def _send_waiting(self) -> None:
        """All that the client has room for; the rest when it says that it has more."""
        for _ in range(len(self._waiting)):
            stream, body = self._waiting.popleft()
            if self._is_closed(stream):
                continue
            rest = self._send(stream, body)
            if rest is not None:
                self._waiting.append((stream, rest))

    def _send(self, stream: int, body: bytes) -> bytes | None:
        """What did not fit; None when it is all gone."""
        while True:
            room = min(self._connection.local_flow_control_window(stream), self._connection.max_outbound_frame_size)
            if len(body) <= room:
                self._connection.send_data(stream, body, end_stream=True)
                return None
            if room <= 0:
                return body
            self._connection.send_data(stream, body[:room])
            body = body[room:]

    def _is_closed(self, stream: int) -> bool:
        found = self._connection.streams.get(stream)
        return found is None or found.closed

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


class EitherVersion(asyncio.Protocol):
    """Waits for the first bytes of a connection, and hands it to the protocol that speaks like that."""

    def __init__(self, *, http1: Callable[[], asyncio.Protocol], http2: Callable[[], asyncio.Protocol]) -> None:
        self._http1, self._http2 = http1, http2
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if len(self._head) < len(_PREFACE) and _PREFACE.startswith(self._head):
            return
        protocol = self._http2() if self._head.startswith(_PREFACE) else self._http1()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._head)


def _call(headers: Mapping[str, str]) -> _Call:
    plain = {name: value for name, value in headers.items() if not name.startswith(":")}
    plain.setdefault("host", headers.get(":authority", ""))
    return _Call(headers.get(":method", ""), headers.get(":path", ""), plain)


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
