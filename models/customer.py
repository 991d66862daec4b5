from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from channels.states import Channel
from models.base import Base


class Customer(Base):
    """Somebody who bought, or visited without an account (`registered` false)."""

    __tablename__ = "customers"
    __table_args__ = (UniqueConstraint("product_line_id", "external_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    external_id: Mapped[str]
    name: Mapped[str | None]
    country: Mapped[str]  # ISO 3166-1 alpha-2
    timezone: Mapped[str]  # IANA
    language: Mapped[str]  # BCP 47
    registered: Mapped[bool]


class Address(Base):
    """Where a customer can be reached on one channel, normalised for it."""

    __tablename__ = "addresses"
    __table_args__ = (
        UniqueConstraint("customer_id", "channel", "address"),
        Index("ix_addresses_channel_address", "channel", "address"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    channel: Mapped[Channel]
    address: Mapped[str]  # normalised
    original: Mapped[str]  # as it came in
    valid: Mapped[bool] = mapped_column(server_default="true")


class Consent(Base):
    """A customer's latest word on whether a channel may be used for marketing."""

    __tablename__ = "consents"
    # Few, and asked for by those who have a delivery already.
    __table_args__ = (Index("ix_consents_withdrawn", "customer_id", "channel", postgresql_where=text("NOT granted")),)

    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"), primary_key=True)
    channel: Mapped[Channel] = mapped_column(primary_key=True)
    granted: Mapped[bool]
    source: Mapped[str]
    recorded_at: Mapped[datetime]


class Suppression(Base):
    """An address of a product line that no message may go to."""

    __tablename__ = "suppressions"
    __table_args__ = (UniqueConstraint("product_line_id", "channel", "address"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    channel: Mapped[Channel]
    address: Mapped[str]
    reason: Mapped[str]  # bad_recipient, unsubscribed, complaint, by_hand
    source: Mapped[str]
    created_at: Mapped[datetime]
