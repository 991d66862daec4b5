"""A theme's timeline as an artifact in Prefect."""

from prefect import task
from prefect.artifacts import create_table_artifact

from models.queries import steps, themes
from models.theme import Step
from tasks.connection import clock, database


@task(name="publish timeline", task_run_name="publish timeline of theme {theme_id}", retries=2, retry_delay_seconds=1)
def publish_timeline(theme_id: int) -> None:
    with database().begin() as session:
        title = themes.theme_by_id(session, theme_id).title
        rows = [_row(step) for step in steps.timeline(session, theme_id)]
    create_table_artifact(key=f"timeline-theme-{theme_id}", table=rows, description=f"Timeline of **{title}**")


def _row(step: Step) -> dict[str, str]:
    lasted = (step.finished_at or clock()) - step.started_at
    return {
        "step": step.name,
        "start": step.started_at.isoformat(timespec="seconds"),
        "duration": f"{lasted.total_seconds():.1f} s",
        "outcome": step.outcome or "under way",
    }
