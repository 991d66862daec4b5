"""From the outcomes of calls to what is written down: rows, and what follows beyond them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from channels.engine import Backoff, Next, account_waits_until, after, opens_breaker, refused_as_a_whole
from channels.message import Message, Outcome
from channels.states import DeliveryState, ErrorClass
from models.queries.deliveries import Claimed, Result

DETAIL_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Call:
    """Deliveries that share one provider call, with their messages in the same order."""

    rows: Sequence[Claimed]
    messages: Sequence[Message]


@dataclass(slots=True)
class Effects:
    """What a batch of outcomes does beyond its own rows."""

    suppress: dict[str, str] = field(default_factory=dict)  # address -> reason
    opt_outs: list[UUID] = field(default_factory=list)
    stop_because: str | None = None
    pause_because: str | None = None
    wait: tuple[datetime, datetime] | None = None  # the account: when the refused call began, until when to wait
    recovered_since: datetime | None = None  # when the call began that the account took again

    def __bool__(self) -> bool:
        return self != Effects()


class Answers:
    """Collects what came of calls until it is written."""

    def __init__(self, *, backoff: Backoff, refused_in_row: int, jitter: Callable[[], float]) -> None:
        self.states: Counter[DeliveryState] = Counter()  # over the whole run
        self.halt_because: str | None = None
        self.probing = refused_in_row > 0  # the account was refused last: one call at a time until it takes one
        self._backoff, self._jitter = backoff, jitter
        self._refused_in_row = refused_in_row
        self._singles_in_row = 0
        self._waits_until: datetime | None = None
        self._results: list[Result] = []
        self._effects = Effects()

    def __len__(self) -> int:
        return len(self._results)

    @property
    def waiting(self) -> bool:
        return bool(self._results) or bool(self._effects)

    def take(self) -> tuple[list[Result], Effects]:
        taken = self._results, self._effects
        self._results, self._effects = [], Effects()
        return taken

    def add_call(
        self, call: Call, outcomes: Sequence[Outcome], *, began_at: datetime, latency_ms: int, now: datetime
    ) -> None:
        waits_until = self._judge_account(outcomes, began_at, now)
        for row, outcome in zip(call.rows, outcomes, strict=True):
            step = after(
                outcome,
                tries=row.tries + 1,
                first_tried_at=row.first_tried_at or began_at,
                now=now,
                backoff=self._backoff,
                jitter=self._jitter() if outcome.error else 0.0,
                account_waits_until=waits_until,
                replayed=row.key is not None,
            )
            self._add(row, step, outcome, began_at, latency_ms)
            if step.error is not None:
                self._follow(row, step)

    def add_unrendered(self, row: Claimed, problem: Exception, *, now: datetime) -> None:
        """A message that cannot be written for one recipient says nothing about the others."""
        outcome = Outcome(delivery_id=row.id, error=ErrorClass.CONTENT, code="render", detail=_words(problem))
        self._add(row, Next(state=DeliveryState.FAILED, error=ErrorClass.CONTENT, code="render"), outcome, now, 0)

    def add_refused_account(self, refusal: Outcome, *, now: datetime) -> None:
        """The account was turned away before any message was at stake, so that no try is counted."""
        if refusal.error is ErrorClass.CONFIG:
            self._effects.pause_because = f"{refusal.error}: {refusal.code} {refusal.detail}".strip()
            self.halt_because = self._effects.pause_because
        else:
            self._wait(refusal, now, now)

    def _judge_account(self, outcomes: Sequence[Outcome], began_at: datetime, now: datetime) -> datetime | None:
        refusal = refused_as_a_whole(outcomes)
        if refusal is None:
            self._singles_in_row = 0
            if self.probing:
                self.probing, self._refused_in_row = False, 0
                self._effects.recovered_since = began_at
            return None
        self._singles_in_row += 1
        if self._waits_until is None and not opens_breaker(
            messages=len(outcomes), refusals_in_row=self._singles_in_row, probing=self.probing
        ):
            return None
        return self._wait(refusal, began_at, now)

    def _wait(self, refusal: Outcome, began_at: datetime, now: datetime) -> datetime:
        if self._waits_until is None:
            self._waits_until = account_waits_until(
                refusal, refused_in_row=self._refused_in_row, now=now, backoff=self._backoff, jitter=self._jitter()
            )
            self._effects.wait = (began_at, self._waits_until)
            self.halt_because = f"the account backs off ({refusal.error}): {refusal.code} {refusal.detail}".strip()
        return self._waits_until

    def _add(self, row: Claimed, step: Next, outcome: Outcome, began_at: datetime, latency_ms: int) -> None:
        self.states[step.state] += 1
        self._results.append(
            Result(
                row.id,
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
            )
        )

    def _follow(self, row: Claimed, step: Next) -> None:
        if step.suppress_because is not None:
            self._effects.suppress[row.address] = step.suppress_because
        if step.opted_out:
            self._effects.opt_outs.append(row.id)
        if step.stop_because is not None:
            self._effects.stop_because = self.halt_because = step.stop_because
        if step.pause_because is not None:
            self._effects.pause_because = self.halt_because = step.pause_because


def _words(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}"
