"""One row of a retail file: parsed, or refused with every reason at once."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from audience.countries import COUNTRIES, Country

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
SHOP_ZONE = ZoneInfo("Europe/London")
LARGEST_QUANTITY = 1_000_000
LARGEST_PRICE_MINOR = 1_000_000_000

_INVOICE = re.compile(r"(C?)(\d{1,12})", re.ASCII)
_CUSTOMER = re.compile(r"(\d{1,9})(?:\.0)?", re.ASCII)  # spreadsheets turn 17850 into 17850.0
_INTEGER = re.compile(r"-?\d{1,9}", re.ASCII)
_PRICE = re.compile(r"(-?)(\d{1,9})(?:\.(\d{1,2})0*)?", re.ASCII)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    line: int  # of the file, the header is line 1
    reason: str
    fields: tuple[str, ...]  # as they were read


@dataclass(frozen=True, slots=True, kw_only=True)
class RetailRow:
    line: int
    fields: tuple[str, ...]
    invoice: str
    cancellation: bool
    code: str
    description: str
    quantity: int  # always positive
    at: datetime
    unit_price_minor: int
    customer: str | None
    country: Country

    @property
    def buyer(self) -> str:
        """The customer, or the visitor that an invoice without a customer stands for."""
        return self.customer or f"visitor-{self.invoice}"

    def reject(self, reason: str) -> RejectedRow:
        return RejectedRow(line=self.line, reason=reason, fields=self.fields)


class RowRefused(Exception):
    """A row that cannot be used."""

    def __init__(self, reasons: Iterable[str]) -> None:
        self.reason = "; ".join(reasons)
        super().__init__(self.reason)


@dataclass(slots=True)
class _Reasons:
    """Collects what is wrong with a row, so that all of it is told at once."""

    found: list[str] = field(default_factory=list)

    def attempt(self, name: str, parse: Callable[[str], T], text: str, default: T) -> T:
        try:
            return parse(text)
        except ValueError as error:
            self.found.append(f"{name}: {error}")
            return default


def parse_row(line: int, fields: tuple[str, ...]) -> RetailRow:
    """The row as values.

    Raises:
        RowRefused: it cannot be used.
    """
    if len(fields) != len(COLUMNS):
        raise RowRefused([f"{len(fields)} fields in place of {len(COLUMNS)}"])
    if any("\0" in value for value in fields):
        raise RowRefused(["holds a NUL character"])
    text = dict(zip(COLUMNS, (value.strip() for value in fields), strict=True))
    reasons = _Reasons()
    cancellation, invoice = reasons.attempt("InvoiceNo", _invoice, text["InvoiceNo"], (False, ""))
    quantity = reasons.attempt("Quantity", _quantity, text["Quantity"], None)
    row = RetailRow(
        line=line,
        fields=fields,
        invoice=invoice,
        cancellation=cancellation,
        code=reasons.attempt("StockCode", _code, text["StockCode"], ""),
        description=text["Description"],
        quantity=abs(quantity or 0),
        at=reasons.attempt("InvoiceDate", _shop_time, text["InvoiceDate"], datetime.min.replace(tzinfo=UTC)),
        unit_price_minor=reasons.attempt("UnitPrice", _positive_price, text["UnitPrice"], 0),
        customer=reasons.attempt("CustomerID", _customer, text["CustomerID"], None),
        country=reasons.attempt("Country", _country, text["Country"], COUNTRIES["United Kingdom"]),
    )
    if invoice and quantity is not None:
        reasons.found.extend(_sign_mistake(cancellation=cancellation, quantity=quantity))
    if reasons.found:
        raise RowRefused(reasons.found)
    return row


def _invoice(text: str) -> tuple[bool, str]:
    match = _INVOICE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no invoice number: digits, or C and digits for a cancellation")
    return bool(match[1]), text


def _code(text: str) -> str:
    if not text:
        raise ValueError("is missing")
    # The tills wrote some codes in lower case too, for the same product under the same description.
    return text.upper()


def _quantity(text: str) -> int:
    if _INTEGER.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no whole number")
    if abs(int(text)) > LARGEST_QUANTITY:
        raise ValueError(f"{text} is more than {LARGEST_QUANTITY}")
    return int(text)


def _sign_mistake(*, cancellation: bool, quantity: int) -> Iterator[str]:
    if quantity == 0:
        yield "Quantity: is zero"
    elif quantity < 0 and not cancellation:
        yield "Quantity: is negative outside a cancellation"
    elif quantity > 0 and cancellation:
        yield "Quantity: is positive in a cancellation"


@lru_cache(maxsize=4096)  # the rows of an invoice share one
def _shop_time(text: str) -> datetime:
    try:
        local = datetime.strptime(text, "%d/%m/%Y %H:%M")  # noqa: DTZ007 - the zone is the next step
    except ValueError as error:
        raise ValueError(f"{text!r} is no date and time as DD/MM/YYYY HH:MM") from error
    return local.replace(tzinfo=SHOP_ZONE).astimezone(UTC)


def _positive_price(text: str) -> int:
    amount = minor_units(text)
    if amount == 0:
        raise ValueError("is zero: nothing was sold")
    if amount < 0:
        raise ValueError(f"{text} is negative")
    if amount > LARGEST_PRICE_MINOR:
        raise ValueError(f"{text} is more than {LARGEST_PRICE_MINOR // 100}")
    return amount


def _customer(text: str) -> str | None:
    if not text:
        return None
    match = _CUSTOMER.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no customer number")
    return str(int(match[1]))


def _country(text: str) -> Country:
    try:
        return COUNTRIES[text]
    except KeyError:
        raise ValueError(f"{text!r} is no country that audience/countries.py knows") from None


def minor_units(text: str) -> int:
    """Integer minor units of a decimal with at most two places; no float is involved."""
    match = _PRICE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a price with at most two decimals")
    sign, whole, fraction = match.groups(default="")
    amount = int(whole) * 100 + int(fraction.ljust(2, "0"))
    return -amount if sign else amount
