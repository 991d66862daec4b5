"""What becomes of a delivery: the table of its moves, and what each answer of a provider leads to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from channels.message import Outcome
from channels.states import DeliveryState, ErrorClass

_S = DeliveryState

#: Every change of state that is allowed, and what brings it about.
MOVES: Mapping[tuple[DeliveryState, DeliveryState], str] = MappingProxyType(
    {
        (_S.PLANNED, _S.SENDING): "claimed",
        (_S.RETRYING, _S.SENDING): "claimed",
        (_S.HELD, _S.SENDING): "claimed",
        (_S.SENDING, _S.PLANNED): "given back before any call",
        (_S.SENDING, _S.RETRYING): "refused for now, or given back",
        (_S.SENDING, _S.HELD): "quiet hours",
        (_S.SENDING, _S.CAPPED): "cap reached",
        (_S.SENDING, _S.EXPIRED): "quiet hours outlast its offer",
        (_S.SENDING, _S.SENT): "accepted",
        (_S.SENDING, _S.FAILED): "refused for good",
        (_S.SENDING, _S.UNKNOWN): "answer or sender lost",
        (_S.SENT, _S.DELIVERED): "receipt",
        (_S.SENT, _S.FAILED): "receipt says not delivered",
        (_S.FAILED, _S.DELIVERED): "receipt says delivered after all",
        (_S.PLANNED, _S.DELIVERED): "receipt of a try that is not on record",
        (_S.RETRYING, _S.DELIVERED): "receipt of an earlier try",
        (_S.HELD, _S.DELIVERED): "receipt of an earlier try",
        (_S.SUPPRESSED, _S.DELIVERED): "receipt of an earlier try",
        (_S.CAPPED, _S.DELIVERED): "receipt of an earlier try",
        (_S.CANCELLED, _S.DELIVERED): "receipt of an earlier try",
        (_S.EXPIRED, _S.DELIVERED): "receipt of an earlier try",
        (_S.UNKNOWN, _S.SENDING): "replayed with its key",
        (_S.UNKNOWN, _S.SENT): "answer or receipt came late, provider was asked, or marked sent by a person",
        (_S.UNKNOWN, _S.DELIVERED): "receipt, or provider was asked",
        (_S.UNKNOWN, _S.FAILED): "answer or receipt came late, or provider was asked",
        (_S.UNKNOWN, _S.RETRYING): "answer came late, sent again by a person, or the provider never had it",
        (_S.RETRYING, _S.FAILED): "budget used up while the account backs off",
        (_S.FAILED, _S.RETRYING): "retried by a person",
        (_S.PLANNED, _S.SUPPRESSED): "suppressed or consent withdrawn",
        (_S.RETRYING, _S.SUPPRESSED): "suppressed or consent withdrawn",
        (_S.HELD, _S.SUPPRESSED): "suppressed or consent withdrawn",
        (_S.PLANNED, _S.CANCELLED): "theme taken down, or channel cancelled",
        (_S.RETRYING, _S.CANCELLED): "theme taken down, or channel cancelled",
        (_S.HELD, _S.CANCELLED): "theme taken down, or channel cancelled",
        (_S.PLANNED, _S.EXPIRED): "theme or an offer of it ended",
        (_S.RETRYING, _S.EXPIRED): "theme or an offer of it ended",
        (_S.HELD, _S.EXPIRED): "theme or an offer of it ended",
    }
)

#: A row may also begin at an end: its address was blocked when it was planned.
FIRST_STATES = frozenset({DeliveryState.PLANNED, DeliveryState.SUPPRESSED})

#: What is used up comes back within this, where the provider does not say when.
QUOTA_WINDOW = timedelta(days=1)

#: For how long after the first call a provider knows its idempotency key; an hour is kept as a margin.
KEY_VALIDITY = timedelta(hours=23)

#: So many one-message calls refused in a row are the account's trouble, not the recipients'.
SINGLE_REFUSALS = 5

#: The account's trouble. A token is, for a module tells of one only when a fresh one is refused as well.
_ACCOUNT_TROUBLES = frozenset({ErrorClass.THROTTLED, ErrorClass.DOWN, ErrorClass.QUOTA, ErrorClass.TOKEN})
_SETTLES_A_REPLAY = frozenset({ErrorClass.BAD_RECIPIENT, ErrorClass.UNSUBSCRIBED, ErrorClass.CONTENT})
_MOST_DOUBLINGS = 30  # beyond any ceiling; keeps the power small


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What an error class does to the delivery, its address, its distribution and its account."""

    state: DeliveryState
    suppress: bool = False
    opted_out: bool = False
    stops_distribution: bool = False
    pauses_account: bool = False


