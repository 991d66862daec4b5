"""The questions that wait for an answer, and the gate runs in which Prefect shows them."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from approval import keys
from approval.gates import GateRun, ShownGate, TiedTask, form_mark, question_of
from approval.service.brief import brief_for
from approval.states import TaskState
from models.queries import approvals, gates, people, themes


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
    mark: str
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
    mark: str | None  # of the form and brief that she was shown


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
        mark=task.form_version,
    )


def gates_to_open(session: Session, *, theme_id: int | None = None) -> list[int]:
    """Open questions that no gate run shows yet."""
    return list(gates.gates_to_open(session, theme_id=theme_id))


def gates_to_close(session: Session, *, theme_id: int | None = None) -> list[tuple[int, UUID]]:
    """Questions that are over and whose gate run still stands open: task and run."""
    return list(gates.gates_to_close(session, theme_id=theme_id))


def gate_form(session: Session, task_id: int) -> GateForm | None:
    """What to show for a question; None when it is no longer asked."""
    task = approvals.task_by_id(session, task_id)
    if task.state is not TaskState.OPEN:
        return None
    level = approvals.level_by_id(session, task.level_id)
    theme = themes.theme_by_id(session, approvals.theme_id_of_task(session, task_id))
    login = people.person_by_id(session, task.person_id).login
    brief = brief_for(session, task)
    return GateForm(
        task_id=task.id,
        attempt=task.attempt,
        idempotency_key=keys.gate_idempotency_key(task.id, task.attempt),
        pause_key=keys.pause_key(task.id, task.attempt),
        run_name=keys.gate_run_name(title=theme.title, level=level.position, level_name=level.name, login=login),
        tags=tuple(keys.gate_tags(theme_key=theme.key, login=login, level=level.position)),
        brief=brief,
        mark=form_mark(brief),
        flow_run_id=task.flow_run_id,
    )


def note_gate_run(session: Session, *, task_id: int, attempt: int, flow_run_id: UUID) -> bool:
    """Tie a gate run to its question before its form is saved; False when the question has moved on."""
    task = approvals.task_by_id(session, task_id, lock=True)
    if task.state is not TaskState.OPEN or task.attempt != attempt:
        return False
    task.flow_run_id = flow_run_id
    return True


def note_gate_ready(session: Session, *, task_id: int, attempt: int, mark: str) -> None:
    """The form that a gate run shows is saved; what it says is kept as a mark, to know an altered one by."""
    task = approvals.task_by_id(session, task_id, lock=True)
    if task.attempt == attempt:
        task.gate_ready, task.form_version = True, mark


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
    form = gate_form(session, task_id)
    task.form_version = None if form is None else form.mark
    return form


def replace_gate(session: Session, *, task_id: int, attempt: int, because: str | None) -> bool:
    """Give up a gate run that is lost, changed, bypassed or outdated: the question gets a new one.

    `because` of None is no news to the person: what she was told last stays. False when the question was answered or
    put anew meanwhile.
    """
    task = approvals.task_by_id(session, task_id, lock=True)
    if task.state is not TaskState.OPEN or task.attempt != attempt:
        return False
    task.attempt += 1
    task.flow_run_id, task.gate_ready, task.form_version = None, False, None
    task.ask_again_because = task.ask_again_because if because is None else because
    return True


def shown_gates(session: Session) -> list[ShownGate]:
    """Every open question that is tied to a gate run."""
    return [ShownGate(**row._mapping) for row in gates.shown_gates(session)]  # noqa: SLF001 - SQLAlchemy's public name


def tasks_of_runs(session: Session, runs: Collection[GateRun]) -> dict[UUID, TiedTask]:
    """The question that each run is tied to or, where it is tied to none, the one that it was created for."""
    made_for = {run.id: question_of(run.idempotency_key) for run in runs}
    wanted = [question[0] for question in made_for.values() if question is not None]
    rows = gates.tasks_of_runs(session, runs=list(made_for), tasks=wanted)
    found = [TiedTask(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name
    by_id = {task.task_id: task for task in found}
    by_run = {task.flow_run_id: task for task in found}
    asked = ((run, by_run.get(run) or by_id.get(question[0] if question else 0)) for run, question in made_for.items())
    return {run: task for run, task in asked if task is not None}


def themes_with_gate_work(session: Session) -> frozenset[int]:
    """Themes with a question that no gate shows, or a gate that nobody needs."""
    return frozenset(gates.themes_with_gate_work(session))
