"""Deliveries as a person looks at them: lists, one with its attempts, exports."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from channels.states import Channel, DeliveryState, ErrorClass
from models.customer import Customer
from models.delivery import Attempt, Delivery
from models.theme import Theme

#: The columns of a list and of an export, in their order.
COLUMNS = (
    "id", "theme", "channel", "customer", "address", "state", "tries", "error_class", "error_code",
    "provider_message_id", "due_at", "sent_at", "changed_at", "purpose",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which deliveries are meant; what is None does not matter."""

    theme_key: str | None = None
    channel: Channel | None = None
    state: DeliveryState | None = None
    error_class: ErrorClass | None = None


def _rows(wanted: RowFilter) -> Select[Any]:
    statement = (
        select(
            Delivery.id,
            Theme.key.label("theme"),
            Delivery.channel,
            Customer.external_id.label("customer"),
            *(getattr(Delivery, name) for name in COLUMNS[4:]),
        )
        .join(Theme, Theme.id == Delivery.theme_id)
        .join(Customer, Customer.id == Delivery.customer_id)
        .order_by(Delivery.theme_id, Delivery.channel, Delivery.address, Delivery.purpose.desc())
    )
    if wanted.theme_key is not None:
        statement = statement.where(Theme.key == wanted.theme_key)
    for column, value in (
        (Delivery.channel, wanted.channel),
        (Delivery.state, wanted.state),
        (Delivery.error_class, wanted.error_class),
    ):
        if value is not None:
            statement = statement.where(column == value)
    return statement


def page(session: Session, *, wanted: RowFilter, limit: int, offset: int = 0) -> Sequence[dict[str, Any]]:
    rows = session.execute(_rows(wanted).limit(limit).offset(offset))
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - the public name of a row's mapping


def stream(session: Session, *, wanted: RowFilter, chunk: int = 5_000) -> Iterator[dict[str, Any]]:
    """Row by row from a server-side cursor: an export of any size holds one chunk in memory."""
    for row in session.execute(_rows(wanted), execution_options={"yield_per": chunk}):
        yield dict(row._mapping)  # noqa: SLF001 - the public name of a row's mapping


def one(session: Session, delivery_id: UUID) -> Delivery | None:
    return session.get(Delivery, delivery_id, populate_existing=True)


def attempts(session: Session, seq: int) -> Sequence[Attempt]:
    return session.scalars(select(Attempt).where(Attempt.delivery_seq == seq).order_by(Attempt.id)).all()
