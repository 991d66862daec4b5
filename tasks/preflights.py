"""A preflight of a theme, as an artifact in Prefect: with its draft, and again right before it is launched."""

from zoneinfo import ZoneInfo

from prefect import task
from prefect.artifacts import create_markdown_artifact

from models.queries import themes
from settings import get_settings
from tasks.connection import clock, database
from themes.preflight_page import page, summary
from themes.revision import load
from themes.service.preflight import look_ahead


@task(name="publish preflight", task_run_name="publish preflight of theme {theme_id}", retries=2, retry_delay_seconds=1)
def publish_preflight(theme_id: int) -> str:
    """Publish what a launch would meet now, and return it in a line. It reserves nothing and stops nothing."""
    with database().begin() as session:
        theme = themes.theme_by_id(session, theme_id)
        content = (
            theme.draft if theme.revision_id is None else themes.revision_by_id(session, theme.revision_id).content
        )
        found = look_ahead(session, theme=theme, value=load(content), public_url=get_settings().public_url, now=clock())
        zone = ZoneInfo(theme.timezone)
    text = page(found, zone)
    # The page of an artifact shows its description at once, and its text only behind another link.
    create_markdown_artifact(key=f"preflight-theme-{theme_id}", markdown=text, description=text)
    return summary(found)
