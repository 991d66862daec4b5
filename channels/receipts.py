"""What receipts lead to. The end does not depend on the order in which they come, nor on how often each does."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from channels.engine import RULES
from channels.message import Receipt, ReceiptKind
from channels.states import DeliveryState, ErrorClass

_S = DeliveryState

#: Who says this of a message has it, or has had it: the call whose answer we lost did go through.
_WAS_TAKEN = frozenset(ReceiptKind) - {ReceiptKind.FAILED}
_OPTED_OUT = frozenset({ReceiptKind.UNSUBSCRIBED, ReceiptKind.COMPLAINED})
_JUDGED_BY_FAILURE = frozenset({_S.SENT, _S.UNKNOWN, _S.FAILED})

#: A clock of the provider may be this far behind ours.
CLOCK_MARGIN = timedelta(minutes=5)
#: How soon a receipt whose delivery is not found, or is just being sent, is looked at again; then at twice its age.
FIRST_WAIT = timedelta(seconds=1)
#: A receipt that nobody's delivery was found for by then stays on record, and is not looked at any more.
GIVEN_UP_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A receipt as it bears on its delivery. A failure of a call before the last says nothing about the last."""

    kind: ReceiptKind
    occurred_at: datetime
    dedupe: str
    error: ErrorClass | None = None
    code: str = ""
    provider_message_id: str | None = None
    of_last_call: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a delivery stands, as far as receipts can change it."""

    state: DeliveryState
    error: ErrorClass | None = None
    code: str | None = None
    provider_message_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What is known of the calls of a delivery: whose message ids they brought, and when the last one began."""

    message_ids: frozenset[str] = frozenset()  # of all calls that were answered
    last_began_at: datetime | None = None


def standing_after(before: Standing, words: Collection[Word]) -> Standing | None:
    """Where all words about a delivery leave it. None: it is being sent, so the words have to wait."""
    if before.state is _S.SENDING:
        return None
    message_id = _message_id(before, words)
    if before.state is _S.DELIVERED or any(word.kind is ReceiptKind.DELIVERED for word in words):
        return Standing(state=_S.DELIVERED, provider_message_id=message_id)
    failures = [word for word in words if word.kind is ReceiptKind.FAILED and word.of_last_call]
    if failures and before.state in _JUDGED_BY_FAILURE:
        return _failed(failures, message_id)
    if before.state is _S.UNKNOWN and any(word.kind in _WAS_TAKEN and word.of_last_call for word in words):
        return Standing(state=_S.SENT, provider_message_id=message_id)
    if before.state is _S.SENT:
        return replace(before, provider_message_id=message_id)
    return before


def _failed(failures: Collection[Word], message_id: str | None) -> Standing:
    """The last word of the provider is the reason that is told."""
    decisive = max(failures, key=lambda word: (word.occurred_at, word.dedupe))
    error = decisive.error or ErrorClass.UNRECOGNISED
    return Standing(state=_S.FAILED, error=error, code=decisive.code or None, provider_message_id=message_id)


def is_of_last_call(receipt: Receipt | Word, *, state: DeliveryState, message_id: str | None, calls: Calls) -> bool:
    """Whether a receipt speaks of the last call of a delivery whose state and last message id these are."""
    named = receipt.provider_message_id
    if named is not None:
        # The call in doubt brought no id: what is of an answered call is of an earlier one.
        return named not in calls.message_ids or (named == message_id and state is not _S.UNKNOWN)
    return calls.last_began_at is None or receipt.occurred_at >= calls.last_began_at - CLOCK_MARGIN


def suppresses(receipt: Receipt | Word) -> str | None:
    """Why the address must not be written to any more, if so."""
    if receipt.kind is ReceiptKind.COMPLAINED:
        return "complaint"
    if receipt.kind is ReceiptKind.UNSUBSCRIBED:
        return ErrorClass.UNSUBSCRIBED.value
    if receipt.kind is ReceiptKind.FAILED and receipt.error is not None and RULES[receipt.error].suppress:
        return receipt.error.value
    return None


def opts_out(receipt: Receipt | Word) -> bool:
    failed_so = receipt.error is not None and RULES[receipt.error].opted_out
    return receipt.kind in _OPTED_OUT or (receipt.kind is ReceiptKind.FAILED and failed_so)


def look_again_at(*, received_at: datetime, now: datetime) -> datetime | None:
    """When a receipt that could not be joined yet is looked at again; None: never."""
    age = now - received_at
    return None if age >= GIVEN_UP_AFTER else now + max(FIRST_WAIT, age)


def dedupe_key(*parts: object) -> str:
    """The same for the same receipt, whatever of a provider's payload tells it from others."""
    joined = "\x1f".join("" if part is None else str(part) for part in parts)
    return blake2b(joined.encode("utf-8", "replace"), digest_size=16).hexdigest()


def as_reference(text: object) -> UUID | None:
    """Our delivery id, where that is what the provider gave back."""
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _message_id(before: Standing, words: Iterable[Word]) -> str | None:
    """Of a call whose answer was lost the receipts tell the provider's id; the earliest does, whatever came first."""
    if before.state is not _S.UNKNOWN and before.provider_message_id is not None:
        return before.provider_message_id
    named = [word for word in words if word.provider_message_id is not None and word.of_last_call]
    return min(named, key=lambda word: (word.occurred_at, word.dedupe)).provider_message_id if named else None
