from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Plan(Base):
    """The audience of a distribution, evaluated once, and what became of it when it was last gone through."""

    __tablename__ = "plans"

    distribution_id: Mapped[int] = mapped_column(
        ForeignKey("distributions.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    as_of: Mapped[datetime]  # the instant that the audience was evaluated for
    audience: Mapped[int]  # customers
    rows: Mapped[int | None]  # deliveries when the plan was last complete; None: it never was
    left_out: Mapped[dict[str, Any]]  # reason -> customers, of the same moment
    completed_at: Mapped[datetime | None]  # when it was last gone through as a whole


class PlanChunk(Base):
    """Some customers of an audience, planned in one transaction."""

    __tablename__ = "plan_chunks"

    distribution_id: Mapped[int] = mapped_column(
        ForeignKey("plans.distribution_id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    customer_ids: Mapped[list[int]] = mapped_column(ARRAY(Integer))  # ascending; those of the next chunk are higher
    planned_at: Mapped[datetime | None]
    over_cap: Mapped[int | None]  # of its recipients, those who had all that a cap allows when it was planned
