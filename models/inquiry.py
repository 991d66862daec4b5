from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from channels.states import Channel, ErrorClass
from models.base import Base


class InquiryRow(Base):
    """What the provider has said so far of a delivery in doubt that it was asked about."""

    __tablename__ = "inquiries"

    # No foreign key: it is written for rows that are found by their number.
    delivery_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    call_began_at: Mapped[datetime]  # of the call that was asked about; another call is asked about afresh
    asked: Mapped[int]  # answers to that so far
    absent: Mapped[int]  # the last of them in a row that knew of no such message
    asked_at: Mapped[datetime]
    ask_again_at: Mapped[datetime | None]  # None: it is left to a person
    answer: Mapped[str]  # the provider's last word, free of addresses


class TestSend(Base):
    """A message of a theme to one of our own people. It is no delivery: it counts nowhere."""

    __test__ = False  # to pytest: this is no test
    __tablename__ = "test_sends"
    __table_args__ = (Index("ix_test_sends_theme_id", "theme_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"))
    content_hash: Mapped[str]  # of what was sent: a revision's, or the draft's
    channel: Mapped[Channel]
    account_id: Mapped[int] = mapped_column(ForeignKey("provider_accounts.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    reference: Mapped[UUID]  # what the provider knows it by
    asked_by: Mapped[str]
    began_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]  # None: under way, or the process died over it
    error_class: Mapped[ErrorClass | None]
    code: Mapped[str | None]
    detail: Mapped[str | None]
    provider_message_id: Mapped[str | None]
