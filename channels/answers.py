"""From the outcomes of calls to what is written down: rows, and what follows beyond them."""

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from channels.engine import ACCEPTED, Backoff, Next, account_waits_until, after, opens_breaker, refused_as_a_whole
from channels.message import Message, Outcome
from channels.states import DeliveryState, ErrorClass
from models.queries.deliveries import Claimed, Result

log = logging.getLogger(__name__)

DETAIL_LENGTH = 300
HIDDEN_CODE = "(code)"


class Call(NamedTuple):
    """Deliveries that share one provider call, with their messages in the same order."""

    rows: Sequence[Claimed]
    messages: Sequence[Message]
    leave_by: float = math.inf  # on the monotonic clock: then its permits are somebody else's

    def first(self, messages: int, *, leave_by: float = math.inf) -> "Call":
        return Call(self.rows[:messages], self.messages[:messages], leave_by)


@dataclass(slots=True)
class Effects:
    """What a batch of outcomes of one account does beyond its own rows."""

    suppress: dict[str, str] = field(default_factory=dict)  # address -> reason
    opt_outs: dict[int, str] = field(default_factory=dict)  # row, by its number -> address
    stop_because: str | None = None
    pause_because: str | None = None
    wait: tuple[datetime, datetime] | None = None  # the account: when the refused call began, until when to wait
    recovered_since: datetime | None = None  # when the call began that the account took again

    def __bool__(self) -> bool:
        return self != Effects()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    """Calls over an account since they were last told."""

    accepted: int
    refused: int  # as a whole
    last_words: str | None  # of the last refusal


class Outbox:
    """What all accounts of a sender have brought in and nobody has written down yet."""

    def __init__(self) -> None:
        self.states: Counter[DeliveryState] = Counter()  # of what was taken, over the whole run
        self.results: list[Result] = []
        self._effects: dict[int, Effects] = {}  # account -> what follows

    def effects_of(self, account_id: int) -> Effects:
        return self._effects.setdefault(account_id, Effects())

    @property
    def waiting(self) -> bool:
        return bool(self.results) or any(self._effects.values())

    def take(self) -> tuple[list[Result], Mapping[int, Effects]]:
        self.states.update([result.state for result in self.results])
        taken = self.results, {account: effects for account, effects in self._effects.items() if effects}
        self.results, self._effects = [], {}
        return taken


