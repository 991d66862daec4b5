from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from channels.states import Channel
from models.base import Base

# What a sender writes here names rows that it holds, so there are no foreign keys on them: a check of each would cost
# as much again. What was sent counts on, too, when its theme is deleted.


class LineLimits(Base):
    """The caps and quiet hours of a product line, as its file has them."""

    __tablename__ = "limits"

    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"), primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]]
    applied_by: Mapped[str]
    applied_at: Mapped[datetime]


class CapTurn(Base):
    """Whoever counts what a customer gets holds her row meanwhile."""

    __tablename__ = "cap_turns"

    customer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class CapReservation(Base):
    """A message that counts for the caps of a customer: it is about to leave, has left, or may have."""

    __tablename__ = "cap_reservations"
    __table_args__ = (
        Index("ix_cap_reservations_customer_id", "customer_id", "reserved_at"),
        Index("ix_cap_reservations_distribution_id", "distribution_id"),
    )

    delivery_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    distribution_id: Mapped[int]
    customer_id: Mapped[int]
    channel: Mapped[Channel]
    reserved_at: Mapped[datetime]  # when it was last claimed


class OneTimeSubscription(Base):
    """How many messages of a template a person has agreed to and not yet got; each agreement is one message."""

    __tablename__ = "one_time_subscriptions"
    __table_args__ = (
        UniqueConstraint("product_line_id", "address", "template"),
        CheckConstraint("remaining >= 0", name="remaining"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    address: Mapped[str]
    template: Mapped[str]
    remaining: Mapped[int]


class SubscriptionUse(Base):
    """A delivery that has taken one of them: it is about to leave, has left, or may have."""

    __tablename__ = "subscription_uses"
    __table_args__ = (
        Index("ix_subscription_uses_subscription_id", "subscription_id"),
        Index("ix_subscription_uses_distribution_id", "distribution_id"),
    )

    delivery_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    distribution_id: Mapped[int]
    subscription_id: Mapped[int] = mapped_column(BigInteger)
