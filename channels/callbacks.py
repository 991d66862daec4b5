"""What comes in over HTTP from a provider, and what its receipts say in our words: plain values, no server."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from channels.errors import ChannelError
from channels.message import Receipt

DETAIL_LENGTH = 300  # of a provider's words, as much as a person reads
_CODE_LENGTH = 80


class CallbackRefused(ChannelError):
    """Whoever called is not the provider: its signature is missing or wrong."""


class CallbackUnreadable(ChannelError):
    """What came is not in the provider's format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One request. `urls` are the addresses under which the provider may have called us, which some sign."""

    method: str
    urls: Sequence[str] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionWord:
    """A person of a mini-program said yes or no to messages of a template."""

    openid: str
    template: str
    accepted: bool
    occurred_at: datetime
    dedupe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a callback held, and what the provider wants to hear back. `left` items were in no term that we know."""

    receipts: Sequence[Receipt] = ()
    subscriptions: Sequence[SubscriptionWord] = ()
    left: int = 0
    answer: bytes = b""
    content_type: str = "text/plain; charset=utf-8"


def json_items(body: bytes) -> list[Any]:
    """The items of a JSON array; an object alone is one item. Raises CallbackUnreadable."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise CallbackUnreadable("the body is not JSON") from None
    return found if isinstance(found, list) else [found]


def word(item: Mapping[str, Any], *names: str, length: int = DETAIL_LENGTH) -> str:
    """The text of the first of these names that says something; numbers as they are written."""
    for name in names:
        value = item.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()[:length].encode("utf-8", "replace").decode()
    return ""


def code(item: Mapping[str, Any], *names: str) -> str:
    return word(item, *names, length=_CODE_LENGTH)


def unix_time(value: object, *, now: datetime) -> datetime:
    """Seconds or milliseconds since 1970; what is no time, or lies in the future, is `now`."""
    try:
        seconds = float(str(value))
        moment = datetime.fromtimestamp(seconds / 1000 if seconds > 1e11 else seconds, UTC)  # noqa: PLR2004 - the year 5138
    except (ValueError, OverflowError, OSError):
        return now
    return min(moment, now)
