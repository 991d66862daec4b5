"""HTTP/1.1 for many small calls: as little work a call as the protocol allows, for that bounds deliveries a second.

It speaks what provider APIs speak: one request at a time on a kept connection, bodies by length, in chunks or until the
end, TLS, no redirects, no cookies, no compression asked for. Nothing is ever sent twice.
"""

import asyncio
import ssl
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from channels.errors import AnswerLost, NotSent
from channels.transport import USER_AGENT, HttpResponse

_END = b"\r\n\r\n"
_MOST_HEAD = 65_536
_MOST_BODY = 64 * 2**20
_IDLE_SECONDS = 10.0  # servers hang up on idle connections, and a request written just then would be in doubt
_NO_BODY = frozenset({204, 304})


class WireTransport:
    """A `Transport` over kept connections, at most `connections` at once; it belongs to the loop of its first call."""

    def __init__(self, *, connections: int = 128, connect_timeout: float = 5.0) -> None:
        self._connect_timeout = connect_timeout
        self._slots = asyncio.Semaphore(connections)
        self._idle: dict[tuple[str, int, bool], list[_Connection]] = {}
        self._tls: ssl.SSLContext | None = None

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float) -> HttpResponse:  # noqa: ASYNC109 - enforced here
        return await self._call("POST", url, headers, body, timeout)

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: float) -> HttpResponse:  # noqa: ASYNC109 - enforced here
        return await self._call("GET", url, headers, b"", timeout)

    async def close(self) -> None:
        kept = [connection for connections in self._idle.values() for connection in connections]
        self._idle.clear()
        for connection in kept:
            connection.close()
        for connection in kept:
            await connection.closed.wait()

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> HttpResponse:
        place, authority, target = _parts(url)
        request = _request(method, authority, target, headers, body)
        async with self._slots:
            connection = self._kept(place) or await self._connect(place, authority)
            try:
                response = await connection.exchange(request, seconds)
            except _Broken as broken:
                raise AnswerLost(f"the answer of {authority} was lost ({broken})") from None
            finally:
                if not connection.reusable:
                    connection.close()
            if connection.reusable:
                connection.idle_since = time.monotonic()
                self._idle.setdefault(place, []).append(connection)
            return response

    def _kept(self, place: tuple[str, int, bool]) -> "_Connection | None":
        kept = self._idle.get(place)
        while kept:
            connection = kept.pop()
            if connection.reusable and time.monotonic() - connection.idle_since < _IDLE_SECONDS:
                return connection
            connection.close()
        return None

    async def _connect(self, place: tuple[str, int, bool], authority: str) -> "_Connection":
        host, port, secure = place
        if secure and self._tls is None:
            self._tls = ssl.create_default_context()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    _Connection, host, port, ssl=self._tls if secure else None, server_hostname=host if secure else None
                )
        except (OSError, ValueError, TimeoutError) as error:
            reason = "timeout" if isinstance(error, TimeoutError) else str(error)
            raise NotSent(f"no connection to {authority} ({reason})") from None
        return connection


class _Broken(Exception):
    """The connection, or what came over it, was no good."""


