"""Open SMTP connections, used again for one message after another."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiosmtplib

QUIT_TIMEOUT = 2.0


@dataclass(slots=True, kw_only=True, eq=False)
class Connection:
    """`sound` turns False once it must not be used again."""

    smtp: aiosmtplib.SMTP
    messages: int = 0
    sound: bool = True
    used_at: float = field(default_factory=time.monotonic)

    @property
    def is_reused(self) -> bool:
        return self.messages > 0


@dataclass(slots=True, kw_only=True)
class Pool:
    """At most `size` connections. One is given up after `messages_per_connection`, or `idle_seconds` without use."""

    connect: Callable[[], Awaitable[aiosmtplib.SMTP]]
    size: int
    messages_per_connection: int
    idle_seconds: float
    _idle: list[Connection] = field(default_factory=list)
    _places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.size)

    @asynccontextmanager
    async def connection(self, *, fresh: bool = False) -> AsyncIterator[Connection]:
        """One for the caller alone; `fresh` asks for one that was never used. An exception makes it unsound."""
        async with self._places:
            taken = await self._take(fresh=fresh)
            try:
                yield taken
            except BaseException:
                taken.sound = False
                raise
            finally:
                await self._give_back(taken)

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        await asyncio.gather(*(_quit(connection) for connection in idle))

    async def _take(self, *, fresh: bool) -> Connection:
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.smtp.is_connected and time.monotonic() - connection.used_at < self.idle_seconds:
                return connection
            connection.smtp.close()
        return Connection(smtp=await self.connect())

    async def _give_back(self, connection: Connection) -> None:
        connection.messages += 1
        connection.used_at = time.monotonic()
        if not connection.sound or not connection.smtp.is_connected:
            connection.smtp.close()
        elif connection.messages >= self.messages_per_connection:
            await _quit(connection)
        else:
            self._idle.append(connection)


async def _quit(connection: Connection) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        await connection.smtp.quit(timeout=QUIT_TIMEOUT)
    connection.smtp.close()