class Answers:
    """What calls over one account came to: into the outbox, and into what is thought of the account."""

    def __init__(
        self,
        *,
        account_id: int,
        outbox: Outbox,
        backoff: Backoff,
        refused_in_row: int,
        jitter: Callable[[], float],
        clock: Callable[[], datetime],
        stands_in: Callable[[], bool],
    ) -> None:
        """`stands_in`: whether another account is open, so that what this one turned away need not wait for it."""
        self.account_id = account_id
        self.stop_because: str | None = None  # the distribution
        self.closed_because: str | None = None  # the account
        self.probing = refused_in_row > 0  # the account was refused last: one call at a time until it takes one
        self._outbox, self._backoff, self._jitter = outbox, backoff, jitter
        self._clock, self._stands_in = clock, stands_in
        self._refused_in_row = refused_in_row
        self._singles_in_row = 0
        self._waits_until: datetime | None = None
        self._accepted = self._refused = 0
        self._last_words: str | None = None

    def counted(self) -> CallCounts | None:
        """What has not been counted yet; None: nothing."""
        if not self._accepted and not self._refused:
            return None
        counts = CallCounts(accepted=self._accepted, refused=self._refused, last_words=self._last_words)
        self._accepted, self._refused, self._last_words = 0, 0, None
        return counts

    def reopened(self) -> None:
        """The account is open again, after a pause or a wait: one call tells whether it is of use."""
        self.closed_because, self._waits_until, self.probing = None, None, True

    def add_call(self, call: Call, outcomes: Sequence[Outcome], *, began_at: datetime, latency_ms: int) -> None:
        waits_until = self._judge_account(outcomes, began_at)
        for row, message, outcome in zip(call.rows, call.messages, outcomes, strict=True):
            if outcome.error is None:
                self._add(row, ACCEPTED, outcome, key=message.key, began_at=began_at, latency_ms=latency_ms)
                continue
            step = after(
                outcome,
                tries=row.tries + 1,
                first_tried_at=row.first_tried_at or began_at,
                now=self._clock(),
                backoff=self._backoff,
                jitter=self._jitter(),
                account_waits_until=None if row.key is None and self._stands_in() else waits_until,
                replayed=row.key is not None,
            )
            self._add(row, step, outcome, key=message.key, began_at=began_at, latency_ms=latency_ms)
            self._follow(row, step)

    def add_unrendered(self, row: Claimed, problem: Exception) -> None:
        """A message that cannot be written for one recipient says nothing about the others."""
        outcome = Outcome(delivery_id=row.id, error=ErrorClass.CONTENT, code="render", detail=_words(problem))
        step = Next(state=DeliveryState.FAILED, error=ErrorClass.CONTENT, code="render")
        self._add(row, step, outcome, key=None, began_at=self._clock(), latency_ms=0)

    def add_refused_account(self, refusal: Outcome) -> None:
        """The account was turned away before any message was at stake, so that no try is counted."""
        self._count_refused(refusal)
        if refusal.error is ErrorClass.CONFIG:
            because = f"{refusal.error}: {refusal.code} {refusal.detail}".strip()
            self._outbox.effects_of(self.account_id).pause_because = self.closed_because = because
        else:
            self._wait(refusal, self._clock())

    def _judge_account(self, outcomes: Sequence[Outcome], began_at: datetime) -> datetime | None:
        refusal = refused_as_a_whole(outcomes)
        if refusal is None:
            self._accepted += 1
            self._singles_in_row = 0
            if self.probing:
                self.probing, self._refused_in_row = False, 0
                self._outbox.effects_of(self.account_id).recovered_since = began_at
            return None
        self._count_refused(refusal)
        self._singles_in_row += 1
        if self._waits_until is None and not opens_breaker(
            messages=len(outcomes), refusals_in_row=self._singles_in_row, probing=self.probing
        ):
            return None
        return self._wait(refusal, began_at)

    def _count_refused(self, refusal: Outcome) -> None:
        self._refused += 1
        self._last_words = f"{refusal.error}: {refusal.code} {refusal.detail}".strip()[:DETAIL_LENGTH]

    def _wait(self, refusal: Outcome, began_at: datetime) -> datetime:
        if self._waits_until is None:
            self._waits_until = account_waits_until(
                refusal,
                refused_in_row=self._refused_in_row,
                now=self._clock(),
                backoff=self._backoff,
                jitter=self._jitter(),
            )
            self._refused_in_row += 1
            self._outbox.effects_of(self.account_id).wait = (began_at, self._waits_until)
            self.closed_because = f"the account backs off ({refusal.error}): {refusal.code} {refusal.detail}".strip()
        return self._waits_until

    def _add(
        self, row: Claimed, step: Next, outcome: Outcome, *, key: str | None, began_at: datetime, latency_ms: int
    ) -> None:
        self._outbox.results.append(
            Result(
                row.seq,
                step.state,
                step.due_at,
                outcome.error,
                outcome.code,
                outcome.detail[:DETAIL_LENGTH],
                outcome.provider_message_id,
                outcome.request_id,
                row.tries + 1,
                began_at,
                latency_ms,
                self.account_id,
                key,
            )
        )

    def _follow(self, row: Claimed, step: Next) -> None:
        effects = self._outbox.effects_of(self.account_id)
        if step.suppress_because is not None:
            effects.suppress[row.address] = step.suppress_because
        if step.opted_out:
            effects.opt_outs[row.seq] = row.address
        if step.stop_because is not None:
            effects.stop_because = self.stop_because = step.stop_because
        if step.pause_because is not None:
            effects.pause_because = self.closed_because = step.pause_because


def _words(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"


def checked(call: Call, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """An answer that is not one outcome a message, in their order, tells nothing reliable of any."""
    if [outcome.delivery_id for outcome in outcomes] == [row.id for row in call.rows]:
        return outcomes
    log.error("provider_answered_out_of_order", extra={"messages": len(call.rows), "outcomes": len(outcomes)})
    return all_in_doubt(call, "the provider module answered for other messages than it was given")


def without_codes(call: Call, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """A provider's own words may repeat the message that it refused: codes in them are nobody's to read."""
    if not call.rows[0].codes or not any(outcome.detail for outcome in outcomes):
        return outcomes
    codes = [code for row in call.rows for code in row.codes.values()]
    hidden = {outcome.detail: _hidden(outcome.detail, codes) for outcome in outcomes}
    return [replace(outcome, detail=hidden[outcome.detail]) for outcome in outcomes]


def _hidden(detail: str, codes: Sequence[str]) -> str:
    for code in codes if detail else ():
        detail = detail.replace(code, HIDDEN_CODE)
    return detail


def all_in_doubt(call: Call, detail: str) -> list[Outcome]:
    return [Outcome(delivery_id=row.id, error=ErrorClass.UNKNOWN_OUTCOME, detail=detail) for row in call.rows]
