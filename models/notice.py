from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from approval.notices import NoticeKind
from channels.states import Channel, DeliveryState, ErrorClass
from models.base import Base


class Notice(Base):
    """One message of the product itself to one person on one channel. The row is the truth about it."""

    __tablename__ = "notices"
    __table_args__ = (
        Index(
            "ix_notices_due",
            "account_id",
            "due_at",
            postgresql_where=text("state IN ('planned', 'retrying', 'unknown')"),
        ),
        Index("ix_notices_lease_until", "lease_until", postgresql_where=text("state = 'sending'")),
        Index("ix_notices_task_id", "task_id"),
        Index("ix_notices_theme_key", "theme_key"),
        Index("ix_notices_person_id", "person_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)  # deterministic: its key
    key: Mapped[str] = mapped_column(unique=True)  # what it says, to whom, on which channel: said once
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"))
    account_id: Mapped[int] = mapped_column(ForeignKey("provider_accounts.id"))
    channel: Mapped[Channel]
    address: Mapped[str]
    kind: Mapped[NoticeKind]
    theme_key: Mapped[str]
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    subject: Mapped[str]
    text: Mapped[str]
    link: Mapped[str | None]
    state: Mapped[DeliveryState]
    due_at: Mapped[datetime]  # not to be claimed before
    tries: Mapped[int] = mapped_column(server_default="0")
    first_tried_at: Mapped[datetime | None]  # the retry budget counts from here
    lease_owner: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    call_began_at: Mapped[datetime | None]  # set durably before the call leaves; cleared by its outcome
    call_key: Mapped[str | None]  # the provider's idempotency key of the call under way or in doubt
    error_class: Mapped[ErrorClass | None]
    error_code: Mapped[str] = mapped_column(server_default="")
    error_detail: Mapped[str] = mapped_column(server_default="")
    provider_message_id: Mapped[str | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]
