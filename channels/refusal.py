"""Why a call brought nothing: one value for the whole call, from which the outcome of each message is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from channels.errors import AnswerLost, NotSent, QueryRefused
from channels.message import Message, Outcome
from channels.states import ErrorClass

DETAIL_LENGTH = 300  # of the provider's words, as much as a person reads

#: For answers in no term of the provider: what a status alone says. A gateway that lost the answer (502, 504) cannot
#: know whether the provider behind it acted.
_STATUS_CLASSES = {
    401: ErrorClass.CONFIG,
    403: ErrorClass.CONFIG,
    429: ErrorClass.THROTTLED,
    500: ErrorClass.DOWN,
    502: ErrorClass.UNKNOWN_OUTCOME,
    503: ErrorClass.DOWN,
    504: ErrorClass.UNKNOWN_OUTCOME,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    error: ErrorClass
    code: str = ""
    detail: str = ""
    request_id: str | None = None
    retry_after: timedelta | None = None
    about_recipient: bool = False

    def outcome(self, message: Message) -> Outcome:
        return Outcome(
            delivery_id=message.delivery_id,
            error=self.error,
            code=self.code,
            detail=self.detail[:DETAIL_LENGTH],
            request_id=self.request_id,
            retry_after=self.retry_after,
            about_recipient=self.about_recipient,
        )

    def of_query(self) -> QueryRefused:
        return QueryRefused(
            error=self.error, code=self.code, detail=self.detail[:DETAIL_LENGTH], retry_after=self.retry_after
        )


def class_of_status(status: int) -> ErrorClass:
    return _STATUS_CLASSES.get(status, ErrorClass.UNRECOGNISED)


def unanswered(error: NotSent | AnswerLost) -> Refusal:
    lost = isinstance(error, AnswerLost)
    return Refusal(error=ErrorClass.UNKNOWN_OUTCOME if lost else ErrorClass.DOWN, detail=str(error))


def unreadable(status: int, headers: Mapping[str, str]) -> Refusal:
    """An answer that is not in the provider's format: after a success status the message may well be accepted."""
    return Refusal(
        error=ErrorClass.UNKNOWN_OUTCOME if is_success(status) else class_of_status(status),
        code=f"HTTP {status}",
        detail="the answer was not in the provider's format",
        retry_after=retry_after(headers),
    )


def is_success(status: int) -> bool:
    return 200 <= status < 300  # noqa: PLR2004 - as RFC 9110 divides them


def retry_after(headers: Mapping[str, str], *names: str) -> timedelta | None:
    """The wait that the first present of `names` asks for; each is seconds or, as Retry-After allows, a date."""
    for name in names or ("Retry-After",):
        wait = _wait(headers.get(name, ""))
        if wait is not None:
            return max(wait, timedelta())
    return None


def _wait(value: str) -> timedelta | None:
    try:
        return timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        pass
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (until if until.tzinfo else until.replace(tzinfo=UTC)) - datetime.now(UTC)
