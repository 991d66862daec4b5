"""Writes down what calls came to, in batches, beside the calls."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from channels.answers import Effects, Outbox
from channels.waits import wait_for
from models.queries.deliveries import Result

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.05  # outcomes wait for company no longer than this,
FLUSH_OUTCOMES = 1_000  # nor once there are so many
WRITE_TRIES = 7  # outcomes are worth some patience with the database: about 6 s


class Recorder:
    """Of one sender. `pace` is in messages a second, lately."""

    def __init__(self, *, outbox: Outbox, write: Callable[..., Awaitable[object]], written: Callable[[], None]) -> None:
        """`write` takes results and effects, all or nothing; `written` is told after each batch."""
        self._outbox, self._write, self._written = outbox, write, written
        self._pending, self._full = asyncio.Event(), asyncio.Event()
        self._writing = False
        self.pace = 0.0

    @property
    def busy(self) -> bool:
        return self._writing or self._outbox.waiting

    def wake(self) -> None:
        """Something came into the outbox."""
        self._pending.set()
        if len(self._outbox.results) >= FLUSH_OUTCOMES:
            self._full.set()

    def hurry(self) -> None:
        """What waits for company waits no longer."""
        self._full.set()

    async def run(self) -> None:
        """Until cancelled. Raises what the database raised, once outcomes could not be written for several seconds."""
        while True:
            began = time.monotonic()
            await self._pending.wait()
            await wait_for(self._full, FLUSH_SECONDS)
            count = await self._flush()
            lately = count / max(time.monotonic() - began, FLUSH_SECONDS)
            self.pace = lately if not self.pace else 0.5 * (self.pace + lately)
            self._written()

    async def _flush(self) -> int:
        self._writing = True
        results, effects = self._outbox.take()
        self._pending.clear()
        self._full.clear()
        try:
            await self._persist(results, effects)
        finally:
            self._writing = False
        return len(results)

    async def _persist(self, results: Sequence[Result], effects: Mapping[int, Effects]) -> None:
        for tries in range(1, WRITE_TRIES + 1):
            try:
                await self._write(results=results, effects=effects)
            except Exception:
                if tries == WRITE_TRIES:
                    raise
                log.warning("outcomes_not_written", exc_info=True, extra={"outcomes": len(results), "tries": tries})
                await asyncio.sleep(0.1 * 2 ** (tries - 1))
            else:
                return
