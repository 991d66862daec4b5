"""A theme's timeline as an artifact in Prefect."""

from zoneinfo import ZoneInfo

from prefect import task
from prefect.artifacts import create_table_artifact

from models.queries import steps, themes
from models.theme import Step
from tasks.connection import clock, database


@task(name="publish timeline", task_run_name="publish timeline of theme {theme_id}", retries=2, retry_delay_seconds=1)
def publish_timeline(theme_id: int) -> None:
    with database().begin() as session:
        theme = themes.theme_by_id(session, theme_id)
        rows = [_row(step, ZoneInfo(theme.timezone)) for step in steps.timeline(session, theme_id)]
    about = f"Timeline of **{theme.title}**, in the zone {theme.timezone}"
    create_table_artifact(key=f"timeline-theme-{theme_id}", table=rows, description=about)


def _row(step: Step, zone: ZoneInfo) -> dict[str, str]:
    lasted = (step.finished_at or clock()) - step.started_at
    return {
        "step": step.name,
        "start": f"{step.started_at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
        "duration": f"{lasted.total_seconds():.1f} s",
        "outcome": step.outcome or "under way",
    }
