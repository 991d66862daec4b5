from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from channels.states import Channel
from models.base import Base
from themes.revocation import ClaimedRule, RevocationState


class Takedown(Base):
    """A theme was taken down: by whom, why, what becomes of claimed coupons, and what those reached are told."""

    __tablename__ = "takedowns"

    id: Mapped[int] = mapped_column(primary_key=True)
    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"), unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    comment: Mapped[str]
    claimed: Mapped[ClaimedRule]
    correction: Mapped[dict[str, Any] | None]  # frozen: senders render from it
    taken_down_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class Revocation(Base):
    """One channel of a takedown: looked at again and again until nothing of it can leave any more."""

    __tablename__ = "revocations"
    __table_args__ = (UniqueConstraint("takedown_id", "channel"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    takedown_id: Mapped[int] = mapped_column(ForeignKey("takedowns.id", ondelete="CASCADE"))
    channel: Mapped[Channel]
    state: Mapped[RevocationState]
    cancelled: Mapped[int]  # deliveries, so far
    tries: Mapped[int] = mapped_column(server_default="0")  # looks
    last_tried_at: Mapped[datetime | None]
    last_problem: Mapped[str | None]  # what was missing at the last look
    done_at: Mapped[datetime | None]
