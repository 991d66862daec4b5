"""An SMTP connection as bytes: lines go out, whole replies come in, and an answer may be long in coming or too long."""

import asyncio
import ssl
from typing import Protocol, cast

#: RFC 5321 grants a reply line 512 octets; nobody needs more of either than this.
LONGEST_LINE, MOST_LINES = 4_096, 200
_SEPARATOR, _CODE = slice(3, 4), slice(3)


class Listener(Protocol):
    """Whoever talks over a wire just now."""

    def heed(self, code: int, text: bytes) -> None:
        """A reply; the lines of a long one are parted by line feeds."""
        ...

    def overdue(self) -> None:
        """Nothing was heard for as long as `Wire.expect_within` said."""
        ...

    def lost(self, reason: str) -> None:
        """The connection is gone; said once, and nothing comes after it."""
        ...


class Wire(asyncio.Protocol):
    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.is_lost = False
        self._reason = "the connection was closed"
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._lines: list[bytes] = []  # of a reply that is not complete
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._due_at = 0.0

    @property
    def is_closing(self) -> bool:
        """What is written now may go nowhere."""
        return self.is_lost or self._transport is None or self._transport.is_closing()

    @property
    def has_unread(self) -> bool:
        return bool(self._rest or self._lines)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, only like them.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            self.lose("it answered an endless line")
        for line in lines:
            if self.is_lost:
                return
            if line[_SEPARATOR] == b"-":
                self._keep(line)
            else:
                self._hear(line)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.is_lost and error is not None:
            self._reason = type(error).__name__
        self._end()
        self.listener.lost(self._reason)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.is_lost:
            self._transport.write(data)

    def expect_within(self, seconds: float) -> None:
        """Let the listener know if this much time passes. The timer itself is only moved when it would ring late."""
        if self.is_lost:
            return
        self._due_at = self._loop.time() + seconds
        if self._timer is None or self._due_at < self._timer_at:
            self._set_timer()

    def lose(self, reason: str) -> None:
        """Drop the connection; the listener is told soon after."""
        if not self.is_lost:
            self._reason = reason
            self._end()
            if self._transport is not None:
                self._transport.abort()

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Go on encrypted. Raises OSError, of which ssl.SSLError is one."""
        if self._transport is None or self.is_lost:
            raise ConnectionResetError(self._reason)
        wrapped = await self._loop.start_tls(self._transport, self, context, server_hostname=host)
        if wrapped is None:
            raise ConnectionResetError(self._reason)
        self._transport = wrapped

    def _keep(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) > MOST_LINES:
            self.lose("it answered without end")

    def _hear(self, line: bytes) -> None:
        code = int(line[_CODE]) if line[_CODE].isdigit() else 0
        text = line[4:].rstrip(b"\r")
        if self._lines:
            text = b"\n".join([*(earlier[4:].rstrip(b"\r") for earlier in self._lines), text])
            self._lines.clear()
        if 200 <= code < 600:  # noqa: PLR2004 - as RFC 5321 has them
            self.listener.heed(code, text)
        else:
            self.lose("it answered, but not in SMTP")

    def _end(self) -> None:
        self.is_lost = True
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._due_at
        self._timer = self._loop.call_at(self._due_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._loop.time() < self._due_at:
            self._set_timer()
        else:
            self.listener.overdue()
