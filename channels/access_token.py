"""The access token of an account: fetched once for all who need it, kept until shortly before it expires."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from channels.errors import AnswerLost, NotSent
from channels.refusal import Refusal
from channels.states import ErrorClass

T = TypeVar("T")

#: Seconds before its end. WeChat renews as early, both tokens being valid in between; Google advises as much.
MARGIN = 300.0
#: After a fetch that only brought the refused token back, it is not fetched again for so long.
BARREN = 30.0
#: Nor one that was new and is refused like the one before, where each fetch brings another.
HASTY = 5.0


@dataclass(frozen=True, slots=True)
class AccessToken:
    value: str
    expires_in: float  # seconds

    def __repr__(self) -> str:
        return f"AccessToken(value='***', expires_in={self.expires_in})"


class TokenRefused(Exception):
    """The provider gave no access token."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(f"{refusal.code}: {refusal.detail}")


class AccessTokens:
    """Any number of concurrent calls of `current` lead to one fetch, whose result or error all of them get."""

    def __init__(self, *, fetch: Callable[[], Awaitable[AccessToken]]) -> None:
        self._fetch = fetch
        self._flight: asyncio.Task[str] | None = None
        self._value: str | None = None
        self._good_until = 0.0
        self._barren_until = 0.0

    async def current(self, *, refused: str | None = None) -> str:
        """A valid token; `refused` is one that the provider has just turned down."""
        if self._value is not None and not self._is_stale(refused):
            return self._value
        if self._flight is None:
            self._flight = asyncio.create_task(self._renew(was_refused=refused is not None and refused == self._value))
            self._flight.add_done_callback(self._landed)
        # shield: a caller that is cancelled must not take the token from the others.
        return await asyncio.shield(self._flight)

    async def call(self, make: Callable[[str], Awaitable[T | Refusal]]) -> T | Refusal:
        """What `make` gets with a token; once more with a fresh one when the provider turned the first down.

        A `token` refusal that comes back was of a token just fetched: it is the account's trouble.
        """
        token, answer = await self._try(make, refused=None)
        if isinstance(answer, Refusal) and answer.error is ErrorClass.TOKEN:
            _, answer = await self._try(make, refused=token)
        return answer

    async def close(self) -> None:
        flight = self._flight
        if flight is not None:
            flight.cancel()
            await asyncio.wait({flight})

    async def _try(
        self, make: Callable[[str], Awaitable[T | Refusal]], *, refused: str | None
    ) -> tuple[str, T | Refusal]:
        try:
            token = await self.current(refused=refused)
        except TokenRefused as error:
            return "", error.refusal
        except (NotSent, AnswerLost) as error:
            # Only the token call was made: whatever became of it, the message never left.
            return "", Refusal(error=ErrorClass.DOWN, detail=f"no access token: {error}")
        return token, await make(token)

    def _is_stale(self, refused: str | None) -> bool:
        now = time.monotonic()
        return now >= self._good_until or (refused == self._value and now >= self._barren_until)

    async def _renew(self, *, was_refused: bool) -> str:
        before = self._value
        token = await self._fetch()
        now = time.monotonic()
        # A token that lives shorter than the margin is still used for half its life.
        self._good_until = now + max(token.expires_in - MARGIN, token.expires_in / 2)
        pause = BARREN if token.value == before else HASTY if was_refused else 0.0
        self._barren_until = now + pause
        self._value = token.value
        return token.value

    def _landed(self, flight: asyncio.Task[str]) -> None:
        self._flight = None
        if not flight.cancelled():
            flight.exception()  # seen here, should nobody be waiting any more
