from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from approval import moves
from approval.states import ChainState, DecisionKind, LevelState, ObjectKind, RoundState, TaskKind, TaskState
from models.base import Base


def _check_move(before: StrEnum | None, after: StrEnum) -> None:
    """Let a row change its state as the table of moves has it. Raises StateMoveInvalid: a bug, not a refusal."""
    if before is not None and before is not after:
        moves.check(before, after)


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
    worst: Mapped[dict[str, Any]] = mapped_column(server_default="{}")  # by object, what products are sold for at worst
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]

    @validates("state")
    def _moves_by_the_table(self, _: str, state: RoundState) -> RoundState:
        _check_move(self.__dict__.get("state"), state)
        return state


class Chain(Base):
    """The approval route of one object, fixed when it was opened. An edit elsewhere takes it to the next round."""

    __tablename__ = "chains"
    __table_args__ = (UniqueConstraint("round_id", "object_kind", "object_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id", ondelete="CASCADE"))  # the last it belongs to
    first_round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id", ondelete="CASCADE"))  # and the first
    object_kind: Mapped[ObjectKind]
    object_key: Mapped[str]
    object_hash: Mapped[str]
    state: Mapped[ChainState]
    by_rule: Mapped[str | None]  # why no person was asked

    @validates("state")
    def _moves_by_the_table(self, _: str, state: ChainState) -> ChainState:
        _check_move(self.__dict__.get("state"), state)
        return state


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
    escalate_seconds: Mapped[int | None]  # after its opening
    on_due: Mapped[str | None]  # a decision kind, done by `system:timeout`
    in_turn: Mapped[bool] = mapped_column(server_default="false")
    reopened: Mapped[bool] = mapped_column(server_default="false")  # rules that skip or pass do not fire on it
    fallback: Mapped[bool] = mapped_column(
        server_default="false"
    )  # nobody of the level may decide: its stand-in is asked
    state: Mapped[LevelState]
    skipped_because: Mapped[str | None]
    signed_in_round: Mapped[int | None]  # skipped, because it was signed in that round on the same hash
    applies_because: Mapped[str] = mapped_column(server_default="")
    opened_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None]  # where no quorum did: `system:timeout`, or who overrode it

    @validates("state")
    def _moves_by_the_table(self, _: str, state: LevelState) -> LevelState:
        _check_move(self.__dict__.get("state"), state)
        return state


class Task(Base):
    """One person's question, at one level, in one round, about one object."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index(
            "uq_tasks_live_level_id_person_id",
            "level_id",
            "person_id",
            unique=True,
            postgresql_where=text("state IN ('waiting', 'open', 'out', 'decided', 'skipped')"),
        ),
        Index("ix_tasks_level_id", "level_id"),
        Index("ix_tasks_open_person_id", "person_id", postgresql_where=text("state = 'open'")),
        Index("ix_tasks_open_due_at", "due_at", postgresql_where=text("state = 'open'")),
        Index("ix_tasks_open_remind_at", "remind_at", postgresql_where=text("state = 'open'")),
        Index("ix_tasks_open_escalate_at", "escalate_at", postgresql_where=text("state = 'open'")),
        Index("ix_tasks_open", "id", postgresql_where=text("state = 'open'")),
        Index(
            "ix_tasks_needless_gate",
            "id",
            postgresql_where=text("flow_run_id IS NOT NULL AND NOT gate_closed AND state <> 'open'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    level_id: Mapped[int] = mapped_column(ForeignKey("levels.id", ondelete="CASCADE"))
    kind: Mapped[TaskKind] = mapped_column(server_default=TaskKind.DECISION.value)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))  # who is asked
    owner_id: Mapped[int] = mapped_column(ForeignKey("people.id"))  # the seat: who was asked first
    position: Mapped[int] = mapped_column(server_default="0")  # among the seats of its level
    state: Mapped[TaskState]
    required: Mapped[bool] = mapped_column(
        server_default="false"
    )  # an added signer, who has to agree beside the quorum
    added_by_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    waits_for_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    for_task_id: Mapped[int | None] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE")
    )  # of advice: the owner's
    escalated_from_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    attempt: Mapped[int] = mapped_column(
        server_default="1"
    )  # how often the question was put, counted for the form's key
    ask_again_because: Mapped[str | None]
    shown_revision_id: Mapped[int | None] = mapped_column(ForeignKey("revisions.id"))  # what its brief was about
    form_version: Mapped[str | None]  # of the form that its gate shows
    flow_run_id: Mapped[UUID | None] = mapped_column(unique=True)
    gate_ready: Mapped[bool] = mapped_column(server_default="false")  # the run and both its inputs exist
    gate_closed: Mapped[bool] = mapped_column(server_default="false")  # the question is over, and so is its run
    opened_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    remind_at: Mapped[datetime | None]  # the next reminder
    reminders: Mapped[int] = mapped_column(server_default="0")  # sent so far
    escalate_at: Mapped[datetime | None]  # None also where it is escalated already
    settled_at: Mapped[datetime | None]

    @validates("state")
    def _moves_by_the_table(self, _: str, state: TaskState) -> TaskState:
        _check_move(self.__dict__.get("state"), state)
        return state


class Decision(Base):
    """approve, return or reject, by a person, on a revision; or her advice. At most one per task."""

    __tablename__ = "decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), unique=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"), index=True)
    level_id: Mapped[int] = mapped_column(ForeignKey("levels.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    on_behalf_of_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    kind: Mapped[DecisionKind]
    override: Mapped[bool] = mapped_column(server_default="false")
    meaning: Mapped[str]
    comment: Mapped[str]
    object_hash: Mapped[str]
    flow_run_id: Mapped[UUID | None]
    decided_at: Mapped[datetime]
    voided_at: Mapped[datetime | None]  # taken back, or returned past
    void_because: Mapped[str | None]


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
