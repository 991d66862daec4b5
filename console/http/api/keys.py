"""Whose key a request shows, as it was at most some seconds ago, and whether it may ask now."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import HTTPException, Request

from console.http.api.rate import Rate
from console.http.services import Services
from offers.api_key import Caller, hash_of, looks_like_secret
from offers.service.api_keys import caller_of

#: For so long a key is not read again: one that is revoked is refused within this.
KNOWN_SECONDS = 5.0


@dataclass(slots=True)
class _Known:
    caller: Caller
    until: float
    rate: Rate


class KeyBook:
    """The keys that were shown to this process. It knows them by their hashes."""

    def __init__(self, services: Services, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._services, self._clock = services, clock
        self._known: dict[str, _Known] = {}

    async def admitted(self, request: Request) -> Caller:
        """Who asks. HTTPException 401 where nobody does who may, 429 where she asked too often."""
        known = await self._shown(request)
        if known is None:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
        if wait := known.rate.wait(self._clock()):
            raise HTTPException(429, headers={"Retry-After": str(math.ceil(round(wait, 3)) or 1)})
        return known.caller

    async def _shown(self, request: Request) -> _Known | None:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not looks_like_secret(secret):
            return None
        hash_ = hash_of(secret)
        known = self._known.get(hash_)
        if known is not None and self._clock() < known.until:
            return known
        return await self._looked_up(hash_, secret)

    async def _looked_up(self, hash_: str, secret: str) -> _Known | None:
        until = self._clock() + KNOWN_SECONDS
        caller = await self._services.in_thread(self._caller, secret)
        if caller is None:  # not kept: secrets that somebody tries out would fill it
            self._known.pop(hash_, None)
            return None
        before = self._known.get(hash_)
        known = _Known(caller, until, before.rate if before else Rate(caller.per_second))
        self._known[hash_] = known
        return known

    def _caller(self, secret: str) -> Caller | None:
        with self._services.database.begin() as session:
            return caller_of(session, secret=secret)
