"""The questions that wait for an answer, and the gate runs in which Prefect shows them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval import keys
from approval.service.brief import brief_for
from approval.states import TaskState
from models.approval import Task
from models.queries import approvals, people, themes


@dataclass(frozen=True, slots=True, kw_only=True)
class GateForm:
    """All that Prefect needs to show one question."""

    task_id: int
    attempt: int
    idempotency_key: str
    pause_key: str
    run_name: str
    tags: tuple[str, ...]
    brief: str
    flow_run_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedHere:
    """The question behind a gate run, as its own run finds it."""

    task_id: int
    attempt: int
    state: TaskState
    theme_id: int
    theme_key: str
    login: str


def asked_in(session: Session, flow_run_id: UUID) -> AskedHere | None:
    """The question that a gate run is for; None where the database knows nothing of the run."""
    task = approvals.task_by_flow_run(session, flow_run_id)
    if task is None:
        return None
    theme = themes.theme_by_id(session, approvals.theme_id_of_task(session, task.id))
    return AskedHere(
        task_id=task.id,
        attempt=task.attempt,
        state=task.state,
        theme_id=theme.id,
        theme_key=theme.key,
        login=people.person_by_id(session, task.person_id).login,
    )


def gates_to_open(session: Session, *, theme_id: int | None = None) -> list[int]:
    """Open questions that no gate run shows yet."""
    return [task.id for task in approvals.open_tasks(session, theme_id=theme_id) if not task.gate_ready]


def gates_to_close(session: Session, *, theme_id: int | None = None) -> list[tuple[int, UUID]]:
    """Questions that are over and whose gate run still stands open: task and run."""
    over = approvals.tasks_with_needless_gate(session, theme_id=theme_id)
    return [(task.id, task.flow_run_id) for task in over if task.flow_run_id is not None]


def gate_form(session: Session, task_id: int) -> GateForm | None:
    """What to show for a question; None when it is no longer asked."""
    task = approvals.task_by_id(session, task_id)
    if task.state is not TaskState.OPEN:
        return None
    level = approvals.level_by_id(session, task.level_id)
    theme = themes.theme_by_id(session, approvals.theme_id_of_task(session, task_id))
    login = people.person_by_id(session, task.person_id).login
    return GateForm(
        task_id=task.id,
        attempt=task.attempt,
        idempotency_key=keys.gate_idempotency_key(task.id, task.attempt),
        pause_key=keys.pause_key(task.id, task.attempt),
        run_name=keys.gate_run_name(title=theme.title, level=level.position, level_name=level.name, login=login),
        tags=tuple(keys.gate_tags(theme_key=theme.key, login=login, level=level.position)),
        brief=brief_for(session, task),
        flow_run_id=task.flow_run_id,
    )


def note_gate_run(session: Session, *, task_id: int, attempt: int, flow_run_id: UUID) -> bool:
    """Tie a gate run to its question before its form is saved; False when the question has moved on."""
    task = approvals.task_by_id(session, task_id, lock=True)
    if task.state is not TaskState.OPEN or task.attempt != attempt:
        return False
    task.flow_run_id = flow_run_id
    return True


def note_gate_ready(session: Session, *, task_id: int, attempt: int) -> None:
    task = approvals.task_by_id(session, task_id, lock=True)
    if task.attempt == attempt:
        task.gate_ready = True


def note_gate_closed(session: Session, *, task_id: int) -> None:
    task = approvals.task_by_id(session, task_id, lock=True)
    if task.state is not TaskState.OPEN:
        task.gate_closed = True


def ask_again(session: Session, *, task_id: int, attempt: int, because: str) -> GateForm | None:
    """Put a question anew, in the same gate run, with the reason in the first line of its form.

    Returns None when it is no longer asked, or was put anew by somebody else meanwhile.
    """
    task = approvals.task_by_id(session, task_id, lock=True)
    if task.state is not TaskState.OPEN or task.attempt != attempt:
        return None
    task.attempt += 1
    task.ask_again_because = because
    session.flush()
    return gate_form(session, task_id)


def replace_gate(session: Session, *, task_id: int, attempt: int, because: str) -> bool:
    """Give up a gate run that is lost, changed or bypassed: the question gets a new one.

    False when the question was answered or put anew meanwhile.
    """
    task = approvals.task_by_id(session, task_id, lock=True)
    if task.state is not TaskState.OPEN or task.attempt != attempt:
        return False
    task.attempt += 1
    task.flow_run_id, task.gate_ready, task.ask_again_because = None, False, because
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownQuestion:
    """A question that a gate run shows, or should."""

    task_id: int
    attempt: int
    flow_run_id: UUID
    theme_key: str
    login: str


def shown_questions(session: Session) -> list[ShownQuestion]:
    """Every open question whose gate run is thought to wait."""
    return [
        ShownQuestion(task_id=task.id, attempt=task.attempt, flow_run_id=task.flow_run_id, theme_key=key, login=login)
        for task, key, login in approvals.open_tasks_with_gate(session)
        if task.flow_run_id is not None
    ]


def themes_with_gate_work(session: Session) -> frozenset[int]:
    """Themes with a question that no gate shows, or a gate that nobody needs."""
    return frozenset(approvals.themes_with_gate_work(session))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingFor:
    """One person whom a theme waits for."""

    login: str
    name: str
    object_kind: str
    object_key: str
    theme_key: str
    theme_title: str
    round_number: int
    level: int
    level_name: str
    since: datetime | None
    due_at: datetime | None
    flow_run_id: UUID | None


def waiting(session: Session, *, theme_id: int | None = None, login: str | None = None) -> list[WaitingFor]:
    """Whom themes wait for: all, one theme's, or one person's inbox."""
    found = (_waiting_for(session, task) for task in approvals.open_tasks(session, theme_id=theme_id))
    return [one for one in found if login in {None, one.login}]


def _waiting_for(session: Session, task: Task) -> WaitingFor:
    level = approvals.level_by_id(session, task.level_id)
    chain = approvals.chain_by_id(session, level.chain_id)
    a_round = approvals.round_by_id(session, chain.round_id)
    theme = themes.theme_by_id(session, a_round.theme_id)
    person = people.person_by_id(session, task.person_id)
    return WaitingFor(
        login=person.login,
        name=person.name,
        object_kind=chain.object_kind.value,
        object_key=chain.object_key,
        theme_key=theme.key,
        theme_title=theme.title,
        round_number=a_round.number,
        level=level.position,
        level_name=level.name,
        since=task.opened_at,
        due_at=task.due_at,
        flow_run_id=task.flow_run_id,
    )
