"""What an approver's brief tells: each query answers for a whole brief, as thousands of them are written at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session, aliased

from models.approval import AuditRow, Chain, Decision, Level, Round, Task
from models.person import Person
from models.theme import Revision, Theme


def question(session: Session, task_id: int) -> Row[tuple[Task, Level, Chain, Round, Theme, Revision]]:
    """A question and all that it is about. The round is the one that its chain is in now."""
    query = (
        select(Task, Level, Chain, Round, Theme, Revision)
        .join(Level, Level.id == Task.level_id)
        .join(Chain, Chain.id == Level.chain_id)
        .join(Round, Round.id == Chain.round_id)
        .join(Theme, Theme.id == Round.theme_id)
        .join(Revision, Revision.id == Round.revision_id)
    )
    return session.execute(query.where(Task.id == task_id)).one()


def people_of(session: Session, person_ids: Sequence[int]) -> dict[int, Person]:
    query = select(Person).where(Person.id.in_(person_ids))
    return {person.id: person for person in session.scalars(query)}


def last_look(session: Session, task: Task, theme_id: int) -> Revision | None:
    """What the person of a question was shown of the theme before it, whatever of it she was asked about."""
    if task.opened_at is None:
        return None
    query = (
        select(Revision)
        .join(Task, Task.shown_revision_id == Revision.id)
        .where(Revision.theme_id == theme_id, Task.person_id == task.person_id)
        .where(Task.id != task.id, Task.opened_at < task.opened_at)
    )
    return session.scalar(query.order_by(Task.opened_at.desc(), Task.id.desc()).limit(1))


def decisions_said(session: Session, theme_id: int) -> Sequence[Row[Any]]:
    """Every decision and advice on a theme, oldest first.

    Each as `Decision`, `kind` of its task, `name` of who gave it, `owner` of the seat where that is somebody else,
    `level_id` and name of the `level`, number of the `round`, `object_kind` and `object_key`.
    """
    owner = aliased(Person)
    query = (
        select(
            Decision,
            Task.kind.label("kind"),
            Person.name.label("name"),
            owner.name.label("owner"),
            Level.id.label("level_id"),
            Level.name.label("level"),
            Round.number.label("round"),
            Chain.object_kind.label("object_kind"),
            Chain.object_key.label("object_key"),
        )
        .join(Task, Task.id == Decision.task_id)
        .join(Person, Person.id == Decision.person_id)
        .outerjoin(owner, owner.id == Decision.on_behalf_of_id)
        .join(Level, Level.id == Decision.level_id)
        .join(Chain, Chain.id == Level.chain_id)
        .join(Round, Round.id == Decision.round_id)
        .where(Round.theme_id == theme_id)
    )
    return session.execute(query.order_by(Decision.decided_at, Decision.id)).all()


def words_of_act(session: Session, *, theme_key: str, act: str, actor: str, at: datetime | None) -> str:
    """The comment of what somebody did at just this moment; "" where there is no such act."""
    query = select(AuditRow.comment).where(
        AuditRow.theme_key == theme_key, AuditRow.act == act, AuditRow.actor == actor, AuditRow.at == at
    )
    return session.scalar(query.order_by(AuditRow.seq.desc()).limit(1)) or ""
