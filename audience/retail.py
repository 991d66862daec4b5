"""Reads a file in the format of the Online Retail data set into products, customers and orders.

A good row becomes an order line or a cancellation; a bad one is set aside with every reason. Prices are pounds, pence
after the point, and become integer pence. The times in the file are the shop's own, in London.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from audience.categories import category_of
from audience.countries import Country
from audience.errors import NoRetailFile
from audience.fees import fee_name
from audience.netting import Cancellation, Line, Netting, net
from audience.retail_row import COLUMNS, RejectedRow, RetailRow, RowRefused, parse_row

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    sku: str
    name: str
    category: str
    unit_price_minor: int  # what most of its lines cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    external_id: str
    country: Country
    registered: bool  # False: a visitor, known from one invoice only
    first_seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    number: str
    customer_id: str  # external
    placed_at: datetime
    lines: tuple[Line, ...]

    @property
    def kept(self) -> bool:
        """Whether cancellations have left anything of it."""
        return any(line.kept_quantity for line in self.lines)

    @property
    def kept_total_minor(self) -> int:
        return sum(line.kept_quantity * line.unit_price_minor for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetailImport:
    products: tuple[Product, ...]
    customers: tuple[Customer, ...]
    orders: tuple[Order, ...]
    rejected: tuple[RejectedRow, ...]
    rows: int
    cancellations: Netting


def read_retail(lines: Iterable[str]) -> RetailImport:
    """Everything a file says, with cancellations netted.

    Raises:
        NoRetailFile: it is not CSV, or not with the columns of the data set.
    """
    rejected: list[RejectedRow] = []
    rows: list[RetailRow] = []
    count = 0
    for line, fields in _records(lines):
        count += 1
        try:
            rows.append(parse_row(line, fields))
        except RowRefused as refusal:
            rejected.append(RejectedRow(line=line, reason=refusal.reason, fields=fields))
    return _assemble(rows, rejected, count)


def _records(lines: Iterable[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            raise NoRetailFile(found=header, expected=COLUMNS)
        for fields in reader:
            if fields:
                yield reader.line_num, tuple(fields)
    except csv.Error as error:
        raise NoRetailFile(line=reader.line_num, reason=str(error)) from error


def _assemble(rows: list[RetailRow], rejected: list[RejectedRow], count: int) -> RetailImport:
    good = _no_visitor_by_fees_alone(_one_buyer_per_invoice(rows, rejected), rejected)
    sales = [row for row in good if not row.cancellation]
    netting = net(
        [_line(row) for row in sales],
        [_cancellation(row) for row in good if row.cancellation and row.customer],
        without_customer=sum(row.cancellation and row.customer is None for row in good),
    )
    return RetailImport(
        products=tuple(_products(sales)),
        customers=tuple(_customers(row for row in good if row.customer or not row.cancellation)),
        orders=tuple(_orders(sales, netting.lines)),
        rejected=tuple(sorted(rejected, key=lambda row: row.line)),
        rows=count,
        cancellations=netting,
    )


def _one_buyer_per_invoice(rows: list[RetailRow], rejected: list[RejectedRow]) -> list[RetailRow]:
    """Rows whose invoice belongs to one buyer; the first row of an invoice rules, others are rejected."""
    first: dict[str, RetailRow] = {}
    good: list[RetailRow] = []
    for row in rows:
        head = first.setdefault(row.invoice, row)
        if row.buyer == head.buyer:
            good.append(row)
        else:
            rejected.append(row.reject(f"CustomerID: the invoice belongs to {head.buyer} since line {head.line}"))
    return good


def _no_visitor_by_fees_alone(rows: list[RetailRow], rejected: list[RejectedRow]) -> list[RetailRow]:
    """Leaves out invoices without a customer that charge fees and sell nothing: book-keeping, not a visit."""
    visits = {row.invoice for row in rows if row.cancellation or row.customer or not fee_name(row.code)}
    reason = "StockCode: is a fee, on an invoice without customer and products"
    rejected.extend(row.reject(reason) for row in rows if row.invoice not in visits)
    return [row for row in rows if row.invoice in visits]


def _line(row: RetailRow) -> Line:
    fee = fee_name(row.code)
    return Line(
        invoice=row.invoice,
        buyer=row.buyer,
        at=row.at,
        code=row.code,
        sku=None if fee else row.code,
        label=fee or row.description or row.code,
        quantity=row.quantity,
        kept_quantity=row.quantity,
        unit_price_minor=row.unit_price_minor,
    )


def _cancellation(row: RetailRow) -> Cancellation:
    return Cancellation(
        buyer=row.buyer, at=row.at, code=row.code, quantity=row.quantity, unit_price_minor=row.unit_price_minor
    )


def _products(sales: list[RetailRow]) -> Iterator[Product]:
    names: dict[str, Counter[str]] = {}
    prices: dict[str, Counter[int]] = {}
    for row in sales:
        if fee_name(row.code) is None:
            names.setdefault(row.code, Counter())[row.description] += 1
            prices.setdefault(row.code, Counter())[row.unit_price_minor] += 1
    for sku, counted in names.items():
        name = _most_common(counted) or sku
        price = _most_common(prices[sku])
        yield Product(sku=sku, name=name, category=category_of(name), unit_price_minor=price)


def _most_common(counted: Mapping[T, int]) -> T:
    return max(counted, key=lambda value: (bool(value), counted[value]))


def _customers(rows: Iterable[RetailRow]) -> Iterator[Customer]:
    seen: dict[str, RetailRow] = {}
    for row in rows:
        # A customer who moved is counted where the first invoice went.
        if row.buyer not in seen or row.at < seen[row.buyer].at:
            seen[row.buyer] = row
    for buyer, row in seen.items():
        yield Customer(
            external_id=buyer, country=row.country, registered=row.customer is not None, first_seen_at=row.at
        )


def _orders(sales: list[RetailRow], lines: tuple[Line, ...]) -> Iterator[Order]:
    by_invoice: dict[str, list[Line]] = {}
    for row, line in zip(sales, lines, strict=True):
        by_invoice.setdefault(row.invoice, []).append(line)
    for number, own in by_invoice.items():
        yield Order(number=number, customer_id=own[0].buyer, placed_at=own[0].at, lines=tuple(own))
