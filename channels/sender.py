"""A sender: claims deliveries of one distribution, sends them, writes down what came of each.

Claiming, beginning, calling and recording run side by side: database work on threads, calls in the event loop. A
delivery begins, durably in the database, only when its call is about to leave, so that a crash leaves few in doubt.
Each account that serves the distribution is a line of its own, with its own slots, breaker and permits.
"""

import asyncio
import logging
import random
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from channels.answers import Call, CallCounts, Effects, Outbox, all_in_doubt, checked, without_codes
from channels.batching import into_calls
from channels.errors import AnswerLost, NotSent, SenderTakenForDead
from channels.line import Line, as_outcome
from channels.message import Content, Message
from channels.rate import Grant, Permits
from channels.recorder import Recorder
from channels.states import DeliveryState
from channels.waits import wait_for
from models.queries.deliveries import Claim, Claimed, Result
from models.queries.distributions import AccountGate, Gate

log = logging.getLogger(__name__)
T = TypeVar("T")

WATCH_SECONDS = 1.0  # how often it is asked whether calls may still leave
AHEAD_SECONDS = 0.1  # so much work is begun before a call slot is free for it,
CLAIM_SECONDS = 2.0  # and so much is claimed
LOOK_AGAIN_SECONDS = 0.5  # for rows that came due, while calls are in flight
STALE = timedelta(seconds=30)  # after so long what holds for a claimed row is asked again
DATABASE_THREADS = 4
_TURN_CALLS = 4  # of a line of weight 1, beside others

Render = Callable[[Mapping[str, Any]], Content]


class LedgerLike(Protocol):
    """What a sender needs of the database; each call is a transaction of its own, on a thread."""

    def enter(self, now: datetime) -> None: ...
    def gate(self, now: datetime) -> Gate: ...
    def claim(self, *, limit: int, replays_of: Sequence[int], now: datetime) -> Claim: ...
    def permits(self, *, account_id: int, wanted: int, now: datetime) -> Permits: ...
    def begin(
        self, *, account_id: int, seqs: Sequence[int], keys: Sequence[str | None] | None, now: datetime
    ) -> Collection[int]: ...
    def record(self, *, results: Sequence[Result], effects: Mapping[int, Effects], now: datetime) -> int: ...
    def count_calls(self, *, counts: Mapping[int, CallCounts], now: datetime) -> None: ...
    def beat(self, now: datetime) -> bool: ...
    def release(self, seqs: Sequence[int], now: datetime) -> None: ...
    def expire(self, gate: Gate, now: datetime) -> None: ...
    def leave(self, now: datetime) -> None: ...
    def next_due(self, now: datetime) -> datetime | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReport:
    states: Mapping[DeliveryState, int]  # what this sender's tries came to
    calls: int
    next_due_at: datetime | None  # when there is work here again; None: all is settled, or only a person can go on
    closed_because: str | None  # why it ended before its work did
    taken_for_dead: bool  # it may have held what others went on with; whoever goes on needs a sender of its own


