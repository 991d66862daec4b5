"""Whom questions wait for: a person's inbox, and a theme's."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval.errors import PersonUnknown, nearest
from approval.states import ObjectKind, TaskKind
from models.queries import gates, people


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFor:
    """One person whom a theme waits for."""

    kind: TaskKind
    login: str
    name: str
    owner: str  # who was asked first: she answers in that seat
    object_kind: ObjectKind
    object_key: str
    theme_key: str
    theme_title: str
    round_number: int
    level: int
    level_name: str
    since: datetime | None
    due_at: datetime | None
    flow_run_id: UUID | None


def waiting(session: Session, *, theme_id: int | None = None, person_id: int | None = None) -> list[WaitingFor]:
    """Whom themes wait for: all, one theme's, or one person's inbox; the longest waiting first."""
    rows = gates.open_questions(session, theme_id=theme_id, person_id=person_id)
    return [WaitingFor(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name


def inbox(session: Session, login: str) -> list[WaitingFor]:
    """The questions that wait for one person.

    Raises:
        PersonUnknown
    """
    person = people.person_by_login(session, login)
    if person is None:
        raise PersonUnknown(login=login, nearest=nearest(login, people.logins(session).values()))
    return waiting(session, person_id=person.id)
