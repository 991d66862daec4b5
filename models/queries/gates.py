"""The questions that wait, with all that their gate runs and inboxes show, each in one query."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session, aliased

from approval.states import ChainState, LevelState, ObjectKind, RoundState, TaskState
from models.approval import Chain, Level, Round, Task
from models.person import Person
from models.theme import Theme

#: A run is needless from the moment at which it is tied to a question that is over, whether its form is saved or not.
_NEEDLESS = (Task.state != TaskState.OPEN) & Task.flow_run_id.is_not(None) & ~Task.gate_closed


def _questions(*columns: Any) -> Select[Any]:  # noqa: ANN401 - columns of any table on the way
    query = select(*columns).select_from(Task).join(Level, Level.id == Task.level_id)
    return query.join(Chain, Chain.id == Level.chain_id).join(Round, Round.id == Chain.round_id)


def shown_gates(session: Session) -> Sequence[Row[Any]]:
    """Open questions that are tied to a gate run, by task, and what the run has to show."""
    query = (
        _questions(
            Task.id.label("task_id"),
            Task.attempt,
            Task.flow_run_id,
            Task.gate_ready.label("ready"),
            Task.form_version.label("mark"),
            Theme.key.label("theme_key"),
            Theme.title.label("theme_title"),
            Level.position.label("level"),
            Level.name.label("level_name"),
            Person.login,
        )
        .join(Theme, Theme.id == Round.theme_id)
        .join(Person, Person.id == Task.person_id)
        .where(Task.state == TaskState.OPEN, Task.flow_run_id.is_not(None))
    )
    return session.execute(query.order_by(Task.id)).all()


def tasks_of_runs(session: Session, *, runs: Collection[UUID], tasks: Collection[int]) -> Sequence[Row[Any]]:
    """Questions by the gate runs that they are tied to, or by their own ids."""
    query = select(Task.id.label("task_id"), Task.state, Task.attempt, Task.flow_run_id, Task.gate_closed)
    return session.execute(query.where(Task.flow_run_id.in_(runs) | Task.id.in_(tasks))).all()


def themes_with_gate_work(session: Session) -> Sequence[int]:
    """Ids of themes with an open question that no gate shows, or a gate whose question is over."""
    unshown = (Task.state == TaskState.OPEN) & ~Task.gate_ready
    found = (_questions(Round.theme_id).where(which) for which in (unshown, _NEEDLESS))  # each has its own index
    return sorted({theme_id for query in found for theme_id in session.scalars(query)})


def gates_to_open(session: Session, *, theme_id: int | None = None) -> Sequence[int]:
    """Open questions that no gate run shows yet, all or one theme's."""
    query = _questions(Task.id).where(Task.state == TaskState.OPEN, ~Task.gate_ready, *_of(theme_id))
    return session.scalars(query.order_by(Task.id)).all()


def gates_to_close(session: Session, *, theme_id: int | None = None) -> Sequence[tuple[int, UUID]]:
    """Questions that are over and whose gate run may still wait, all or one theme's."""
    query = _questions(Task.id, Task.flow_run_id).where(_NEEDLESS, *_of(theme_id))
    return [(task_id, run) for task_id, run in session.execute(query.order_by(Task.id))]


def _of(theme_id: int | None) -> tuple[ColumnElement[bool], ...]:
    return () if theme_id is None else (Round.theme_id == theme_id,)


def open_questions(
    session: Session, *, theme_id: int | None = None, person_id: int | None = None
) -> Sequence[Row[Any]]:
    """Who is asked what and since when: all, one theme's, or one person's; the longest waiting first."""
    owner = aliased(Person)
    query = (
        _questions(
            Task.kind,
            Person.login,
            Person.name,
            owner.login.label("owner"),
            Chain.object_kind,
            Chain.object_key,
            Theme.key.label("theme_key"),
            Theme.title.label("theme_title"),
            Round.number.label("round_number"),
            Level.position.label("level"),
            Level.name.label("level_name"),
            Task.opened_at.label("since"),
            Task.due_at,
            Task.flow_run_id,
        )
        .join(Theme, Theme.id == Round.theme_id)
        .join(Person, Person.id == Task.person_id)
        .join(owner, owner.id == Task.owner_id)
        .where(Task.state == TaskState.OPEN, *_of(theme_id))
    )
    if person_id is not None:
        query = query.where(Task.person_id == person_id)
    return session.execute(query.order_by(Task.opened_at, Task.id)).all()


def owners_waiting_for_advice(session: Session, theme_id: int) -> Sequence[Row[Any]]:
    """Questions of a theme whose owners have asked for advice and decide once it is there."""
    query = (
        _questions(
            Person.login,
            Person.name,
            Chain.object_kind,
            Chain.object_key,
            Level.name.label("level_name"),
            Task.opened_at.label("since"),
            Task.due_at,
        )
        .join(Person, Person.id == Task.person_id)
        .where(Task.state == TaskState.OUT, Round.theme_id == theme_id)
    )
    return session.execute(query.order_by(Task.id)).all()


def rejected_offers(session: Session, theme_id: int) -> Sequence[Row[Any]]:
    """Offers that block a theme in review until they are edited or dropped, and since when."""
    query = (
        select(Chain.object_kind, Chain.object_key, func.max(Level.settled_at).label("since"))
        .join(Round, Round.id == Chain.round_id)
        .join(Level, Level.chain_id == Chain.id)
        .where(Round.theme_id == theme_id, Round.state == RoundState.OPEN)
        .where(Chain.state == ChainState.REJECTED, Chain.object_kind != ObjectKind.THEME)
        .group_by(Chain.id)
    )
    return session.execute(query.order_by(Chain.id)).all()


def levels_that_ask_nobody(session: Session, theme_id: int) -> Sequence[Row[Any]]:
    """Open levels of a theme in review with nobody to answer: whoever could may not decide any more."""
    asked = select(Task.id).where(Task.level_id == Level.id, Task.state.in_([TaskState.OPEN, TaskState.OUT]))
    query = (
        select(Chain.object_kind, Chain.object_key, Level.name.label("level_name"), Level.opened_at.label("since"))
        .join(Chain, Chain.id == Level.chain_id)
        .join(Round, Round.id == Chain.round_id)
        .where(Round.theme_id == theme_id, Round.state == RoundState.OPEN, Chain.state == ChainState.OPEN)
        .where(Level.state == LevelState.OPEN, ~asked.exists())
    )
    return session.execute(query.order_by(Level.id)).all()
