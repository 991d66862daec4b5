from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from channels.price import PricedPer
from channels.states import Channel, DeliveryState, ErrorClass, Purpose
from models.base import Base


class ProviderAccount(Base):
    """A contract with a provider: its settings, its secrets (encrypted) and whether it may be used now."""

    __tablename__ = "provider_accounts"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    channel: Mapped[Channel]
    provider: Mapped[str]
    settings: Mapped[dict[str, Any]]
    secrets: Mapped[bytes | None]  # encrypted JSON
    paused_because: Mapped[str | None]
    backing_off_until: Mapped[datetime | None]  # throttled: no sender calls before
    refused_in_row: Mapped[int] = mapped_column(server_default="0")  # calls refused as a whole since the last good one
    refused_since: Mapped[datetime | None]  # the first of them
    probe_until: Mapped[datetime | None]  # after a back-off one sender tries; the others wait for its answer till then
    paused_at: Mapped[datetime | None]
    pool: Mapped[str | None]  # accounts of one channel and product line that stand in for each other
    weight: Mapped[int] = mapped_column(server_default="1")  # 0: only while no other of the pool is open
    windows: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")  # those of the provider, or of the file
    price_amount: Mapped[Decimal | None] = mapped_column(Numeric(12, 6))
    price_per: Mapped[PricedPer | None]


class DistributionState(StrEnum):
    PLANNING = "planning"
    SENDING = "sending"
    STOPPED = "stopped"  # a content error: a person looks
    COMPLETE = "complete"
    CANCELLED = "cancelled"  # taken down, or given back by a recall: nothing of it leaves


class Distribution(Base):
    """One channel of one launched revision, or of its correction: what was planned, and whether it may go on."""

    __tablename__ = "distributions"
    __table_args__ = (UniqueConstraint("theme_id", "revision_id", "channel", "purpose"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"))
    revision_id: Mapped[int] = mapped_column(ForeignKey("revisions.id"))
    channel: Mapped[Channel]
    purpose: Mapped[Purpose] = mapped_column(server_default=Purpose.THEME.value)
    account_id: Mapped[int] = mapped_column(ForeignKey("provider_accounts.id"))
    state: Mapped[DistributionState]
    stopped_because: Mapped[str | None]
    segment_as_of: Mapped[datetime]  # segments were computed for this instant
    expires_at: Mapped[datetime | None]  # nothing leaves from then on: theme or an offer of it is over; None: never
    planned_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class Delivery(Base):
    """One message to one address on one channel. The row is the truth about it.

    Once it was tried, the database itself refuses to delete it.
    """

    __tablename__ = "deliveries"
    # No column that changes while all goes well stands in an index, nor in the condition of one: so an update then
    # writes no index at all. A test of the database's own counters keeps it so.
    __table_args__ = (
        UniqueConstraint("distribution_id", "seq"),
        CheckConstraint("state <> 'failed' OR error_class IS NOT NULL", name="failed_has_class"),
        UniqueConstraint("address", "channel", "theme_id", "purpose"),
        Index("ix_deliveries_due", "distribution_id", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        # By an expression that no other index has: where the statistics do not know a distribution, every other one
        # that begins with it looks as good, and a few failures would be looked for among a million rows.
        Index(
            "ix_deliveries_error",
            text("CAST(distribution_id AS bigint)"),
            "error_class",
            "error_code",
            postgresql_where=text("error_class IS NOT NULL"),
        ),
    )

    # Deterministic: theme, revision, channel, address; of a correction its purpose as well.
    id: Mapped[UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True))  # the order in which rows are walked
    distribution_id: Mapped[int] = mapped_column(ForeignKey("distributions.id", ondelete="CASCADE"))
    theme_id: Mapped[int]  # that of the distribution
    channel: Mapped[Channel]
    purpose: Mapped[Purpose] = mapped_column(server_default=Purpose.THEME.value)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    address: Mapped[str]
    state: Mapped[DeliveryState]
    due_at: Mapped[datetime | None]  # not to be claimed before; None: fresh, or nothing more happens by itself
    tries: Mapped[int] = mapped_column(server_default="0")
    first_tried_at: Mapped[datetime | None]  # the retry budget counts from here
    lease_owner: Mapped[UUID | None]  # the sender that holds it, or that left it in doubt
    account_id: Mapped[int | None]  # of the last call
    call_began_at: Mapped[datetime | None]  # of the first call in doubt
    key: Mapped[str | None]  # the provider's idempotency key of the call in doubt
    error_class: Mapped[ErrorClass | None]
    error_code: Mapped[str | None]
    provider_message_id: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]


class Attempt(Base):
    """One try to send a delivery, in the provider's own words. Append-only."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_delivery_seq", "delivery_seq"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    # No foreign keys: what a sender writes here names a row that it holds, and checking each would cost as much again.
    delivery_seq: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int]
    account_id: Mapped[int]
    began_at: Mapped[datetime]
    latency_ms: Mapped[int]
    error_class: Mapped[ErrorClass | None]
    code: Mapped[str]
    detail: Mapped[str]
    request_id: Mapped[str | None]
    provider_message_id: Mapped[str | None]


class ActiveSender(Base):
    """A sender at work. Its rows are its own as long as it is alive; whoever finds it dead takes them back."""

    __tablename__ = "senders"
    __table_args__ = (Index("ix_senders_distribution_id", "distribution_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    distribution_id: Mapped[int] = mapped_column(ForeignKey("distributions.id", ondelete="CASCADE"))
    alive_until: Mapped[datetime]
    began_at: Mapped[datetime]
    host: Mapped[str]


class SenderMark(Base):
    """What a sender claimed, or whose calls it began, by their numbers. Of a row the last mark holds."""

    __tablename__ = "sender_marks"
    __table_args__ = (Index("ix_sender_marks_sender_id", "sender_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    sender_id: Mapped[UUID] = mapped_column(ForeignKey("senders.id", ondelete="CASCADE"))
    begun: Mapped[bool]  # written durably before the calls leave
    account_id: Mapped[int | None]
    made_at: Mapped[datetime]
    seqs: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    keys: Mapped[list[str] | None] = mapped_column(ARRAY(Text))


class Walk(Base):
    """How far the fresh rows of a distribution have been handed out. Rows left behind it are found by their tally."""

    __tablename__ = "walks"

    distribution_id: Mapped[int] = mapped_column(
        ForeignKey("distributions.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    next_seq: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Tally(Base):
    """A change in how many rows of a distribution are in a state; the sum is the count, at every moment.

    A trigger writes one with every statement that changes deliveries, in the same transaction.
    """

    __tablename__ = "tallies"
    __table_args__ = (Index("ix_tallies_distribution_id", "distribution_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    distribution_id: Mapped[int]
    state: Mapped[DeliveryState]
    error_class: Mapped[ErrorClass | None]
    count: Mapped[int] = mapped_column(BigInteger)


class LeftOut(Base):
    """An address of the audience that got no delivery, and why."""

    __tablename__ = "left_out"
    __table_args__ = (UniqueConstraint("distribution_id", "customer_id", "reason"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    distribution_id: Mapped[int] = mapped_column(ForeignKey("distributions.id", ondelete="CASCADE"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    address: Mapped[str | None]
    reason: Mapped[str]  # no_address, invalid, duplicate, no_consent, suppressed
