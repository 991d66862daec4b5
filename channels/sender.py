"""A sender: claims deliveries of one distribution, sends them, writes down what came of each.

Claiming, beginning, calling and recording run side by side: database work on threads, calls in the event loop. A
delivery begins, durably in the database, only when its call is about to leave, so that a crash leaves few in doubt.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar
from uuid import UUID

from channels.answers import Answers, Call, Effects
from channels.batching import into_calls
from channels.engine import Backoff
from channels.errors import AnswerLost, KeysRefused, NotSent
from channels.message import Content, Message, Outcome, Provider
from channels.rate import TokenBucket
from channels.states import DeliveryState, ErrorClass
from models.queries.deliveries import Claim, Claimed, Result
from models.queries.distributions import Gate

log = logging.getLogger(__name__)
T = TypeVar("T")

WATCH_SECONDS = 1.0  # how often it is asked whether calls may still leave
FLUSH_SECONDS = 0.05  # outcomes wait for company no longer than this,
FLUSH_OUTCOMES = 500  # nor once there are so many
AHEAD_SECONDS = 0.1  # so much work is begun before a call slot is free for it,
CLAIM_SECONDS = 2.0  # and so much is claimed
LOOK_AGAIN_SECONDS = 0.5  # for rows that came due, while calls are in flight
WRITE_TRIES = 7  # outcomes are worth some patience with the database: about 6 s
DATABASE_THREADS = 4

Render = Callable[[Mapping[str, Any]], Content]


class LedgerLike(Protocol):
    """What a sender needs of the database; each call is a transaction of its own, on a thread."""

    def gate(self, now: datetime) -> Gate: ...
    def claim(self, *, limit: int, replays: bool, now: datetime) -> Claim: ...
    def begin(self, *, ids: Sequence[UUID], keys: Sequence[str | None], now: datetime) -> set[UUID]: ...
    def record(self, *, account_id: int, results: Sequence[Result], effects: Effects, now: datetime) -> int: ...
    def extend(self, now: datetime) -> None: ...
    def release(self, rows: Sequence[tuple[UUID, bool]], now: datetime) -> None: ...
    def reap(self, now: datetime) -> None: ...
    def expire(self, gate: Gate, now: datetime) -> None: ...
    def next_due(self, now: datetime) -> datetime | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReport:
    states: Mapping[DeliveryState, int]  # what this sender's tries came to
    calls: int
    next_due_at: datetime | None  # when there is work here again; None: all is settled, or only a person can go on
    closed_because: str | None  # why it ended before its work did


class Sender:
    """One run over one distribution; any number may run at once, anywhere."""

    def __init__(
        self,
        *,
        ledger: LedgerLike,
        provider: Provider,
        render: Render,
        backoff: Backoff,
        lease: timedelta,
        batch: int = 2_000,
        concurrency: int = 64,
        rate_per_second: float | None = None,
        stop: asyncio.Event | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`lease` is that of the ledger; `rate_per_second` counts calls; setting `stop` ends the run in good order."""
        self._ledger, self._provider, self._render = ledger, provider, render
        self._backoff, self._lease, self._clock, self._jitter = backoff, lease, clock, jitter
        self._concurrency = concurrency
        self._size = provider.capabilities.batch_size
        self._batch = max(batch, self._size)
        self._stop = stop or asyncio.Event()
        self._bucket = TokenBucket(per_second=rate_per_second, now=time.monotonic())
        self._claimed: deque[Claimed] = deque()
        self._calls: asyncio.Queue[Call] = asyncio.Queue()
        self._given_up: list[tuple[UUID, bool]] = []  # leased, to be given back; with each whether it is a replay
        self._claiming: asyncio.Task[None] | None = None
        self._dry, self._claimed_at = False, 0.0  # whether the last claim found less than it asked for, and when
        self._busy = self._made_calls = 0
        self._pace = 0.0  # messages a second, lately
        self._room_at = 0  # so few calls waiting make room for more
        self._writing = False
        self._room, self._progress = asyncio.Event(), asyncio.Event()
        self._pending, self._full = asyncio.Event(), asyncio.Event()
        self._halted: str | None = None

    async def run(self) -> SenderReport:
        """Send until nothing is claimable now and nothing is in flight, or until sending is closed or stopped.

        Raises:
            Exception: the database failed; an ExceptionGroup when outcomes could not be written for several seconds.
                Those are in doubt once their lease runs out.
        """
        with ThreadPoolExecutor(DATABASE_THREADS, "ledger") as self._threads:
            await self._in_thread(self._ledger.reap)
            gate = await self._in_thread(self._ledger.gate)
            self._account_id = gate.account_id
            self._answers = Answers(backoff=self._backoff, refused_in_row=gate.refused_in_row, jitter=self._jitter)
            await self._heed(gate)
            try:
                await self._send_all()
            except BaseException:
                self._save_what_is_known()
                raise
            await self._give_back()
            if self._halted is None:
                await self._heed(await self._in_thread(self._ledger.gate))
            return SenderReport(
                states=+self._answers.states,
                calls=self._made_calls,
                next_due_at=await self._in_thread(self._ledger.next_due),
                closed_because=self._halted,
            )

    async def _send_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._record()), group.create_task(self._watch())]
            beside.append(group.create_task(self._keep_leases()))
            beside.extend(group.create_task(self._work()) for _ in range(self._concurrency))
            failure = await self._feed_or_fail()
            await self._calls.join()
            while not self._idle():
                self._progress.clear()
                self._full.set()
                await self._progress.wait()
            for task in beside:
                task.cancel()
        if failure is not None:
            raise failure

    async def _feed_or_fail(self) -> Exception | None:
        """A failure to claim or begin ends the run, but first what is in flight comes home."""
        try:
            await self._feed()
            if self._claiming is not None:
                await self._claiming
        except Exception as failure:  # noqa: BLE001 - raised again by the caller
            self._halt(f"the run failed: {type(failure).__name__}")
            return failure
        return None

    # Feeding: claim, render, begin.

    async def _feed(self) -> None:
        while self._halted is None and (self._claimed or await self._refill()):
            self._claim_ahead()
            calls = await self._wait_for_room()
            if self._halted is None and calls:
                await self._begin(calls)

    async def _refill(self) -> bool:
        """False when nothing is claimable and nothing is in flight that might make something due."""
        while self._halted is None:
            was_idle = self._idle()
            await self._claim()
            if self._claimed:
                return True
            if self._dry and was_idle:
                return False
            if self._dry:
                self._progress.clear()
                await _wait(self._progress, LOOK_AGAIN_SECONDS)
        return False

    def _idle(self) -> bool:
        return not (self._busy or self._writing or self._answers.waiting or self._calls.qsize())

    def _claim_ahead(self) -> None:
        rests = self._dry and time.monotonic() - self._claimed_at < LOOK_AGAIN_SECONDS
        if self._claiming is None and not rests and len(self._claimed) <= self._claim_limit() // 2:
            self._claiming = asyncio.create_task(self._claim_some())

    async def _claim(self) -> None:
        self._claiming = self._claiming or asyncio.create_task(self._claim_some())
        await self._claiming

    def _claim_limit(self) -> int:
        least = self._size * (1 if self._answers.probing else self._concurrency)
        return min(self._batch, max(least, int(self._pace * CLAIM_SECONDS)))

    async def _claim_some(self) -> None:
        limit = self._claim_limit()
        if self._provider.capabilities.idempotent_replay:
            replays = await self._in_thread(self._ledger.claim, limit=limit, replays=True)
            self._claimed.extend(replays.deliveries)
            limit -= len(replays.deliveries)
        if limit:
            fresh = await self._in_thread(self._ledger.claim, limit=limit, replays=False)
            self._claimed.extend(fresh.deliveries)
            self._answers.states[DeliveryState.SUPPRESSED] += fresh.suppressed
            limit -= len(fresh.deliveries) + fresh.suppressed
        self._dry, self._claimed_at = limit > 0, time.monotonic()
        self._claiming = None

    async def _wait_for_room(self) -> int:
        """How many calls to begin now: for the free slots, and for what will leave in the next moment."""
        while self._halted is None:
            ahead = int(self._pace / self._size * AHEAD_SECONDS)
            queued = self._calls.qsize()
            free = self._concurrency - self._busy
            if self._answers.probing:
                ahead, free = 0, int(not self._busy)
            wanted = free + ahead - queued
            if wanted > 0 and queued <= ahead // 2:
                return await self._within_rate(wanted)
            self._room_at = ahead // 2
            self._room.clear()
            await self._room.wait()
        return 0

    async def _within_rate(self, wanted: int) -> int:
        available = self._bucket.available(time.monotonic())
        if available is None:
            return wanted
        if available < 1:
            self._room.clear()
            await _wait(self._room, self._bucket.seconds_to_next())
            return 0
        self._bucket.take(min(wanted, available))
        return min(wanted, available)

    async def _begin(self, calls: int) -> None:
        """Render, allocate keys, mark as begun; then the calls wait for the next free slot."""
        rows = [self._claimed.popleft() for _ in range(min(calls * self._size, len(self._claimed)))]
        written = self._written(rows)
        keys = await self._keys([row for row, _ in written])
        if keys is None:
            self._give_up(row for row, _ in written)
            return
        begun = await self._in_thread(self._ledger.begin, ids=[row.id for row, _ in written], keys=keys)
        sendable = []
        for (row, content), key in zip(written, keys, strict=True):
            if row.id in begun:
                message = Message(delivery_id=row.id, address=row.address, content=content, key=key)
                sendable.append((content, (row, message)))
            else:
                self._given_up.append((row.id, row.key is not None))
        if len(begun) < len(written):
            await self._heed(await self._in_thread(self._ledger.gate))
        for group in into_calls(sendable, self._provider.capabilities):
            self._calls.put_nowait(Call([row for row, _ in group], [message for _, message in group]))

    def _written(self, rows: Sequence[Claimed]) -> list[tuple[Claimed, Content]]:
        written = []
        for row in rows:
            try:
                written.append((row, self._render(recipient(row))))
            except Exception as problem:  # noqa: BLE001 - whatever a template does, it is this recipient's trouble alone
                if row.key is None:
                    self._answers.add_unrendered(row, problem, now=self._clock())
                    self._pending.set()
                else:
                    self._given_up.append((row.id, True))
        return written

    async def _keys(self, rows: Sequence[Claimed]) -> list[str | None] | None:
        """One key a row, None where the provider has none; None altogether when it refused to give any."""
        if not self._provider.capabilities.idempotent_replay:
            return [None] * len(rows)
        new = sum(row.key is None for row in rows)
        try:
            fresh = iter(await self._provider.allocate_keys(new) if new else ())
            return [row.key or next(fresh) for row in rows]
        except (NotSent, AnswerLost) as refused:
            self._answers.add_refused_account(_as_outcome(refused, rows[0].id), now=self._clock())
            self._pending.set()
            self._halt(self._answers.halt_because)
            return None

    # Calling.

    async def _work(self) -> None:
        while True:
            call = await self._calls.get()
            try:
                await self._call(call)
            finally:
                self._calls.task_done()
                if self._calls.qsize() <= self._room_at:
                    self._room.set()

    async def _call(self, call: Call) -> None:
        if self._halted is not None:
            self._give_up(call.rows)
            return
        self._busy += 1
        began_at, began = self._clock(), time.perf_counter()
        try:
            outcomes = _checked(call, await self._provider.send(call.messages))
        except Exception:
            log.exception("provider_raised", extra={"channel": self._provider.capabilities.channel.value})
            outcomes = _all_in_doubt(call, "the provider module failed; its log has the reason")
        finally:
            self._busy -= 1
        latency_ms = int((time.perf_counter() - began) * 1000)
        self._answers.add_call(call, outcomes, began_at=began_at, latency_ms=latency_ms, now=self._clock())
        self._made_calls += 1
        self._pending.set()
        if len(self._answers) >= FLUSH_OUTCOMES:
            self._full.set()
        if self._answers.halt_because is not None:
            self._halt(self._answers.halt_because)

    # Recording.

    async def _record(self) -> None:
        while True:
            began = time.monotonic()
            await self._pending.wait()
            await _wait(self._full, FLUSH_SECONDS)
            count = await self._flush()
            lately = count / max(time.monotonic() - began, FLUSH_SECONDS)
            self._pace = lately if not self._pace else 0.5 * (self._pace + lately)
            self._progress.set()
            self._room.set()

    async def _flush(self) -> int:
        self._writing = True
        results, effects = self._answers.take()
        self._pending.clear()
        self._full.clear()
        try:
            await self._write(results, effects)
        finally:
            self._writing = False
        return len(results)

    async def _write(self, results: Sequence[Result], effects: Effects) -> None:
        for tries in range(1, WRITE_TRIES + 1):
            try:
                await self._in_thread(
                    self._ledger.record, account_id=self._account_id, results=results, effects=effects
                )
            except Exception:
                if tries == WRITE_TRIES:
                    raise
                log.warning("outcomes_not_written", exc_info=True, extra={"outcomes": len(results), "tries": tries})
                await asyncio.sleep(0.1 * 2 ** (tries - 1))
            else:
                return

    # Beside it all.

    async def _watch(self) -> None:
        """See within a second that sending was closed, by whom ever, or that this run is asked to stop."""
        while self._halted is None:
            await _wait(self._stop, WATCH_SECONDS)
            with _logged("gate_not_read"):
                await self._heed(await self._in_thread(self._ledger.gate))

    async def _heed(self, gate: Gate) -> None:
        if self._stop.is_set():
            self._halt("asked to stop")
        elif gate.closed_because is not None:
            self._halt(gate.closed_because)
            if gate.ended:
                await self._in_thread(self._ledger.expire, gate=gate)

    async def _keep_leases(self) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            with _logged("leases_not_extended"):
                await self._in_thread(self._ledger.extend)

    def _halt(self, because: str | None) -> None:
        self._halted = self._halted or because
        self._room.set()
        self._progress.set()

    def _give_up(self, rows: Iterable[Claimed]) -> None:
        self._given_up.extend((row.id, row.key is not None) for row in rows)

    async def _give_back(self) -> None:
        self._give_up(self._claimed)
        if self._given_up:
            await self._in_thread(self._ledger.release, rows=self._given_up)

    def _save_what_is_known(self) -> None:
        """Cancelled, or the database failed: what came back from the provider is worth one more try."""
        results, effects = self._answers.take()
        while not self._calls.empty():
            self._give_up(self._calls.get_nowait().rows)
        self._give_up(self._claimed)
        with _logged("outcomes_in_doubt_until_lease_runs_out"):
            if results:
                self._ledger.record(account_id=self._account_id, results=results, effects=effects, now=self._clock())
            if self._given_up:
                self._ledger.release(rows=self._given_up, now=self._clock())

    async def _in_thread(self, function: Callable[..., T], **values: Any) -> T:  # noqa: ANN401 - passed on unseen
        work = partial(function, now=self._clock(), **values)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def recipient(row: Claimed) -> Mapping[str, Any]:
    """What a message may say of the person, and what its links are made from."""
    return {
        "delivery_id": row.id,
        "address": row.address,
        "customer": {
            "id": row.external_id,
            "name": row.name,
            "country": row.country,
            "language": row.language,
            "timezone": row.timezone,
        },
    }