class Sender:
    """One run over one distribution; any number may run at once, anywhere."""

    def __init__(
        self,
        *,
        ledger: LedgerLike,
        lines: Sequence[Line],
        render: Render,
        lease: timedelta,
        batch: int = 4_000,
        stop: asyncio.Event | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`lease` is that of the ledger; setting `stop` ends the run in good order."""
        self._ledger, self._lines, self._render = ledger, {line.account_id: line for line in lines}, render
        self._lease, self._clock, self._jitter = lease, clock, jitter
        self._batch = max(batch, *(line.size for line in lines))
        self._stop = stop or asyncio.Event()
        self._outbox = Outbox()
        self._recorder = Recorder(
            outbox=self._outbox, write=partial(self._in_thread, ledger.record), written=self._after_writing
        )
        self._claimed: deque[Claimed] = deque()
        self._given_up: list[int] = []  # held, to be given back
        self._claiming: asyncio.Task[None] | None = None
        self._dry, self._claimed_at = False, 0.0  # whether the last claim found less than it asked for, and when
        self._good_until = datetime.max.replace(tzinfo=UTC)  # of what is claimed and has not begun
        self._made_calls = 0
        self._room, self._progress = asyncio.Event(), asyncio.Event()
        self._halted: str | None = None
        self._taken_for_dead = False

    async def run(self) -> SenderReport:
        """Send until nothing is claimable now and nothing is in flight, or until sending is closed or stopped.

        One that was taken for dead ends as well, once what came of its calls in flight is written down.

        Raises:
            Exception: the database failed; an ExceptionGroup when outcomes could not be written for several seconds.
                Those are in doubt once this sender counts as dead.
        """
        with ThreadPoolExecutor(DATABASE_THREADS, "ledger") as self._threads:
            await self._in_thread(self._ledger.enter)
            gate = await self._in_thread(self._ledger.gate)
            for account in gate.accounts:
                if account.account_id in self._lines:
                    self._open(self._lines[account.account_id], account)
            self._heed(gate)
            try:
                await self._send_all()
            except BaseException:
                self._save_what_is_known()
                raise
            await self._give_back()
            gate = await self._in_thread(self._ledger.gate)
            self._heed(gate)
            if gate.ended:
                await self._in_thread(self._ledger.expire, gate=gate)
            await self._in_thread(self._ledger.leave)
            return SenderReport(
                states=+self._outbox.states,
                calls=self._made_calls,
                next_due_at=await self._in_thread(self._ledger.next_due),
                closed_because=self._halted,
                taken_for_dead=self._taken_for_dead,
            )

    def _open(self, line: Line, account: AccountGate) -> None:
        another = partial(self._another_is_open, line)
        line.open(account, outbox=self._outbox, jitter=self._jitter, clock=self._clock, stands_in=another)

    async def _send_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._recorder.run()), group.create_task(self._watch())]
            beside.append(group.create_task(self._keep_alive()))
            for line in self._lines.values():
                beside.extend(group.create_task(self._work(line)) for _ in range(line.concurrency))
            failure = await self._feed_or_fail()
            for line in self._lines.values():
                await line.calls.join()
            while not self._idle():
                self._progress.clear()
                self._recorder.hurry()
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
        except SenderTakenForDead as dead:
            self._end_as_dead(dead)
        except Exception as failure:  # noqa: BLE001 - raised again by the caller
            self._halt(f"the run failed: {type(failure).__name__}")
            return failure
        return None

    # Feeding: claim, choose a line, render, begin.

    async def _feed(self) -> None:
        while self._halted is None and (self._has_claimed() or await self._refill()):
            self._claim_ahead()
            chosen = await self._wait_for_room()
            if chosen is not None and self._halted is None:
                line, permitted = chosen
                if self._claimed and self._clock() >= self._good_until:
                    await self._claim_anew()
                    continue
                fresh = self._claimed if self._takes_fresh(line) else deque[Claimed]()
                await self._begin(line, line.next_rows(fresh, permitted.granted), permitted)

    def _has_claimed(self) -> bool:
        return bool(self._claimed) or any(line.replays for line in self._lines.values())

    async def _refill(self) -> bool:
        """False when nothing is claimable and nothing is in flight that might make something due."""
        while self._halted is None:
            was_idle = self._idle()
            await self._claim()
            if self._has_claimed():
                return True
            if self._dry and was_idle and self._given_up:
                await self._give_back_given_up()  # what one account could not take, another may
            elif self._dry and was_idle:
                return False
            elif self._dry:
                self._progress.clear()
                await wait_for(self._progress, LOOK_AGAIN_SECONDS)
        return False

    def _idle(self) -> bool:
        at_work = any(line.busy or line.calls.qsize() for line in self._lines.values())
        return not (at_work or self._recorder.busy)

    async def _claim_anew(self) -> None:
        """It has waited for long: the hour may be quiet by now, somebody may have opted out."""
        self._given_up.extend(row.seq for row in self._claimed)
        self._claimed.clear()
        await self._give_back_given_up()

    def _claim_ahead(self) -> None:
        rests = self._dry and time.monotonic() - self._claimed_at < LOOK_AGAIN_SECONDS
        if self._claiming is None and not rests and len(self._claimed) <= self._claim_limit() // 2:
            self._claiming = asyncio.create_task(self._claim_some())

    async def _claim(self) -> None:
        self._claiming = self._claiming or asyncio.create_task(self._claim_some())
        await self._claiming

    def _claim_limit(self) -> int:
        least = sum(line.appetite for line in self._lines.values() if line.is_open)
        return min(self._batch, max(least, int(self._recorder.pace * CLAIM_SECONDS), 1))

    async def _claim_some(self) -> None:
        limit = self._claim_limit()
        replays_of = [line.account_id for line in self._lines.values() if line.is_open and line.replayable]
        claim = await self._in_thread(self._ledger.claim, limit=limit, replays_of=replays_of)
        good_until = min(self._clock() + STALE, claim.good_until or datetime.max.replace(tzinfo=UTC))
        self._good_until = min(self._good_until, good_until) if self._claimed else good_until
        for row in claim.deliveries:
            if row.key is None:
                self._claimed.append(row)
            else:
                self._lines[row.account_id].replays.append(row)  # type: ignore[index] # claimed by its account
        self._outbox.states.update(claim.settled)
        found = len(claim.deliveries) + sum(claim.settled.values())
        self._dry, self._claimed_at, self._claiming = found < limit, time.monotonic(), None

    async def _wait_for_room(self) -> tuple[Line, Grant] | None:
        """A line with free slots, and leave to begin messages: for these slots, and for the next moment."""
        while self._halted is None:
            self._room.clear()
            wait = WATCH_SECONDS
            for line in self._in_turn():
                wanted = line.room(ahead=int(self._recorder.pace / line.size * AHEAD_SECONDS))
                if not wanted:
                    continue
                permitted = await self._permitted(line, min(wanted, self._share(line)) * line.size)
                if permitted.granted:
                    return line, permitted
                wait = min(wait, line.seconds_to_permits(self._clock()))
            await wait_for(self._room, wait)
            if not self._has_claimed():
                return None
        return None

    async def _permitted(self, line: Line, messages: int) -> Grant:
        fetch = partial(self._in_thread, self._ledger.permits)
        return await line.permitted(messages, pace=self._recorder.pace, fetch=fetch)

    def _in_turn(self) -> list[Line]:
        """Open lines that may take what is claimed, the one furthest behind its share first.

        Those of weight 0 stand in: they come only while no other is open.
        """
        open_lines = [line for line in self._lines.values() if line.is_open]
        wanted = [line for line in open_lines if line.replays or (self._claimed and self._takes_fresh(line))]
        return sorted(wanted, key=lambda line: line.begun / max(line.weight, 1))

    def _share(self, line: Line) -> int:
        """Calls that a line may begin before the others have their turn."""
        alone = sum(other.is_open for other in self._lines.values()) < 2  # noqa: PLR2004 - itself
        return sys.maxsize if alone else _TURN_CALLS * max(line.weight, 1)

    def _takes_fresh(self, line: Line) -> bool:
        return line.weight > 0 or not any(other.weight and other.is_open for other in self._lines.values())

    async def _begin(self, line: Line, rows: Sequence[Claimed], permitted: Grant) -> None:
        """Render, allocate keys, mark as begun; then the calls wait for the next free slot."""
        written = self._written(line, rows)
        if not written:
            return
        seqs = [row.seq for row, _ in written]
        keys = await self._keys(line, [row for row, _ in written])
        if line.replayable and keys is None:
            self._given_up.extend(seqs)
            return
        try:
            begun = await self._in_thread(self._ledger.begin, account_id=line.account_id, seqs=seqs, keys=keys)
        except SenderTakenForDead:
            self._given_up.extend(seqs)
            raise
        line.begun += len(begun)
        sendable = []
        for (row, content), key in zip(written, keys or [None] * len(written), strict=True):
            if row.seq in begun:
                message = Message(delivery_id=row.id, address=row.address, content=content, key=key)
                sendable.append((content, (row, message)))
            else:
                self._given_up.append(row.seq)
        if len(begun) < len(written):
            self._heed(await self._in_thread(self._ledger.gate))
        calls = into_calls(sendable, line.provider.capabilities)
        leave_times = line.leave_times(permitted, messages=len(rows), calls=len(calls))
        for group, leave_by in zip(calls, leave_times, strict=True):
            line.calls.put_nowait(Call([row for row, _ in group], [message for _, message in group], leave_by))

    def _written(self, line: Line, rows: Sequence[Claimed]) -> list[tuple[Claimed, Content]]:
        written = []
        for row in rows:
            try:
                written.append((row, self._render(recipient(row))))
            except Exception as problem:  # noqa: BLE001 - whatever a template does, it is this recipient's trouble alone
                if row.key is None:
                    line.answers.add_unrendered(row, problem)
                    self._recorder.wake()
                else:
                    self._given_up.append(row.seq)
        return written

    async def _keys(self, line: Line, rows: Sequence[Claimed]) -> list[str | None] | None:
        """One key a row; None where the provider has none, or refused to give any."""
        if not line.replayable:
            return None
        new = sum(row.key is None for row in rows)
        try:
            fresh = iter(await line.provider.allocate_keys(new) if new else ())
            return [row.key or next(fresh) for row in rows]
        except (NotSent, AnswerLost) as refused:
            line.answers.add_refused_account(as_outcome(refused, rows[0].id))
            self._recorder.wake()
            self._heed_answers(line)
            return None

    # Calling.

    async def _work(self, line: Line) -> None:
        while True:
            call = line.calls.get_nowait() if line.calls.qsize() else await line.calls.get()
            try:
                await self._call(line, call)
            finally:
                line.calls.task_done()
                if line.calls.qsize() <= line.room_at:
                    self._room.set()

    async def _call(self, line: Line, call: Call) -> None:
        line.busy += 1
        try:
            leaving = call if self._may_leave(line, call) else await self._what_may_leave(line, call)
            if leaving.rows:
                await self._send(line, leaving)
        finally:
            line.busy -= 1

    def _may_leave(self, line: Line, call: Call) -> bool:
        return self._halted is None and line.is_open and time.monotonic() <= call.leave_by

    async def _what_may_leave(self, line: Line, call: Call) -> Call:
        """A call that is late takes new permits; what gets none, or may not leave any more, is given back."""
        leaving = call.first(0)
        try:
            with _logged("permits_not_taken"):
                leaving = await self._permitted_late(line, call)
        finally:
            self._given_up.extend(row.seq for row in call.rows[len(leaving.rows) :])
        return leaving

    async def _permitted_late(self, line: Line, call: Call) -> Call:
        while self._halted is None and line.is_open:
            if time.monotonic() <= call.leave_by:
                return call
            permitted = await self._permitted(line, len(call.rows))
            if permitted.granted:
                call = call.first(permitted.granted, leave_by=permitted.leave_by)
            elif (wait := line.seconds_to_permits(self._clock())) < WATCH_SECONDS:
                await asyncio.sleep(wait)
            else:
                break
        return call.first(0)

    async def _send(self, line: Line, call: Call) -> None:
        began_at, began = self._clock(), time.perf_counter()
        try:
            outcomes = without_codes(call, checked(call, await line.provider.send(call.messages)))
        except Exception:
            log.exception("provider_raised", extra={"account": line.key})
            outcomes = all_in_doubt(call, "the provider module failed; its log has the reason")
        latency_ms = int((time.perf_counter() - began) * 1000)
        line.answers.add_call(call, outcomes, began_at=began_at, latency_ms=latency_ms)
        self._made_calls += 1
        self._recorder.wake()
        self._heed_answers(line)

    def _another_is_open(self, line: Line) -> bool:
        return any(other.is_open for other in self._lines.values() if other is not line)

    def _heed_answers(self, line: Line) -> None:
        if line.answers.stop_because is not None:
            self._halt(line.answers.stop_because)
        elif not line.is_open and not self._another_is_open(line):
            self._halt(line.answers.closed_because)

    # Beside it all.

    def _after_writing(self) -> None:
        self._progress.set()
        self._room.set()

    async def _watch(self) -> None:
        """See within a second that sending was closed, by whom ever, or that this run is asked to stop."""
        while self._halted is None:
            await wait_for(self._stop, WATCH_SECONDS)
            with _logged("gate_not_read"):
                self._heed(await self._in_thread(self._ledger.gate))
                await self._count_calls()
                await self._give_back_given_up()

    def _heed(self, gate: Gate) -> None:
        for account in gate.accounts:
            if account.account_id in self._lines:
                self._heed_account(self._lines[account.account_id], account)
        if self._stop.is_set():
            self._halt("asked to stop")
        elif gate.closed_because is not None:
            self._halt(gate.closed_because)
        elif not any(line.is_open for line in self._lines.values()):
            self._halt("none of the accounts that serve it now was there when this sender began")

    def _heed_account(self, line: Line, account: AccountGate) -> None:
        if line.heed(account):
            self._room.set()

    async def _count_calls(self) -> None:
        counted = {line.account_id: line.answers.counted() for line in self._lines.values()}
        counts = {account_id: one for account_id, one in counted.items() if one is not None}
        if counts:
            await self._in_thread(self._ledger.count_calls, counts=counts)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 3)
            with _logged("sign_of_life_not_written"):
                if not await self._in_thread(self._ledger.beat):
                    self._end_as_dead(SenderTakenForDead(lease=self._lease))

    def _end_as_dead(self, dead: SenderTakenForDead) -> None:
        self._taken_for_dead = True
        self._halt(str(dead))

    def _halt(self, because: str | None) -> None:
        self._halted = self._halted or because
        self._room.set()
        self._progress.set()

    async def _give_back(self) -> None:
        self._give_up_claimed()
        await self._give_back_given_up()
        with _logged("calls_not_counted"):
            await self._count_calls()

    async def _give_back_given_up(self) -> None:
        seqs, self._given_up = self._given_up, []
        if not seqs:
            return
        try:
            await self._in_thread(self._ledger.release, seqs=seqs)
        except BaseException:
            self._given_up.extend(seqs)
            raise

    def _give_up_claimed(self) -> None:
        for rows in (self._claimed, *(line.replays for line in self._lines.values())):
            self._given_up.extend(row.seq for row in rows)
            rows.clear()

    def _save_what_is_known(self) -> None:
        """Cancelled, or the database failed: what came back from the provider is worth one more try."""
        results, effects = self._outbox.take()
        for line in self._lines.values():
            while not line.calls.empty():
                self._given_up.extend(row.seq for row in line.calls.get_nowait().rows)
        self._give_up_claimed()
        with _logged("outcomes_in_doubt_until_sender_counts_as_dead"):
            if results:
                self._ledger.record(results=results, effects=effects, now=self._clock())
            if self._given_up:
                self._ledger.release(self._given_up, now=self._clock())

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
        "codes": row.codes,
    }


@contextmanager
def _logged(event: str) -> Iterator[None]:
    """A database that fails for a moment does not end what can go on without it."""
    try:
        yield
    except Exception:
        log.exception(event)
