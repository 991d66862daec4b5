"""A line: one provider account as one sender uses it, with its call slots, its breaker and its permits."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import UUID

from channels.answers import Answers, Call, Outbox
from channels.engine import Backoff
from channels.errors import AnswerLost, KeysRefused, NotSent
from channels.message import Outcome, Provider
from channels.rate import Allowance, Grant, Permits
from channels.states import ErrorClass
from models.queries.deliveries import Claimed
from models.queries.distributions import AccountGate

#: Permits are fetched for so long ahead, so that the database is asked a few times a second.
_PERMITS_SECONDS = 0.25
#: Without a time from the database: this long until permits are asked for again.
_ASK_AGAIN_SECONDS = 0.1


class Line:
    """A sender opens it, with what the database says of the account."""

    answers: Answers

    def __init__(
        self,
        *,
        account_id: int,
        key: str,
        provider: Provider,
        backoff: Backoff,
        concurrency: int = 64,
        counts_recipients: bool = False,
    ) -> None:
        """`concurrency` is calls in flight; `counts_recipients`: a permit is for one recipient, not for one call."""
        self.account_id, self.key, self.provider, self.concurrency = account_id, key, provider, concurrency
        self.size = provider.capabilities.batch_size
        self.replayable = provider.capabilities.idempotent_replay
        self.weight = 1
        self.begun = 0  # messages
        self.busy = 0  # calls in flight
        self.calls: asyncio.Queue[Call] = asyncio.Queue()
        self.replays: deque[Claimed] = deque()
        self.room_at = 0  # so few calls waiting make room for more
        self.backoff, self._counts_recipients = backoff, counts_recipients
        self._closed_because: str | None = "not opened yet"
        self._seen_closed = False  # in the database, since this line last closed itself
        self._limited = False
        self._allowance = Allowance()
        self._asking = asyncio.Lock()
        self._again_at: datetime | None = None

    def open(
        self,
        account: AccountGate,
        *,
        outbox: Outbox,
        jitter: Callable[[], float],
        clock: Callable[[], datetime],
        stands_in: Callable[[], bool],
    ) -> None:
        self.answers = Answers(
            account_id=self.account_id,
            outbox=outbox,
            backoff=self.backoff,
            refused_in_row=account.refused_in_row,
            jitter=jitter,
            clock=clock,
            stands_in=stands_in,
        )
        self.heed(account)

    def heed(self, account: AccountGate) -> bool:
        """Take over what the database says; True when the line came to be open by it.

        A line that closed itself stays so until the database has said the same and then otherwise: before, what it
        wrote may be on its way.
        """
        was_open = self.is_open
        self.weight, self._limited, self._closed_because = account.weight, account.limited, account.closed_because
        if not account.open:
            self._seen_closed = True
        elif self.answers.closed_because is not None and self._seen_closed:
            self.answers.reopened()
        if account.open:
            self._seen_closed = False
        return self.is_open and not was_open

    @property
    def is_open(self) -> bool:
        return self._closed_because is None and self.answers.closed_because is None

    @property
    def appetite(self) -> int:
        """Messages that fill its slots once."""
        return self.size * (1 if self.answers.probing else self.concurrency)

    def room(self, *, ahead: int) -> int:
        """How many calls to begin now: for the free slots, and `ahead` of them."""
        free = self.concurrency - self.busy
        if self.answers.probing:
            ahead, free = 0, int(not self.busy)
        queued = self.calls.qsize()
        self.room_at = ahead // 2
        return max(0, free + ahead - queued) if queued <= self.room_at else 0

    def next_rows(self, fresh: deque[Claimed], most: int) -> list[Claimed]:
        """What it sends next, what is to be settled by a replay first."""
        rows = [self.replays.popleft() for _ in range(min(most, len(self.replays)))]
        rows += [fresh.popleft() for _ in range(min(most - len(rows), len(fresh)))]
        return rows

    # Permits: leave from the account's windows, which all senders of the account share.

    async def permitted(self, messages: int, *, pace: float, fetch: Callable[..., Awaitable[Permits]]) -> Grant:
        """So many of the messages may be begun now; their permits are taken.

        `pace` is in messages a second. After a back-off one sender alone is given a permit, for one call; it need not
        hurry, for nobody else calls meanwhile.
        """
        if not self._limited and not self.answers.probing:
            return Grant(messages, math.inf)
        units = self._units(messages)
        async with self._asking:
            if not self._allowance.held(time.monotonic()):
                ahead = 0 if self.answers.probing else self._units(int(pace * _PERMITS_SECONDS))
                await self._ask(max(units, ahead), fetch)
        granted, leave_by = self._allowance.take(units, now=time.monotonic())
        messages = granted if self._counts_recipients else min(messages, granted * self.size)
        return Grant(messages, math.inf if self.answers.probing else leave_by)

    async def _ask(self, wanted: int, fetch: Callable[..., Awaitable[Permits]]) -> None:
        asked = time.monotonic()
        permits = await fetch(account_id=self.account_id, wanted=wanted)
        self._allowance.add(permits, asked=asked, heard=time.monotonic())
        self._again_at = permits.again_at

    def _units(self, messages: int) -> int:
        return messages if self._counts_recipients else math.ceil(messages / self.size)

    def leave_times(self, permitted: Grant, *, messages: int, calls: int) -> list[float]:
        """By when each of the calls that the messages came to has to leave.

        Those beyond what was reckoned with, for contents that cannot share a call, take permits of their own.
        """
        paid = self._units(messages) if self._limited and not self._counts_recipients else calls
        return [permitted.leave_by if number < paid else -math.inf for number in range(calls)]

    def seconds_to_permits(self, now: datetime) -> float:
        held = self._allowance.seconds_to_next(time.monotonic())
        if held is None and self._again_at is not None:
            held = (self._again_at - now).total_seconds()
        return max(0.001, _ASK_AGAIN_SECONDS if held is None else held)


def as_outcome(refused: NotSent | AnswerLost, delivery_id: UUID) -> Outcome:
    """What being refused keys says of an account."""
    if isinstance(refused, KeysRefused):
        return Outcome(
            delivery_id=delivery_id,
            error=refused.error,
            code=refused.code,
            detail=refused.detail,
            retry_after=refused.retry_after,
        )
    return Outcome(delivery_id=delivery_id, error=ErrorClass.DOWN, code="keys", detail=str(refused))
