"""What else the reconciler looks for: launches without a run that will start, and themes that were left half-way."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client

from approval.gates import BRIEFLY, ENDED
from approval.service import questions
from models.delivery import DistributionState
from models.queries import distributions, launches, themes
from settings import get_settings
from tasks.connection import clock, database
from tasks.gate_runs import cancel_run
from tasks.launch_runs import LAUNCH_DEPLOYMENT
from tasks.run_lists import Json, instant, runs_by_id, unfinished_runs
from tasks.theme_steps import alert
from themes.lifecycle import ThemeState
from themes.service import launch

_NOT_STARTED = ("SCHEDULED", "PAUSED")


@task(name="heal launches")
def heal_launches() -> int:
    """Give every scheduled theme a launch run that will start, and no other theme one. Returns how many had none."""
    with database().begin() as session:
        scheduled = launches.scheduled_launches(session)
    with get_client(sync_client=True) as client:
        runs = {UUID(run["id"]): run for run in runs_by_id(client, [one.launch_run_id for one in scheduled])}
        wrong = [(one, _wrong_with_launch(one, runs.get(one.launch_run_id))) for one in scheduled]
        healed = [_schedule_anew(client, one, because) for one, because in wrong if because is not None]
        _cancel_unwanted(client)
    return sum(healed)


def _wrong_with_launch(wanted: Any, run: Json | None) -> str | None:  # noqa: ANN401 - a row of `scheduled_launches`
    if run is None or run["state"] is None:
        return "its run was deleted"
    state = run["state"]
    if state["type"] in ENDED:
        return f"its run was ended ({state['name']}) before the theme was live"
    if run["parameters"] != {"theme_id": wanted.theme_id, "revision_id": wanted.revision_id}:
        return "its run was given other parameters"
    if state["type"] == "PAUSED":
        return "its run was paused"
    since, lost_after = instant(state["timestamp"]), get_settings().lost_run_after
    if state["type"] == "SCHEDULED":
        return _wrong_with_time(state, latest=max(wanted.starts_at, since) + lost_after)
    return "its run was lost" if clock() - since > lost_after else None


def _wrong_with_time(state: Json, *, latest: datetime) -> str | None:
    """One that is late waits for a worker; one that is put off would miss the theme's start."""
    at = state["state_details"].get("scheduled_time")
    return "its run was put off" if at is not None and instant(at) > latest else None


def _schedule_anew(client: SyncPrefectClient, wanted: Any, wrong: str) -> bool:  # noqa: ANN401 - as above
    with database().begin() as session:
        if not launch.forget_launch_run(session, theme_id=wanted.theme_id, run_id=wanted.launch_run_id):
            return False
    cancel_run(client, wanted.launch_run_id, f"the launch is scheduled anew, because {wrong}")
    text = f"the launch of theme {wanted.key!r}: {wrong}; it is scheduled anew"
    alert(key=f"launch:{wanted.launch_run_id}", subject="a launch run was lost", text=text, theme_key=wanted.key)
    return True


def _cancel_unwanted(client: SyncPrefectClient) -> None:
    """Launch runs that wait though their theme was recalled, dropped, moved, or launched by another run."""
    deployment_id = client.read_deployment_by_name(LAUNCH_DEPLOYMENT).id
    young = clock() - BRIEFLY
    waiting = [
        UUID(run["id"])
        for run in unfinished_runs(client, deployment_id, states=_NOT_STARTED)
        if instant(run["created"]) < young  # made just now, it may not be noted yet
    ]
    with database().begin() as session:
        wanted = launches.wanted_launch_runs(session, waiting)
    for run_id in waiting:
        if run_id not in wanted:
            cancel_run(client, run_id, "no theme is launched by this run any more")


@task(name="find themes to move on", retries=3, retry_delay_seconds=1)
def themes_to_move_on() -> list[int]:
    """Themes for which the database wants something that Prefect does not have yet."""
    with database().begin() as session:
        return sorted({*questions.themes_with_gate_work(session), *launches.themes_without_launch_run(session)})


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
