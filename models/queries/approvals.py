"""Policies, rounds, chains, levels, tasks and decisions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from approval.states import LevelState, RoundState, TaskKind, TaskState
from models.approval import Chain, Decision, Level, Policy, Round, Task
from models.person import Person, PersonProductLine
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
    """The chains that stand in a round now; those that went on to a later one are no longer among them."""
    return session.scalars(select(Chain).where(Chain.round_id == round_id).order_by(Chain.id)).all()


def chains_seen_in(session: Session, a_round: Round) -> Sequence[Chain]:
    """Every chain that a round has had, also those that an edit took to a later one."""
    first, last = aliased(Round), aliased(Round)
    query = (
        select(Chain)
        .join(first, first.id == Chain.first_round_id)
        .join(last, last.id == Chain.round_id)
        .where(first.theme_id == a_round.theme_id, first.number <= a_round.number, last.number >= a_round.number)
    )
    return session.scalars(query.order_by(Chain.id)).all()


def round_before(session: Session, a_round: Round) -> Round | None:
    query = select(Round).where(Round.theme_id == a_round.theme_id, Round.number == a_round.number - 1)
    return session.scalar(query)


def chain_by_id(session: Session, chain_id: int) -> Chain:
    return session.get_one(Chain, chain_id)


def levels(session: Session, chain_id: int) -> Sequence[Level]:
    return session.scalars(select(Level).where(Level.chain_id == chain_id).order_by(Level.position)).all()


def level_by_id(session: Session, level_id: int) -> Level:
    return session.get_one(Level, level_id)


def tasks(session: Session, level_id: int) -> Sequence[Task]:
    return session.scalars(select(Task).where(Task.level_id == level_id).order_by(Task.position, Task.id)).all()


def task_by_id(session: Session, task_id: int, *, lock: bool = False) -> Task:
    query = select(Task).where(Task.id == task_id).execution_options(populate_existing=lock)
    return session.scalars(query.with_for_update() if lock else query).one()


def task_by_flow_run(session: Session, flow_run_id: UUID) -> Task | None:
    return session.scalar(select(Task).where(Task.flow_run_id == flow_run_id))


def theme_id_of_task(session: Session, task_id: int) -> int:
    query = select(Round.theme_id).join(Chain, Chain.round_id == Round.id).join(Level).join(Task)
    return session.scalars(query.where(Task.id == task_id)).one()


def theme_id_of_level(session: Session, level_id: int) -> int:
    query = select(Round.theme_id).join(Chain, Chain.round_id == Round.id).join(Level)
    return session.scalars(query.where(Level.id == level_id)).one()


def newest_question(session: Session, *, chain_id: int, person_id: int) -> Task | None:
    """A person's question about an object: the one that stands open, or else the newest she had."""
    query = select(Task).join(Level).where(Level.chain_id == chain_id, Task.person_id == person_id)
    stands_open = (Task.state == TaskState.OPEN).desc()
    return session.scalar(query.where(Task.opened_at.is_not(None)).order_by(stands_open, Task.id.desc()).limit(1))


def votes(session: Session, level_id: int) -> Sequence[tuple[Decision, str]]:
    """A level's decisions that stand and the seats they were given for, in the order of their time."""
    query = (
        select(Decision, Person.login)
        .join(Task, Task.id == Decision.task_id)
        .join(Person, Person.id == Task.owner_id)
        .where(Decision.level_id == level_id, Decision.voided_at.is_(None))
        .where(Task.kind != TaskKind.ADVICE, Task.state == TaskState.DECIDED)
        .order_by(Decision.decided_at, Decision.id)
    )
    return [(decision, login) for decision, login in session.execute(query)]


def decision_on_task(session: Session, task_id: int) -> Decision | None:
    return session.scalar(select(Decision).where(Decision.task_id == task_id))


def live_task_of(session: Session, *, level_id: int, person_id: int) -> Task | None:
    """The one question of a level that a person has or had answered, if it still counts."""
    live = Task.state.in_([TaskState.WAITING, TaskState.OPEN, TaskState.OUT, TaskState.DECIDED, TaskState.SKIPPED])
    query = select(Task).where(Task.level_id == level_id, Task.person_id == person_id, live)
    return session.scalar(query)


