"""Values of a theme in their two notations: as a marketer writes them, and as a revision keeps them.

A file is validated with a `Notation` as pydantic context: amounts are decimal strings in the theme's currency, times
local to its zone. A revision is validated without: amounts are minor units with their currency, times UTC instants.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic import ValidationInfo as Info

from channels.states import Channel
from documents.problem import did_you_mean, listed
from documents.shape import refuse
from themes import local_time, money

FALLBACK_ZONE = ZoneInfo("UTC")
WHOLE = 10_000  # basis points


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What is known outside the file. None: not known here, so not checked."""

    product_lines: frozenset[str] | None = None
    logins: frozenset[str] | None = None
    segments: frozenset[str] | None = None
    policies: frozenset[str] | None = None
    accounts: Mapping[Channel, frozenset[str]] | None = None
    placements: frozenset[str] | None = None
    categories: frozenset[str] | None = None
    recipient_variables: frozenset[str] | None = None  # for example "customer.name"
    offers: frozenset[str] | None = None  # of other themes, as THEME/OFFER, that an exclusion may name


@dataclass(frozen=True, slots=True, kw_only=True)
class Notation:
    """How to read the values of a file. A zone or currency that is itself wrong is None; times are then read as UTC."""

    zone: ZoneInfo | None
    currency: str | None
    known: Vocabulary = field(default_factory=Vocabulary)


class Value(BaseModel):
    """Part of a theme: immutable, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


def normalised(text: str) -> str:
    """One form of the same text: composed characters, and line ends as Unix has them."""
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")


def has_control_characters(text: str) -> bool:
    """Line ends and tabs aside; the database could not even keep some of them."""
    return any(unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t" for char in text)


def _plain(text: str) -> str:
    text = normalised(text)
    if not text.strip():
        raise refuse("is empty")
    if has_control_characters(text):
        raise refuse("contains a control character; remove it")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise refuse("has to be one line")
    return text


def _key(text: str) -> str:
    if text != text.strip():
        raise refuse("begins or ends with a blank")
    if "/" in text or "\\" in text:
        raise refuse("contains a slash, which keys may not")
    return text


def _offer_name(text: str) -> str:
    for part in text.split("/", maxsplit=1):
        _key(_plain(part))
    return text


Text = Annotated[str, Field(strict=True, max_length=20_000), AfterValidator(_plain)]
Line = Annotated[str, Field(strict=True, max_length=1_000), AfterValidator(_plain), AfterValidator(_one_line)]
#: Chinese, upper case, `_` and 200 characters are fine: a key is a name, not an identifier.
Key = Annotated[
    str, Field(strict=True, max_length=200), AfterValidator(_plain), AfterValidator(_one_line), AfterValidator(_key)
]
#: An offer of the same theme by its id, one of another theme as THEME/OFFER.
OfferName = Annotated[
    str,
    Field(strict=True, max_length=401),
    AfterValidator(_plain),
    AfterValidator(_one_line),
    AfterValidator(_offer_name),
]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000_000)]
Flag = Annotated[bool, Field(strict=True)]


class Known:
    """Refuses a word that the vocabulary does not hold, naming the nearest that it does."""

    def __init__(self, field_name: str, noun: str) -> None:
        self.field_name, self.noun = field_name, noun

    def __call__(self, word: str, info: Info) -> str:
        known = getattr(info.context.known, self.field_name) if isinstance(info.context, Notation) else None
        if known is not None and word not in known:
            raise refuse(f"is not a known {self.noun}{did_you_mean(word, known)}", allowed=listed(known))
        return word


ProductLine = Annotated[Key, AfterValidator(Known("product_lines", "product line"))]
Login = Annotated[Key, AfterValidator(Known("logins", "person"))]
Segment = Annotated[Key, AfterValidator(Known("segments", "segment"))]
PolicyName = Annotated[Key, AfterValidator(Known("policies", "policy"))]
Place = Annotated[Key, AfterValidator(Known("placements", "placement"))]
Category = Annotated[Key, AfterValidator(Known("categories", "category"))]


def _zone_name(name: str) -> str:
    if zone_of(name) is None:
        raise refuse("is not a time zone", allowed="a name of the IANA time zone database, for example Europe/London")
    return name


def zone_of(name: object) -> ZoneInfo | None:
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]*", name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def _currency(code: str) -> str:
    if code not in money.EXPONENTS:
        near = did_you_mean(code, money.EXPONENTS)
        raise refuse(f"is not a currency{near}", allowed="a code of ISO 4217, for example GBP")
    return code


Zone = Annotated[Line, AfterValidator(_zone_name)]
Currency = Annotated[Line, AfterValidator(_currency)]


def _read_instant(value: object, info: Info) -> object:
    if not isinstance(info.context, Notation):
        return value
    if not isinstance(value, str):
        raise refuse("is not a time", allowed=local_time.ALLOWED)
    try:
        return local_time.instant(value, info.context.zone or FALLBACK_ZONE)
    except local_time.TimeUnreadable:
        raise refuse("is not a time", allowed=local_time.ALLOWED) from None
    except ValueError as error:
        raise refuse(str(error)) from error


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _utc_text(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")


#: An instant; UTC inside, written `2027-03-06T00:00:00Z` in a revision.
Instant = Annotated[AwareDatetime, BeforeValidator(_read_instant), AfterValidator(_utc), PlainSerializer(_utc_text)]


class Money(Value):
    """An amount in minor units of its currency."""

    minor: int = Field(strict=True, ge=0)
    currency: Currency

    @property
    def decimal(self) -> Decimal:
        return money.as_decimal(self.minor, self.currency)

    def __str__(self) -> str:
        return money.in_words(self.minor, self.currency)


class Percent(Value):
    """A share in basis points: 1250 is 12.5 %."""

    basis_points: int = Field(strict=True, ge=1, le=WHOLE)

    def __str__(self) -> str:
        whole, rest = divmod(self.basis_points, 100)
        return f"{whole}.{rest:02d}".rstrip("0") if rest else str(whole)


def _read_money(value: object, info: Info) -> object:
    if not isinstance(info.context, Notation):
        return value
    currency = info.context.currency or "XXX"
    if not isinstance(value, str):
        example = '"20000.00"' if isinstance(value, bool) or not isinstance(value, int | float) else f'"{value:.2f}"'
        raise refuse("is not an amount; write it in quotes", allowed=f"a decimal string, for example {example}")
    if currency not in money.EXPONENTS:
        return Money(minor=0, currency="GBP")  # the currency itself is reported; the amount cannot be judged
    try:
        return Money(minor=money.minor_units(value, currency), currency=currency)
    except money.AmountUnreadable as error:
        raise refuse("is not an amount", allowed=error.allowed) from error


def _read_percent(value: object, info: Info) -> object:
    if not isinstance(info.context, Notation):
        return value
    written = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?", str(value)) if not isinstance(value, bool) else None
    basis_points = int(written[1]) * 100 + int((written[2] or "").ljust(2, "0")) if written else 0
    if not 1 <= basis_points <= WHOLE:
        raise refuse("is not a percentage", allowed="0.01 to 100, for example 12.5")
    return Percent(basis_points=basis_points)


Amount = Annotated[Money, BeforeValidator(_read_money)]
Percentage = Annotated[Percent, BeforeValidator(_read_percent)]
