"""Failures as persons see them: grouped with the providers' own words, and row by row for a spreadsheet."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from sqlalchemy.orm import Session

from channels.service.delivery import as_text
from channels.service.distribution import theme_by_key
from channels.states import Channel, ErrorClass
from models.queries import failures, retries
from models.queries.failures import COLUMNS, FailureGroup
from models.queries.retries import FailedFilter

#: Class of error -> what a person does about it.
REMEDIES: Mapping[ErrorClass, str] = MappingProxyType(
    {
        ErrorClass.BAD_RECIPIENT: "nothing: the address is suppressed now",
        ErrorClass.UNSUBSCRIBED: "nothing: the person opted out",
        ErrorClass.CONTENT: "have the template or text admitted, let the channel go on, retry",
        ErrorClass.CONFIG: "mend the account, resume it, retry",
        ErrorClass.THROTTLED: "retry, or ask the provider for a higher limit",
        ErrorClass.DOWN: "retry when the provider is back",
        ErrorClass.TOKEN: "look at the account's credentials, retry",
        ErrorClass.QUOTA: "buy more, or retry after the window",
        ErrorClass.UNKNOWN_OUTCOME: "wait for the provider's word, or settle",
        ErrorClass.UNRECOGNISED: "read the words; retry if they are about a moment",
    }
)


def failures_of(
    session: Session,
    *,
    theme_key: str,
    channel: Channel | None = None,
    error_class: ErrorClass | None = None,
    error_code: str | None = None,
    since: datetime | None = None,
) -> Sequence[FailureGroup]:
    """What failed or is in doubt, by channel, class and code. Raises DeliveryThemeUnknown."""
    of = _distributions(session, theme_key, channel)
    wanted = FailedFilter(distributions=of, error_class=error_class, error_code=error_code, since=since)
    return failures.groups(session, wanted)


def export_failures(
    session: Session,
    *,
    theme_key: str,
    channel: Channel | None = None,
    error_class: ErrorClass | None = None,
    error_code: str | None = None,
    since: datetime | None = None,
) -> Iterator[list[str]]:
    """The header and then one list of texts a delivery, ready for `csv.writer`; never more than a chunk in memory.

    Raises:
        DeliveryThemeUnknown
    """
    of = _distributions(session, theme_key, channel)
    wanted = FailedFilter(distributions=of, error_class=error_class, error_code=error_code, since=since)
    yield list(COLUMNS)
    for row in failures.stream(session, wanted):
        yield [as_text(value) for value in row]


def _distributions(session: Session, theme_key: str, channel: Channel | None) -> Sequence[int]:
    return retries.distributions_of(session, theme_id=theme_by_key(session, theme_key).id, channel=channel)
