"""The timeline of a theme."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.theme import Step


def begin_step(
    session: Session,
    *,
    theme_id: int,
    name: str,
    now: datetime,
    revision_number: int | None = None,
    flow_run_id: UUID | None = None,
) -> None:
    """Begin a step once; a repeated run of the same step keeps its first start."""
    statement = insert(Step).values(
        theme_id=theme_id, name=name, started_at=now, revision_number=revision_number, flow_run_id=flow_run_id
    )
    session.execute(statement.on_conflict_do_nothing())


def finish_step(session: Session, *, theme_id: int, name: str, now: datetime, outcome: str) -> None:
    unfinished = (Step.theme_id == theme_id) & (Step.name == name) & Step.finished_at.is_(None)
    session.execute(update(Step).where(unfinished).values(finished_at=now, outcome=outcome))


def finish_open_steps(session: Session, *, theme_id: int, prefix: str, now: datetime, outcome: str) -> None:
    unfinished = (
        (Step.theme_id == theme_id) & Step.name.startswith(prefix, autoescape=True) & Step.finished_at.is_(None)
    )
    session.execute(update(Step).where(unfinished).values(finished_at=now, outcome=outcome))


def timeline(session: Session, theme_id: int) -> Sequence[Step]:
    return session.scalars(select(Step).where(Step.theme_id == theme_id).order_by(Step.started_at, Step.id)).all()
