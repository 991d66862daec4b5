"""What the reconciler looks for: gates, launches and distributions that are not as the database wants them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType

from approval.keys import pause_key
from approval.service import questions
from models.delivery import DistributionState
from models.queries import distributions, themes
from settings import get_settings
from tasks.connection import clock, database
from tasks.gate_runs import cancel_run
from tasks.theme_steps import alert
from themes.lifecycle import ThemeState
from themes.service import launch

_PAGE = 100
_ENDED = {StateType.COMPLETED, StateType.FAILED, StateType.CRASHED, StateType.CANCELLED, StateType.CANCELLING}


@task(name="heal gates")
def heal_gates() -> int:
    """Replace every gate run that does not wait for its answer any more. Returns how many.

    A run that was forced on, cancelled, deleted, or lost with its process has decided nothing: its question gets a new
    run, one alert says so, and the theme stands where it stood.
    """
    with database().begin() as session:
        shown = questions.shown_questions(session)
    with get_client(sync_client=True) as client:
        runs = _runs(client, [question.flow_run_id for question in shown])
        healed = 0
        for question in shown:
            wrong = _wrong_with_gate(question, runs.get(question.flow_run_id))
            if wrong is not None and _replace(client, question, wrong):
                healed += 1
    return healed


def _wrong_with_gate(question: questions.ShownQuestion, run: FlowRun | None) -> str | None:
    if run is None or run.state is None:
        return "its run was deleted"
    if run.state.type in _ENDED:
        return f"its run was ended ({run.state.name}) without a decision"
    if run.state.type is StateType.PAUSED:
        expected = pause_key(question.task_id, question.attempt)
        return None if run.state.state_details.pause_key == expected else "its run waits with another form"
    return "its run was lost" if _is_lost(run) else None


def _is_lost(run: FlowRun) -> bool:
    """On its way for longer than any healthy run takes: its process is gone."""
    return run.state is not None and clock() - run.state.timestamp > get_settings().lost_run_after


def _replace(client: SyncPrefectClient, question: questions.ShownQuestion, wrong: str) -> bool:
    because = f"the question is put anew, because {wrong}"
    with database().begin() as session:
        if not questions.replace_gate(session, task_id=question.task_id, attempt=question.attempt, because=because):
            return False
    cancel_run(client, question.flow_run_id, because)
    alert(
        key=f"gate:{question.task_id}:{question.attempt}",
        subject="a gate was bypassed or lost",
        text=f"the question to {question.login} about theme {question.theme_key!r}: {wrong}; nothing was decided by it",
        theme_key=question.theme_key,
    )
    return True


@task(name="heal launches")
def heal_launches() -> int:
    """Give every scheduled theme a launch run that will start. Returns how many had none."""
    with database().begin() as session:
        scheduled = [
            (theme.id, theme.key, theme.launch_run_id)
            for theme in themes.themes_in(session, [ThemeState.SCHEDULED])
            if theme.launch_run_id is not None
        ]
    with get_client(sync_client=True) as client:
        runs = _runs(client, [run_id for _, _, run_id in scheduled])
    healed = 0
    for theme_id, key, run_id in scheduled:
        wrong = _wrong_with_launch(runs.get(run_id))
        if wrong is not None and _forget_launch(theme_id, run_id):
            text = f"the launch of theme {key!r}: {wrong}; it is scheduled anew"
            alert(key=f"launch:{run_id}", subject="a launch run was lost", text=text, theme_key=key)
            healed += 1
    return healed


def _wrong_with_launch(run: FlowRun | None) -> str | None:
    if run is None or run.state is None:
        return "its run was deleted"
    if run.state.type in _ENDED:
        return f"its run was ended ({run.state.name}) before the theme was live"
    waits = run.state.type is StateType.SCHEDULED
    return None if waits or not _is_lost(run) else "its run was lost"


def _forget_launch(theme_id: int, run_id: UUID) -> bool:
    with database().begin() as session:
        return launch.forget_launch_run(session, theme_id=theme_id, run_id=run_id)


def _runs(client: SyncPrefectClient, ids: Sequence[UUID]) -> Mapping[UUID, FlowRun]:
    found: dict[UUID, FlowRun] = {}
    for page in _pages(ids):
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=list(page)))
        found |= {run.id: run for run in client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE)}
    return found


def _pages(ids: Sequence[UUID]) -> Iterable[Sequence[UUID]]:
    return (ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE))


@task(name="find themes to move on", retries=3, retry_delay_seconds=1)
def themes_to_move_on() -> list[int]:
    """Themes for which the database wants something that Prefect does not have yet."""
    with database().begin() as session:
        unscheduled = [
            theme.id
            for theme in themes.themes_in(session, [ThemeState.APPROVED, ThemeState.SCHEDULED, ThemeState.LIVE])
            if theme.launch_run_id is None
        ]
        return sorted({*questions.themes_with_gate_work(session), *unscheduled})


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTheme:
    theme_id: int
    theme_key: str
    planned: bool  # every distribution is open and planned
    distributions: tuple[tuple[int, str], ...]  # id and channel


@task(name="find live themes", retries=3, retry_delay_seconds=1)
def live_themes() -> list[LiveTheme]:
    """Themes whose launch may have been interrupted after it went live.

    A launch that is going well is young and has not opened its distributions yet: it is left alone for a while.
    """
    young = clock() - timedelta(seconds=30)
    with database().begin() as session:
        return [
            LiveTheme(
                theme_id=theme.id,
                theme_key=theme.key,
                planned=bool(rows) and all(row.state is not DistributionState.PLANNING for row in rows),
                distributions=tuple((row.id, row.channel.value) for row in rows),
            )
            for theme in themes.themes_in(session, [ThemeState.LIVE])
            for rows in [
                [row for row in distributions.of_theme(session, theme.id) if row.revision_id == theme.revision_id]
            ]
            if theme.state_changed_at < young
        ]