def _checked(call: Call, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """An answer that is not one outcome a message, in their order, tells nothing reliable of any."""
    if len(outcomes) == len(call.rows) and all(
        outcome.delivery_id is row.id or outcome.delivery_id == row.id
        for outcome, row in zip(outcomes, call.rows, strict=True)
    ):
        return outcomes
    log.error("provider_answered_out_of_order", extra={"messages": len(call.rows), "outcomes": len(outcomes)})
    return _all_in_doubt(call, "the provider module answered for other messages than it was given")


def _all_in_doubt(call: Call, detail: str) -> list[Outcome]:
    return [Outcome(delivery_id=row.id, error=ErrorClass.UNKNOWN_OUTCOME, detail=detail) for row in call.rows]


def _as_outcome(refused: NotSent | AnswerLost, delivery_id: UUID) -> Outcome:
    if isinstance(refused, KeysRefused):
        return Outcome(
            delivery_id=delivery_id,
            error=refused.error,
            code=refused.code,
            detail=refused.detail,
            retry_after=refused.retry_after,
        )
    return Outcome(delivery_id=delivery_id, error=ErrorClass.DOWN, code="keys", detail=str(refused))


@contextmanager
def _logged(event: str) -> Iterator[None]:
    """A database that fails for a moment does not end what can go on without it."""
    try:
        yield
    except Exception:
        log.exception(event)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set or the time is over."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
