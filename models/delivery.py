from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

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
    planned_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class Delivery(Base):
    """One message to one address on one channel. The row is the truth about it."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("theme_id", "channel", "address", "purpose"),
        Index(
            "ix_deliveries_due",
            "distribution_id",
            "due_at",
            postgresql_where=text("state IN ('planned', 'retrying', 'held')"),
        ),
        Index("ix_deliveries_lease", "lease_until", postgresql_where=text("state = 'sending'")),
        Index(
            "ix_deliveries_failed",
            "distribution_id",
            "error_class",
            postgresql_where=text("state IN ('failed', 'unknown')"),
        ),
    )

    # Deterministic: theme, revision, channel, address; of a correction its purpose as well.
    id: Mapped[UUID] = mapped_column(primary_key=True)
    distribution_id: Mapped[int] = mapped_column(ForeignKey("distributions.id", ondelete="CASCADE"))
    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"))
    channel: Mapped[Channel]
    purpose: Mapped[Purpose] = mapped_column(server_default=Purpose.THEME.value)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    address: Mapped[str]
    state: Mapped[DeliveryState]
    due_at: Mapped[datetime]  # not to be claimed before
    tries: Mapped[int] = mapped_column(server_default="0")
    first_tried_at: Mapped[datetime | None]  # the retry budget counts from here
    lease_owner: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    call_began_at: Mapped[datetime | None]  # set durably before the call leaves; cleared by its outcome
    key: Mapped[str | None]  # the provider's idempotency key of the call under way or in doubt
    error_class: Mapped[ErrorClass | None]
    error_code: Mapped[str | None]
    provider_message_id: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]


class Attempt(Base):
    """One try to send a delivery, in the provider's own words. Append-only."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_delivery_id", "delivery_id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("deliveries.id", ondelete="CASCADE"))
    number: Mapped[int]
    account_id: Mapped[int] = mapped_column(ForeignKey("provider_accounts.id"))
    began_at: Mapped[datetime]
    latency_ms: Mapped[int]
    error_class: Mapped[ErrorClass | None]
    code: Mapped[str]
    detail: Mapped[str]
    request_id: Mapped[str | None]
    provider_message_id: Mapped[str | None]


class LeftOut(Base):
    """An address of the audience that got no delivery, and why."""

    __tablename__ = "left_out"
    __table_args__ = (UniqueConstraint("distribution_id", "customer_id", "reason"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    distribution_id: Mapped[int] = mapped_column(ForeignKey("distributions.id", ondelete="CASCADE"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    address: Mapped[str | None]
    reason: Mapped[str]  # no_address, invalid, duplicate, no_consent, suppressed
