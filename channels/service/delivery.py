"""Deliveries as persons see them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from channels.service.errors import DeliveryUnknown
from models.delivery import Attempt, Delivery
from models.inquiry import InquiryRow
from models.queries import delivery_rows, receipts
from models.queries.delivery_rows import COLUMNS, RowFilter
from models.receipt import ReceiptRow


def list_deliveries(
    session: Session, *, wanted: RowFilter, limit: int = 100, offset: int = 0
) -> Sequence[dict[str, Any]]:
    return delivery_rows.page(session, wanted=wanted, limit=limit, offset=offset)


def delivery_with_attempts(session: Session, delivery_id: UUID) -> tuple[Delivery, Sequence[Attempt]]:
    delivery = delivery_rows.one(session, delivery_id)
    if delivery is None:
        raise DeliveryUnknown(delivery_id)
    return delivery, delivery_rows.attempts(session, delivery.seq)


def receipts_of(session: Session, delivery_id: UUID) -> Sequence[ReceiptRow]:
    """What providers, mailboxes and the person said of a delivery, in the order in which it happened."""
    return sorted(receipts.of_deliveries(session, [delivery_id]), key=lambda one: (one.occurred_at, one.id))


def inquiry_of(session: Session, seq: int) -> InquiryRow | None:
    """What the provider last said of it when it was asked; None: it was never asked."""
    return session.get(InquiryRow, seq, populate_existing=True)


def export_deliveries(session: Session, *, wanted: RowFilter) -> Iterator[list[str]]:
    """The header and then one list of texts a row, ready for `csv.writer`; never more than a chunk in memory."""
    yield list(COLUMNS)
    for row in delivery_rows.stream(session, wanted=wanted):
        yield [as_text(row[name]) for name in COLUMNS]


def as_text(value: object) -> str:
    """As a cell of CSV."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value.value if isinstance(value, Enum) else value)
    # A spreadsheet would run a text that begins so as a formula. A phone number keeps its plus.
    dangerous = text[:1] in "=-@\t\r" or (text[:1] == "+" and not text[1:].isdigit())
    return f"'{text}" if text and dangerous else text
