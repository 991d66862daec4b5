"""The steps of a theme's way, each one service verb in one transaction."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from prefect import task

from approval.errors import DecisionRefused, IdentityRefused
from approval.form import Answer
from approval.identity import time_step
from approval.service import decisions, questions
from approval.service.decisions import Decided
from approval.service.questions import AskedHere, GateForm
from approval.service.signing import Signature
from models.queries import alerts, people, themes
from tasks.connection import clock, database, identity_rules
from themes.service import launch, review, saving
from themes.service.acts import Request, carry_out
from themes.service.editing import Proof
from themes.service.finding import require_theme
from themes.service.launch import Launch, StartOutcome
from themes.service.review import Submitted
from themes.service.saving import Saved


def save_draft(text: str, templates: Mapping[str, str], login: str, code: str, flow_run_id: UUID | None) -> Saved:
    """Not a task: a task's parameters are shown and kept, and an edit under review is signed with a code."""
    proof = Proof(code=code, rules=identity_rules()) if code else None
    with database().begin() as session:
        return saving.save_draft(
            session,
            text=text,
            templates=templates,
            login=login,
            now=clock(),
            flow_run_id=flow_run_id,
            proof=proof,
        )


def submit(key: str, signature: Signature) -> Submitted:
    """Not a task: a task's parameters are shown and kept, and a signature holds a code."""
    with database().begin() as session:
        return review.submit(session, key=key, signature=signature, rules=identity_rules(), now=clock())


def act(request: Request) -> UUID | None:
    """Do what somebody signed for. Returns a launch run that is to be cancelled, if there is one."""
    with database().begin() as session:
        return carry_out(session, request, rules=identity_rules(), now=clock())


def asked_in(flow_run_id: UUID) -> AskedHere | None:
    with database().begin() as session:
        return questions.asked_in(session, flow_run_id)


def decide(asked: AskedHere, answer: Answer, flow_run_id: UUID) -> Decided | DecisionRefused | IdentityRefused:
    """The decision, or the reason why it was not taken. Not a task, for the code in the answer."""
    try:
        with database().begin() as session:
            return decisions.decide(
                session,
                task_id=asked.task_id,
                answer=answer,
                flow_run_id=flow_run_id,
                rules=identity_rules(),
                now=clock(),
            )
    except (DecisionRefused, IdentityRefused) as refusal:
        return refusal


def ask_again(asked: AskedHere, because: str) -> GateForm | None:
    with database().begin() as session:
        return questions.ask_again(session, task_id=asked.task_id, attempt=asked.attempt, because=because)


def alert(*, key: str, subject: str, text: str, theme_key: str | None = None) -> bool:
    """Raise an alert; True when the fact is new."""
    with database().begin() as session:
        return alerts.raise_alert(session, key=key, subject=subject, text=text, now=clock(), theme_key=theme_key)


@task(name="find what a theme waits for", retries=3, retry_delay_seconds=1)
def unopened_gates(theme_id: int) -> list[int]:
    with database().begin() as session:
        return questions.gates_to_open(session, theme_id=theme_id)


@task(name="find what nobody asks any more", retries=3, retry_delay_seconds=1)
def needless_gates(theme_id: int) -> list[tuple[int, UUID]]:
    with database().begin() as session:
        return questions.gates_to_close(session, theme_id=theme_id)


def launch_to_schedule(theme_id: int) -> Launch | None:
    with database().begin() as session:
        return launch.launch_to_schedule(session, theme_id)


def note_launch(a_launch: Launch, run_id: UUID) -> bool:
    with database().begin() as session:
        return launch.schedule(session, launch=a_launch, run_id=run_id, now=clock())


@task(name="put theme live", task_run_name="put theme {theme_id} live", retries=3, retry_delay_seconds=1)
def start_theme(theme_id: int, revision_id: int, flow_run_id: UUID | None, grace: timedelta) -> StartOutcome:
    with database().begin() as session:
        return launch.start(
            session,
            theme_id=theme_id,
            revision_id=revision_id,
            grace=grace,
            now=clock(),
            flow_run_id=flow_run_id,
        )


@task(name="find missed starts", retries=3, retry_delay_seconds=1)
def miss_late_starts(grace: timedelta) -> list[str]:
    with database().begin() as session:
        return launch.miss_late_starts(session, grace=grace, now=clock())


@task(name="end themes that are over", retries=3, retry_delay_seconds=1)
def end_themes() -> list[int]:
    with database().begin() as session:
        return launch.end_themes_that_are_over(session, now=clock())


def theme_id_of(key: str) -> int:
    with database().begin() as session:
        return require_theme(session, key).id


def theme_key_of(theme_id: int) -> str:
    with database().begin() as session:
        return themes.theme_by_id(session, theme_id).key


@task(name="forget used codes", retries=3, retry_delay_seconds=1)
def forget_used_codes() -> None:
    """Codes of a day ago are out of every reach; younger ones stay to be refused a second time."""
    with database().begin() as session:
        people.forget_codes(session, before_step=time_step(clock() - timedelta(days=1)))
