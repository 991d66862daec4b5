from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from themes.lifecycle import ThemeState


class Theme(Base):
    """What is drafted, approved, launched and measured as one."""

    __tablename__ = "themes"
    __table_args__ = (Index("ix_themes_state", "state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    state: Mapped[ThemeState]
    draft: Mapped[dict[str, Any]]  # canonical content of the last save
    draft_source: Mapped[str]  # the theme file as it was written
    revision_id: Mapped[int | None] = mapped_column(ForeignKey("revisions.id", use_alter=True))  # in review or later
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    timezone: Mapped[str]
    launch_run_id: Mapped[UUID | None]  # the scheduled run of distribute-theme
    launch_attempt: Mapped[int] = mapped_column(server_default="1")  # counted up when a launch run is lost
    created_at: Mapped[datetime]
    state_changed_at: Mapped[datetime]


class ThemeEditor(Base):
    """Somebody who saved a theme: may not decide on the theme itself. The set only grows."""

    __tablename__ = "theme_editors"

    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
    first_saved_at: Mapped[datetime]


class OfferEditor(Base):
    """Somebody who edited an offer of a theme: may not decide on it. The set only grows."""

    __tablename__ = "offer_editors"

    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"), primary_key=True)
    offer_key: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
    first_saved_at: Mapped[datetime]


class Revision(Base):
    """An immutable snapshot of a theme's content, with a hash for the theme part and for each offer."""

    __tablename__ = "revisions"
    __table_args__ = (UniqueConstraint("theme_id", "number"), UniqueConstraint("theme_id", "hash"))

    id: Mapped[int] = mapped_column(primary_key=True)
    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"))
    number: Mapped[int]
    hash: Mapped[str]  # SHA-256 of the whole
    theme_hash: Mapped[str]
    offer_hashes: Mapped[dict[str, Any]]  # offer id -> SHA-256
    content: Mapped[dict[str, Any]]  # what the canonical JSON says
    created_by_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    created_at: Mapped[datetime]


class Placement(Base):
    """Where an offer of a revision shows, and from when to when."""

    __tablename__ = "placements"
    __table_args__ = (UniqueConstraint("revision_id", "place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("revisions.id", ondelete="CASCADE"))
    place: Mapped[str]
    shown_from: Mapped[datetime | None]
    shown_to: Mapped[datetime | None]


class Step(Base):
    """One step of a theme's way, for its timeline."""

    __tablename__ = "steps"
    __table_args__ = (
        Index("ix_steps_theme_id_started_at", "theme_id", "started_at"),
        UniqueConstraint("theme_id", "name"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"))
    revision_number: Mapped[int | None]
    name: Mapped[str]  # for example "round 2 · finance" or "send · sms"
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    flow_run_id: Mapped[UUID | None]