RULES: Mapping[ErrorClass, Rule] = MappingProxyType(
    {
        ErrorClass.BAD_RECIPIENT: Rule(state=_S.FAILED, suppress=True),
        ErrorClass.UNSUBSCRIBED: Rule(state=_S.FAILED, suppress=True, opted_out=True),
        ErrorClass.CONTENT: Rule(state=_S.FAILED, stops_distribution=True),
        ErrorClass.CONFIG: Rule(state=_S.FAILED, pauses_account=True),
        ErrorClass.THROTTLED: Rule(state=_S.RETRYING),
        ErrorClass.DOWN: Rule(state=_S.RETRYING),
        ErrorClass.TOKEN: Rule(state=_S.RETRYING),
        ErrorClass.QUOTA: Rule(state=_S.RETRYING),
        ErrorClass.UNKNOWN_OUTCOME: Rule(state=_S.UNKNOWN),
        ErrorClass.UNRECOGNISED: Rule(state=_S.FAILED),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait between tries, and for how long to go on trying."""

    base: timedelta = timedelta(seconds=2)
    ceiling: timedelta = timedelta(minutes=15)
    budget: timedelta = timedelta(hours=6)

    def wait(self, times: int, *, jitter: float, retry_after: timedelta | None = None) -> timedelta:
        """The wait after the `times`-th refusal in a row, from 1. `jitter` from 0 to 1 spreads it over its upper half.

        What the provider asks for is never cut short; the jitter then adds up to one base. One that asks for no wait at
        all gets ours: it would be called again and again in its trouble.
        """
        if retry_after:
            return retry_after + self.base * jitter
        doubled = self.base * 2.0 ** min(max(times, 1) - 1, _MOST_DOUBLINGS)
        return min(doubled, self.ceiling) * (0.5 + jitter / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """The new state of a delivery and everything that follows from it, as values."""

    state: DeliveryState
    due_at: datetime | None = None  # of `retrying`, and of `unknown` that may be replayed
    error: ErrorClass | None = None
    code: str = ""
    suppress_because: str | None = None
    opted_out: bool = False
    stop_because: str | None = None  # the distribution
    pause_because: str | None = None  # the provider account


ACCEPTED = Next(state=_S.SENT)


def after(
    outcome: Outcome,
    *,
    tries: int,
    first_tried_at: datetime,
    now: datetime,
    backoff: Backoff,
    jitter: float,
    account_waits_until: datetime | None = None,
    replayed: bool = False,
) -> Next:
    """What follows from one outcome. `tries` and `first_tried_at` count this try.

    A delivery whose call was refused as a whole (`account_waits_until`) is due when its account is. One that was
    `replayed` stays in doubt until the provider accepts it or refuses it for itself: being turned away at the door says
    nothing about the call before.
    """
    if outcome.error is None:
        return ACCEPTED
    rule = RULES[outcome.error]
    state, error = rule.state, outcome.error
    if replayed and error not in _SETTLES_A_REPLAY:
        state, error = _S.UNKNOWN, ErrorClass.UNKNOWN_OUTCOME
    elif state is _S.RETRYING and error is not ErrorClass.QUOTA and now - first_tried_at >= backoff.budget:
        state = _S.FAILED
    waits = state in {_S.RETRYING, _S.UNKNOWN}
    because = f"{outcome.error}: {outcome.code} {outcome.detail}".strip()
    return Next(
        state=state,
        due_at=(account_waits_until or now + _wait(outcome, tries, backoff, jitter)) if waits else None,
        error=error,
        code=outcome.code,
        suppress_because=outcome.error.value if rule.suppress else None,
        opted_out=rule.opted_out,
        # What is wrong with one person's message alone is no reason to keep it from all others.
        stop_because=because if rule.stops_distribution and not outcome.about_recipient else None,
        pause_because=because if rule.pauses_account else None,
    )


def _wait(outcome: Outcome, tries: int, backoff: Backoff, jitter: float) -> timedelta:
    asked = outcome.retry_after
    if asked is None and outcome.error is ErrorClass.QUOTA:
        asked = QUOTA_WINDOW
    return backoff.wait(tries, jitter=jitter, retry_after=asked)


def refused_as_a_whole(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The outcome that stands for the call, when it turned away every message of it for a trouble of the account."""
    first = outcomes[0]
    if first.error not in _ACCOUNT_TROUBLES or any(outcome.error is not first.error for outcome in outcomes):
        return None
    # A recipient's own limit or a greylisting says nothing about the account.
    return None if any(outcome.about_recipient for outcome in outcomes) else first


def opens_breaker(*, messages: int, refusals_in_row: int, probing: bool) -> bool:
    """Whether a call of so many messages, refused as a whole, is reason enough to leave the account alone."""
    return messages > 1 or probing or refusals_in_row >= SINGLE_REFUSALS


def account_waits_until(
    refusal: Outcome, *, refused_in_row: int, now: datetime, backoff: Backoff, jitter: float
) -> datetime:
    """Until when no sender calls the account; `refused_in_row` times it was tried and refused before this one."""
    return now + _wait(refusal, refused_in_row + 1, backoff, jitter)


def as_mermaid() -> str:
    """The table as a Mermaid state diagram; docs/delivery-states.md holds exactly this text."""
    begins = [f"    [*] --> {state}" for state in DeliveryState if state in FIRST_STATES]
    arrows = [f"    {origin} --> {target}: {why}" for (origin, target), why in MOVES.items()]
    left = {origin for origin, _ in MOVES}
    ends = [f"    {state} --> [*]" for state in DeliveryState if state not in left]
    return "\n".join(["stateDiagram-v2", *begins, *arrows, *ends])
