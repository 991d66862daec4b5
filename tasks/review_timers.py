"""What time brings about in reviews: reminders, escalation, due actions, levels whose people fell out."""

from datetime import datetime
from uuid import UUID

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, StateType

from approval.service import timing
from settings import get_settings
from tasks.connection import clock, database

_PAGE = 200
_ON_ITS_WAY = {StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING}


@task(name="mend levels", retries=3, retry_delay_seconds=1)
def mend_levels() -> list[int]:
    """Where somebody was disabled while she was asked. Returns the themes that were looked at."""
    with database().begin() as session:
        found = list(timing.themes_to_mend(session))
    for theme_id in found:
        with database().begin() as session:
            timing.mend(session, theme_id=theme_id, now=clock())
    return found


@task(name="remind and escalate", retries=3, retry_delay_seconds=1)
def run_timers() -> list[int]:
    """One transaction a theme. Returns the themes in which somebody was reminded, or asked as well."""
    with database().begin() as session:
        found = list(timing.themes_with_timers_due(session, now=clock()))
    for theme_id in found:
        with database().begin() as session:
            timing.run_timers(session, theme_id=theme_id, now=clock())
    return found


@task(name="act on due levels", retries=3, retry_delay_seconds=1)
def act_on_due_levels() -> list[int]:
    """Let time decide where the policy says so. Returns the themes in which it did.

    An answer given in time wins, even if its run has not come to it yet: while one is on its way, time waits.
    """
    with database().begin() as session:
        due = timing.due_levels(session, now=clock())
    if not due:
        return []
    with get_client(sync_client=True) as client:
        answered = _answers_on_their_way(client, [gate for level in due for gate in level.gates])
    acted = []
    for level in due:
        if answered.isdisjoint(level.gates):
            with database().begin() as session:
                if timing.act_on_due(session, level_id=level.level_id, now=clock()):
                    acted.append(level.theme_id)
    return acted


def _answers_on_their_way(client: SyncPrefectClient, gates: list[UUID]) -> set[UUID]:
    found: list[FlowRun] = []
    for start in range(0, len(gates), _PAGE):
        wanted = FlowRunFilter(id=FlowRunFilterId(any_=gates[start : start + _PAGE]))
        found += client.read_flow_runs(flow_run_filter=wanted, limit=_PAGE)
    now = clock()
    return {run.id for run in found if _on_its_way(run, now)}


def _on_its_way(run: FlowRun, now: datetime) -> bool:
    """A run that was resumed and is not lost. One that hangs is the reconciler's, and holds time up no longer."""
    if run.state is None or run.state.type not in _ON_ITS_WAY:
        return False
    return now - run.state.timestamp <= get_settings().lost_run_after
