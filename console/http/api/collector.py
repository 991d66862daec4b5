"""Claims that wait are settled together, in one transaction for each product line.

A claim that finds none under way is settled at once, and those that come meanwhile are settled together after it. Where
many came together, the next wait a little for as many: whoever was just answered asks again in a moment, and a batch
costs nearly as much for a few as for all. So a coupon that everybody wants is locked once for many, not once for each.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from fastapi import HTTPException

from channels.waits import wait_for

MOST_AT_ONCE = 500
#: How long to wait for as many as the batch before had: at most so much of the time that it took, and so many seconds.
PATIENCE, MOST_SECONDS = 0.5, 0.02

A = TypeVar("A")
S = TypeVar("S")
Settle = Callable[[int, Sequence[A]], Awaitable[Sequence[S]]]
Waiting = tuple[A, asyncio.Future[S]]


class Collector(Generic[A, S]):
    """`settle` is given a product line and what is asked of it, and answers in the same order."""

    def __init__(
        self, settle: Callable[[int, Sequence[A]], Awaitable[Sequence[S]]], *, most: int = MOST_AT_ONCE
    ) -> None:
        self._settle, self._most = settle, most
        self._waiting: defaultdict[int, deque[Waiting[A, S]]] = defaultdict(deque)
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._expected: dict[int, tuple[int, asyncio.Event]] = {}  # how many, and that they are here

    async def settled(self, product_line_id: int, asked: A) -> S:
        """Raises whatever `settle` raises of it."""
        future: asyncio.Future[S] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[product_line_id]
        waiting.append((asked, future))
        many, here = self._expected.get(product_line_id, (0, None))
        if here and len(waiting) >= many:
            here.set()
        if product_line_id not in self._under_way:
            self._under_way[product_line_id] = asyncio.create_task(self._settle_all(product_line_id))
        return await future

    async def _settle_all(self, product_line_id: int) -> None:
        company = 0
        try:
            while batch := self._next(product_line_id):
                began = time.perf_counter()
                await self._settle_batch(product_line_id, batch)
                took = time.perf_counter() - began
                company = min(max(company // 2, len(batch)), self._most)
                await self._wait_for(product_line_id, company, seconds=min(took * PATIENCE, MOST_SECONDS))
        finally:
            del self._under_way[product_line_id]

    async def _wait_for(self, product_line_id: int, many: int, *, seconds: float) -> None:
        """Until so many wait, or the time is over."""
        if len(self._waiting[product_line_id]) >= many:
            return
        here = asyncio.Event()
        self._expected[product_line_id] = many, here
        try:
            await wait_for(here, seconds)
        finally:
            del self._expected[product_line_id]

    def _next(self, product_line_id: int) -> Sequence[Waiting[A, S]]:
        waiting = self._waiting[product_line_id]
        return [waiting.popleft() for _ in range(min(len(waiting), self._most))]

    async def _settle_batch(self, product_line_id: int, batch: Sequence[Waiting[A, S]]) -> None:
        try:
            found = await self._settle(product_line_id, [asked for asked, _ in batch])
        except HTTPException as trouble:  # of the database, which none of them is to blame for
            for _, future in batch:
                _refuse(future, HTTPException(trouble.status_code, headers=trouble.headers))
        except Exception as unforeseen:  # noqa: BLE001 - whatever one of them brings up, the others are still settled
            if len(batch) == 1:
                _refuse(batch[0][1], unforeseen)
                return
            for one in batch:
                await self._settle_batch(product_line_id, [one])
        else:
            for (_, future), answer in zip(batch, found, strict=True):
                if not future.done():
                    future.set_result(answer)


def _refuse(future: asyncio.Future[S], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
