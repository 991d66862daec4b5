"""Who there is, and which one-time codes are used up."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload

from models.person import Person, PersonProductLine, PersonRole, Substitution, UsedCode
from models.product_line import ProductLine

#: Any number that nothing else uses.
_MANAGERS_LOCK = 7_420_520


def person_by_login(session: Session, login: str, *, lock: bool = False) -> Person | None:
    query = select(Person).where(Person.login == login).options(selectinload(Person.roles))
    if not lock:
        return session.scalar(query)
    # Not so strong a lock that rows which merely name the person would wait for it.
    return session.scalar(query.with_for_update(of=Person, key_share=True).execution_options(populate_existing=True))


def person_by_id(session: Session, person_id: int) -> Person:
    return session.get_one(Person, person_id)


def everybody(session: Session) -> Sequence[Person]:
    return session.scalars(
        select(Person).options(selectinload(Person.roles), selectinload(Person.lines)).order_by(Person.login)
    ).all()


def substitute_of(session: Session, person_id: int, *, now: datetime) -> Person | None:
    """Who stands in for a person at this moment."""
    running = (Substitution.starts_at <= now) & (now < Substitution.ends_at)
    query = select(Person).join(Substitution, Substitution.substitute_id == Person.id)
    return session.scalar(
        query.where(Substitution.person_id == person_id, running).order_by(Substitution.id.desc()).limit(1)
    )


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


def wait_briefly(session: Session) -> None:
    """A transaction beside another one must not wait for ever: the two may be waiting for each other unseen."""
    session.execute(text("SET LOCAL lock_timeout = '10s'"))


def lock_managers(session: Session) -> None:
    """One change of who is above whom at a time: two together could close a circle that neither sees."""
    session.execute(select(func.pg_advisory_xact_lock(_MANAGERS_LOCK)))


def managers(session: Session) -> dict[int, int]:
    """Person -> manager, of those who have one."""
    found = session.execute(select(Person.id, Person.manager_id).where(Person.manager_id.is_not(None)))
    return {row.id: row.manager_id for row in found}


def names(session: Session, logins: Sequence[str] | None = None) -> dict[str, str]:
    """Login -> name, of some or of everybody."""
    query = select(Person.login, Person.name)
    found = session.execute(query if logins is None else query.where(Person.login.in_(logins)))
    return {row.login: row.name for row in found}


def logins(session: Session) -> dict[int, str]:
    found = session.execute(select(Person.id, Person.login))
    return {row.id: row.login for row in found}


def add_role(session: Session, person_id: int, role: str) -> bool:
    """False when the person has it."""
    statement = insert(PersonRole).values(person_id=person_id, role=role).on_conflict_do_nothing()
    return session.scalars(statement.returning(PersonRole.role)).first() is not None


def remove_role(session: Session, person_id: int, role: str) -> bool:
    """False when the person did not have it."""
    statement = delete(PersonRole).where(PersonRole.person_id == person_id, PersonRole.role == role)
    return session.scalars(statement.returning(PersonRole.role)).first() is not None


def roles_of(session: Session, person_id: int) -> Sequence[str]:
    return session.scalars(
        select(PersonRole.role).where(PersonRole.person_id == person_id).order_by(PersonRole.role)
    ).all()


def limits(session: Session, person_id: int) -> Sequence[str]:
    """The product lines that a person is limited to."""
    query = select(ProductLine.key).join(PersonProductLine, PersonProductLine.product_line_id == ProductLine.id)
    return session.scalars(query.where(PersonProductLine.person_id == person_id).order_by(ProductLine.key)).all()


def all_limits(session: Session) -> dict[int, list[str]]:
    """Person -> product lines, of those who are limited."""
    query = select(PersonProductLine.person_id, ProductLine.key).order_by(ProductLine.key)
    found: dict[int, list[str]] = {}
    for person_id, key in session.execute(query.join(ProductLine, ProductLine.id == PersonProductLine.product_line_id)):
        found.setdefault(person_id, []).append(key)
    return found


def set_limits(session: Session, person_id: int, product_lines: Sequence[int]) -> None:
    session.execute(delete(PersonProductLine).where(PersonProductLine.person_id == person_id))
    for product_line_id in product_lines:
        session.execute(insert(PersonProductLine).values(person_id=person_id, product_line_id=product_line_id))


def substitutions(
    session: Session, *, since: datetime, person_id: int | None = None
) -> Sequence[Row[tuple[Substitution, str]]]:
    """Those that are not over, with the login of the substitute, in the order of their beginning."""
    query = select(Substitution, Person.login).join(Person, Person.id == Substitution.substitute_id)
    query = query.where(Substitution.ends_at > since).order_by(Substitution.starts_at, Substitution.id)
    return session.execute(query if person_id is None else query.where(Substitution.person_id == person_id)).all()


def end_substitution(session: Session, substitution: Substitution, *, now: datetime) -> None:
    """One that has begun keeps its row, for the record of who stood in when; one that has not is as if never set."""
    if substitution.starts_at < now:
        substitution.ends_at = now
    else:
        session.delete(substitution)
    session.flush()
