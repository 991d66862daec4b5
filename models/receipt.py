from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from channels.message import ReceiptKind
from channels.states import ErrorClass
from models.base import Base


class ReceiptRow(Base):
    """A word about a message, as it came: from a provider, a mailbox, or a link in the message. Append-only.

    What has not found its delivery, or found it just being sent, waits until `join_at`.
    """

    __tablename__ = "receipts"
    # No foreign keys: receipts come by the thousand, often for rows that are just being written.
    __table_args__ = (
        UniqueConstraint("account_id", "dedupe"),
        Index("ix_receipts_delivery_id", "delivery_id"),
        Index("ix_receipts_join_at", "join_at", postgresql_where=text("join_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    account_id: Mapped[int]
    dedupe: Mapped[str]
    kind: Mapped[ReceiptKind]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    provider_message_id: Mapped[str | None]
    reference: Mapped[UUID | None]  # our own delivery id, where the provider gave it back
    address: Mapped[str | None]
    error_class: Mapped[ErrorClass | None]
    code: Mapped[str]
    detail: Mapped[str]
    delivery_id: Mapped[UUID | None]  # once joined
    join_at: Mapped[datetime | None]  # when its delivery is looked for (again); None: joined, or given up


class SubscriptionEvent(Base):
    """A person of a mini-program said yes or no to messages of a template: kept so that none counts twice."""

    __tablename__ = "subscription_events"
    __table_args__ = (UniqueConstraint("account_id", "dedupe"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    account_id: Mapped[int]
    dedupe: Mapped[str]
    openid: Mapped[str]
    template: Mapped[str]
    accepted: Mapped[bool]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]


class CallbackEndpoint(Base):
    """Where the provider of an account may call us: the part of the path that nobody else knows."""

    __tablename__ = "callback_endpoints"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("provider_accounts.id"), unique=True)
    account: Mapped[str]  # its key
    secret: Mapped[bytes]  # encrypted
    made_at: Mapped[datetime]
