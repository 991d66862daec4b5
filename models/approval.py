from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from approval.states import ChainState, DecisionKind, LevelState, ObjectKind, RoundState, TaskState
from models.base import Base


class Policy(Base):
    """A version of a policy file. The newest version of a key is the one that new rounds follow."""

    __tablename__ = "policies"
    __table_args__ = (UniqueConstraint("key", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    version: Mapped[int]
    hash: Mapped[str]
    content: Mapped[str]  # canonical JSON
    applied_by: Mapped[str]
    applied_at: Mapped[datetime]


class Round(Base):
    """One attempt to get a revision approved."""

    __tablename__ = "rounds"
    __table_args__ = (
        UniqueConstraint("theme_id", "number"),
        Index("uq_rounds_open_theme_id", "theme_id", unique=True, postgresql_where=text("state = 'open'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"))
    revision_id: Mapped[int] = mapped_column(ForeignKey("revisions.id"))
    policy_id: Mapped[int] = mapped_column(ForeignKey("policies.id"))
    number: Mapped[int]
    state: Mapped[RoundState]
    reach: Mapped[dict[str, Any]]  # recipients when it opened: "audience", and by channel
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class Chain(Base):
    """The approval route of one object in one round, fixed when the round opened."""

    __tablename__ = "chains"
    __table_args__ = (UniqueConstraint("round_id", "object_kind", "object_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id", ondelete="CASCADE"))
    object_kind: Mapped[ObjectKind]
    object_key: Mapped[str]
    object_hash: Mapped[str]
    state: Mapped[ChainState]
    by_rule: Mapped[str | None]  # why no person was asked


class Level(Base):
    __tablename__ = "levels"
    __table_args__ = (UniqueConstraint("chain_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    chain_id: Mapped[int] = mapped_column(ForeignKey("chains.id", ondelete="CASCADE"))
    position: Mapped[int]  # from 1
    name: Mapped[str]
    quorum: Mapped[dict[str, Any]]
    veto: Mapped[list[str]]
    due_seconds: Mapped[int | None]
    remind: Mapped[dict[str, Any] | None]
    fallback: Mapped[bool] = mapped_column(
        server_default="false"
    )  # nobody of the level may decide: its stand-in is asked
    state: Mapped[LevelState]
    skipped_because: Mapped[str | None]
    applies_because: Mapped[str] = mapped_column(server_default="")
    opened_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]


class Task(Base):
    """One person's question, at one level, in one round, about one object."""

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("level_id", "person_id"),
        Index("ix_tasks_open_person_id", "person_id", postgresql_where=text("state = 'open'")),
        Index("ix_tasks_open_due_at", "due_at", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    level_id: Mapped[int] = mapped_column(ForeignKey("levels.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    state: Mapped[TaskState]
    attempt: Mapped[int] = mapped_column(
        server_default="1"
    )  # how often the question was put, counted for the form's key
    ask_again_because: Mapped[str | None]
    flow_run_id: Mapped[UUID | None] = mapped_column(unique=True)
    gate_ready: Mapped[bool] = mapped_column(server_default="false")  # the run and both its inputs exist
    gate_closed: Mapped[bool] = mapped_column(server_default="false")  # the question is over, and so is its run
    opened_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]


class Decision(Base):
    """approve, return or reject, by a person, on a revision. At most one per task."""

    __tablename__ = "decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), unique=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), index=True)
    level_id: Mapped[int] = mapped_column(ForeignKey("levels.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    on_behalf_of_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    kind: Mapped[DecisionKind]
    meaning: Mapped[str]
    comment: Mapped[str]
    object_hash: Mapped[str]
    flow_run_id: Mapped[UUID | None]
    decided_at: Mapped[datetime]


class AuditRow(Base):
    """One act, chained to the one before it by hash. Never updated, never deleted: the database refuses both."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_theme_key", "theme_key"),)

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    prev_hash: Mapped[str]
    hash: Mapped[str]
    at: Mapped[datetime]
    actor: Mapped[str]
    on_behalf_of: Mapped[str | None]
    act: Mapped[str]
    meaning: Mapped[str]
    object_kind: Mapped[str]
    object_key: Mapped[str]
    theme_key: Mapped[str | None]
    round_number: Mapped[int | None]
    level: Mapped[str | None]
    object_hash: Mapped[str | None]
    comment: Mapped[str]
    flow_run_id: Mapped[UUID | None]
    details: Mapped[dict[str, Any]]


class Alert(Base):
    """Something a person of ops has to know. One row per fact, however often it is seen."""

    __tablename__ = "alerts"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    subject: Mapped[str]
    text: Mapped[str]
    theme_key: Mapped[str | None]
    raised_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    times_seen: Mapped[int] = mapped_column(server_default="1")
