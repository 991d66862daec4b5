"""Who there is, and which one-time codes are used up."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload

from models.person import Person, UsedCode


def person_by_login(session: Session, login: str, *, lock: bool = False) -> Person | None:
    query = select(Person).where(Person.login == login).options(selectinload(Person.roles))
    if not lock:
        return session.scalar(query)
    # Not so strong a lock that rows which merely name the person would wait for it.
    return session.scalar(query.with_for_update(of=Person, key_share=True).execution_options(populate_existing=True))


def person_by_id(session: Session, person_id: int) -> Person:
    return session.get_one(Person, person_id)


def everybody(session: Session) -> Sequence[Person]:
    return session.scalars(select(Person).options(selectinload(Person.roles)).order_by(Person.login)).all()


def used_steps(session: Session, person_id: int, *, since_step: int) -> frozenset[int]:
    query = select(UsedCode.time_step).where(UsedCode.person_id == person_id, UsedCode.time_step >= since_step)
    return frozenset(session.scalars(query))


def use_code(session: Session, person_id: int, *, time_step: int, now: datetime) -> bool:
    """Use a time step up; False when it has been used, whoever was first."""
    statement = insert(UsedCode).values(person_id=person_id, time_step=time_step, used_at=now)
    used = session.scalars(statement.on_conflict_do_nothing().returning(UsedCode.time_step))
    return used.first() is not None


def forget_codes(session: Session, *, before_step: int) -> None:
    """Steps older than any drift can never be accepted again and need no row."""
    session.execute(delete(UsedCode).where(UsedCode.time_step < before_step))