class _Headers(Mapping[str, str]):
    """Read only when somebody asks: most answers are good ones, and of those nobody does."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._read: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._fields()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields())

    def __len__(self) -> int:
        return len(self._fields())

    def _fields(self) -> dict[str, str]:
        if self._read is None:
            lines = (line.partition(":") for line in self._head.decode("latin-1").split("\r\n")[1:])
            self._read = {name.strip().lower(): value.strip() for name, _, value in lines}
        return self._read


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.reusable = True
        self.idle_since = 0.0
        self.closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HttpResponse] | None = None
        self._buffer = b""
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # create_connection gives a stream transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable, self._ended = False, True
        self.closed.set()
        self._advance()
        self._fail(type(exc).__name__ if exc else "the server hung up")

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._answer is None:  # nobody asked: what comes now would be taken for the next answer
            self.close()
        else:
            self._advance()

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.close()

    async def exchange(self, request: bytes, seconds: float) -> HttpResponse:
        """Raises _Broken once anything was written and no whole answer came."""
        if self._transport is None:
            raise _Broken("not connected")
        self._answer = self._loop.create_future()
        timer = self._loop.call_later(seconds, self._fail, "timeout")
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.reusable = False
            raise
        finally:
            timer.cancel()
            self._answer = None

    def _advance(self) -> None:
        if self._answer is None or self._answer.done():
            return
        try:
            response = self._whole_answer()
        except (ValueError, IndexError, zlib.error):
            self._fail("not HTTP")
            return
        if response is not None:
            self._answer.set_result(response)

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self.reusable = False
            self._answer.set_exception(_Broken(reason))

    def _whole_answer(self) -> HttpResponse | None:
        """None while something is missing. Raises ValueError for what is no HTTP."""
        end = self._buffer.find(_END)
        if end < 0:
            if len(self._buffer) > _MOST_HEAD:
                raise ValueError("no end of the head")
            return None
        head = self._buffer[:end]
        if not head.startswith(b"HTTP/1."):
            raise ValueError("no status line")
        status = int(head[9:12])
        if status < 200:  # noqa: PLR2004 - an interim answer: the real one follows
            self._buffer = self._buffer[end + len(_END) :]
            return self._whole_answer()
        body, rest = self._body(head.lower(), status, self._buffer[end + len(_END) :])
        if body is None:
            return None
        if rest or b"connection: close" in head.lower() or head.startswith(b"HTTP/1.0"):
            self.reusable = False
        self._buffer = b""
        return HttpResponse(status, _Headers(head), body)

    def _body(self, head: bytes, status: int, rest: bytes) -> tuple[bytes | None, bytes]:
        body: bytes | None
        if status in _NO_BODY:
            body = b""
        elif b"transfer-encoding:" in head:
            body, rest = _chunks(rest)
        elif (length := _length(head)) is None:
            self.reusable = False  # the end of the connection is the end of the body
            body, rest = (rest, b"") if self._ended else (None, rest)
        else:
            body, rest = (rest[:length], rest[length:]) if len(rest) >= length else (None, rest)
        if body and b"content-encoding: gzip" in head:
            body = zlib.decompress(body, 31)
        return body, rest


def _length(head: bytes) -> int | None:
    start = head.find(b"\r\ncontent-length:")
    if start < 0:
        return None
    length = int(head[start + 17 :].split(b"\r\n", 1)[0])
    if not 0 <= length <= _MOST_BODY:
        raise ValueError("no such length")
    return length


def _chunks(data: bytes) -> tuple[bytes | None, bytes]:
    parts: deque[bytes] = deque()
    at = 0
    while (line_end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:line_end].split(b";")[0], 16)
        at = line_end + 2
        if size == 0:
            # trailers, if any, end as the head does
            end = at - 2 if data[at : at + 2] == b"\r\n" else data.find(_END, at)
            return (b"".join(parts), data[end + 4 :]) if end >= 0 else (None, data)
        if len(data) < at + size + 2:
            break
        parts.append(data[at : at + size])
        at += size + 2
    return None, data


@lru_cache(maxsize=256)
def _origin(origin: str) -> tuple[tuple[str, int, bool], str]:
    parts = urlsplit(origin)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
        raise NotSent(f"no usable address: {parts.scheme}://{parts.netloc.rpartition('@')[2]}")
    secure = parts.scheme == "https"
    authority = parts.netloc.rpartition("@")[2]
    return (parts.hostname, port or (443 if secure else 80), secure), authority


def _parts(url: str) -> tuple[tuple[str, int, bool], str, str]:
    slash = url.find("/", url.find("://") + 3)
    origin, target = (url, "/") if slash < 0 else (url[:slash], url[slash:])
    place, authority = _origin(origin)
    return place, authority, target


@lru_cache(maxsize=256)
def _fixed(method: str, authority: str, headers: tuple[tuple[str, str], ...]) -> str:
    """The lines that are the same in call after call."""
    lines = {"host": f"Host: {authority}", "user-agent": f"User-Agent: {USER_AGENT}", "accept": "Accept: */*"}
    lines["accept-encoding"] = "Accept-Encoding: identity"
    for name, value in headers:
        if any(sign in f"{name}{value}" for sign in "\r\n"):
            raise NotSent(f"a header of the {method} to {authority} holds a line break")
        lines[name.lower()] = f"{name}: {value}"
    return "\r\n".join(lines.values())


def _request(method: str, authority: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    target = target.partition("#")[0]
    if any(sign in target for sign in " \r\n\t") or not target.isascii():
        raise NotSent(f"the path of the {method} to {authority} is not encoded")
    fixed = _fixed(method, authority, tuple(headers.items()))
    return f"{method} {target} HTTP/1.1\r\n{fixed}\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