def advice_under_way(session: Session, task_id: int) -> Sequence[tuple[Task, str]]:
    """Advice asked for by the owner of a question and not given yet, and from whom."""
    query = select(Task, Person.login).join(Person, Person.id == Task.person_id)
    rows = session.execute(query.where(Task.for_task_id == task_id, Task.state == TaskState.OPEN).order_by(Task.id))
    return [(task, login) for task, login in rows]


def _of_open_levels(theme_id: int | None = None) -> Select[tuple[int]]:
    query = (
        select(Round.theme_id)
        .join(Chain, Chain.round_id == Round.id)
        .join(Level, Level.chain_id == Chain.id)
        .join(Task, Task.level_id == Level.id)
        .where(Round.state == RoundState.OPEN, Level.state == LevelState.OPEN)
    )
    return query if theme_id is None else query.where(Round.theme_id == theme_id)


def themes_with_timers_due(session: Session, *, now: datetime) -> Sequence[int]:
    """Ids of themes with a question to remind of or to escalate now."""
    due = (Task.remind_at <= now) | (Task.escalate_at <= now)
    query = _of_open_levels().where(Task.state == TaskState.OPEN, due).distinct()
    return session.scalars(query).all()


def tasks_with_timers_due(session: Session, *, theme_id: int, now: datetime) -> Sequence[Task]:
    due = (Task.remind_at <= now) | (Task.escalate_at <= now)
    query = select(Task).join(Level, Level.id == Task.level_id).join(Chain, Chain.id == Level.chain_id)
    query = query.join(Round, Round.id == Chain.round_id).where(Round.theme_id == theme_id)
    return session.scalars(query.where(Task.state == TaskState.OPEN, due).order_by(Task.id)).all()


def levels_due(session: Session, *, now: datetime) -> Sequence[tuple[int, int]]:
    """Levels for which time acts, and their themes: open, with a due action, and a question whose time is over."""
    query = (
        select(Level.id, Round.theme_id)
        .join(Chain, Chain.id == Level.chain_id)
        .join(Round, Round.id == Chain.round_id)
        .join(Task, Task.level_id == Level.id)
        .where(Round.state == RoundState.OPEN, Level.state == LevelState.OPEN, Level.on_due.is_not(None))
        .where(Task.state.in_([TaskState.OPEN, TaskState.OUT]), Task.due_at <= now)
    )
    return [(level, theme) for level, theme in session.execute(query.distinct().order_by(Level.id))]


def gates_of_level(session: Session, level_id: int) -> Sequence[UUID]:
    """The gate runs that show a level's open questions."""
    query = select(Task.flow_run_id).where(Task.level_id == level_id, Task.state == TaskState.OPEN)
    return [run for run in session.scalars(query) if run is not None]


def themes_with_levels_to_mend(session: Session) -> Sequence[int]:
    """Ids of themes with an open level that asks nobody, or somebody who was disabled or limited to other lines."""
    asked = Task.state.in_([TaskState.WAITING, TaskState.OPEN, TaskState.OUT])
    limits = select(PersonProductLine.product_line_id).where(PersonProductLine.person_id == Person.id)
    elsewhere = limits.exists() & Theme.product_line_id.not_in(limits)
    asks_in_vain = (
        select(Task.id)
        .join(Person, Person.id == Task.person_id)
        .where(Task.level_id == Level.id, asked, Person.disabled_at.is_not(None) | elsewhere)
        .exists()
    )
    asks_somebody = select(Task.id).where(Task.level_id == Level.id, asked).exists()
    query = (
        select(Round.theme_id)
        .join(Theme, Theme.id == Round.theme_id)
        .join(Chain, Chain.round_id == Round.id)
        .join(Level, Level.chain_id == Chain.id)
        .where(Round.state == RoundState.OPEN, Level.state == LevelState.OPEN, asks_in_vain | ~asks_somebody)
    )
    return session.scalars(query.distinct()).all()


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
