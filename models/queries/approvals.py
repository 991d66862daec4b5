"""Policies, rounds, chains, levels, tasks and decisions."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from approval.states import RoundState, TaskState
from models.approval import Chain, Decision, Level, Policy, Round, Task
from models.person import Person
from models.theme import Theme


def newest_policy(session: Session, key: str) -> Policy | None:
    return session.scalar(select(Policy).where(Policy.key == key).order_by(Policy.version.desc()).limit(1))


def policy_by_id(session: Session, policy_id: int) -> Policy:
    return session.get_one(Policy, policy_id)


def policy_keys(session: Session) -> Sequence[str]:
    return session.scalars(select(Policy.key).distinct().order_by(Policy.key)).all()


def open_round(session: Session, theme_id: int) -> Round | None:
    return session.scalar(select(Round).where(Round.theme_id == theme_id, Round.state == RoundState.OPEN))


def round_by_id(session: Session, round_id: int) -> Round:
    return session.get_one(Round, round_id)


def rounds(session: Session, theme_id: int) -> Sequence[Round]:
    return session.scalars(select(Round).where(Round.theme_id == theme_id).order_by(Round.number)).all()


def next_round_number(session: Session, theme_id: int) -> int:
    return (session.scalar(select(func.max(Round.number)).where(Round.theme_id == theme_id)) or 0) + 1


def chains(session: Session, round_id: int) -> Sequence[Chain]:
    return session.scalars(select(Chain).where(Chain.round_id == round_id).order_by(Chain.id)).all()


def chain_by_id(session: Session, chain_id: int) -> Chain:
    return session.get_one(Chain, chain_id)


def levels(session: Session, chain_id: int) -> Sequence[Level]:
    return session.scalars(select(Level).where(Level.chain_id == chain_id).order_by(Level.position)).all()


def level_by_id(session: Session, level_id: int) -> Level:
    return session.get_one(Level, level_id)


def tasks(session: Session, level_id: int) -> Sequence[Task]:
    return session.scalars(select(Task).where(Task.level_id == level_id).order_by(Task.id)).all()


def task_by_id(session: Session, task_id: int, *, lock: bool = False) -> Task:
    query = select(Task).where(Task.id == task_id).execution_options(populate_existing=lock)
    return session.scalars(query.with_for_update() if lock else query).one()


def task_by_flow_run(session: Session, flow_run_id: UUID) -> Task | None:
    return session.scalar(select(Task).where(Task.flow_run_id == flow_run_id))


def theme_id_of_task(session: Session, task_id: int) -> int:
    query = select(Round.theme_id).join(Chain, Chain.round_id == Round.id).join(Level).join(Task)
    return session.scalars(query.where(Task.id == task_id)).one()


def open_tasks(session: Session, *, theme_id: int | None = None) -> Sequence[Task]:
    """Questions that wait for their answer, all or one theme's."""
    query = select(Task).join(Level).join(Chain).join(Round).where(Task.state == TaskState.OPEN).order_by(Task.id)
    return session.scalars(query if theme_id is None else query.where(Round.theme_id == theme_id)).all()


def tasks_with_needless_gate(session: Session, *, theme_id: int | None = None) -> Sequence[Task]:
    """Questions that are over but whose gate run may still wait, all or one theme's."""
    query = select(Task).join(Level).join(Chain).join(Round)
    over = query.where(_needless_gate())
    return session.scalars(over if theme_id is None else over.where(Round.theme_id == theme_id)).all()


def _needless_gate() -> ColumnElement[bool]:
    """Ready or not: a run is needless from the moment at which it is tied to a question that is over."""
    over = Task.state.in_([TaskState.DECIDED, TaskState.CANCELLED])
    return over & Task.flow_run_id.is_not(None) & ~Task.gate_closed


def open_tasks_with_gate(session: Session) -> Sequence[tuple[Task, str, str]]:
    """Open questions that a gate run shows: the task, the theme's key, the person's login."""
    query = (
        select(Task, Theme.key, Person.login)
        .join(Level, Level.id == Task.level_id)
        .join(Chain, Chain.id == Level.chain_id)
        .join(Round, Round.id == Chain.round_id)
        .join(Theme, Theme.id == Round.theme_id)
        .join(Person, Person.id == Task.person_id)
        .where(Task.state == TaskState.OPEN, Task.gate_ready)
        .order_by(Task.id)
    )
    return [(task, key, login) for task, key, login in session.execute(query)]


def themes_with_gate_work(session: Session) -> Sequence[int]:
    """Ids of themes with an open question that no gate shows, or a gate whose question is over."""
    unshown = (Task.state == TaskState.OPEN) & ~Task.gate_ready
    query = select(Round.theme_id).join(Chain).join(Level).join(Task).where(unshown | _needless_gate())
    return session.scalars(query.distinct()).all()


def votes(session: Session, level_id: int) -> Sequence[tuple[Decision, str]]:
    """A level's decisions and who made them, in the order of their time."""
    query = select(Decision, Person.login).join(Person, Person.id == Decision.person_id)
    rows = session.execute(query.where(Decision.level_id == level_id).order_by(Decision.decided_at, Decision.id))
    return [(decision, login) for decision, login in rows]


def decisions_on_theme(session: Session, theme_id: int) -> Sequence[tuple[Decision, str, str, int]]:
    """Every decision on a theme: the decision, login, level name, round number; oldest first."""
    query = (
        select(Decision, Person.login, Level.name, Round.number)
        .join(Person, Person.id == Decision.person_id)
        .join(Level, Level.id == Decision.level_id)
        .join(Round, Round.id == Decision.round_id)
        .where(Round.theme_id == theme_id)
        .order_by(Decision.decided_at, Decision.id)
    )
    return [(decision, login, level, number) for decision, login, level, number in session.execute(query)]


def last_seen_revision(session: Session, *, theme_id: int, person_id: int, before_round: int) -> int | None:
    """The revision that this person was last asked about, in an earlier round."""
    query = (
        select(Round.revision_id)
        .join(Chain, Chain.round_id == Round.id)
        .join(Level)
        .join(Task)
        .where(Round.theme_id == theme_id, Task.person_id == person_id, Round.number < before_round)
        .where(Task.opened_at.is_not(None))
    )
    return session.scalar(query.order_by(Round.number.desc()).limit(1))
