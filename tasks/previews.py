"""What each channel of a theme in review sends, as artifacts in Prefect that the approvers' briefs link to."""

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey

from models.queries import themes
from settings import get_settings
from tasks.connection import database
from themes.preview import preview, preview_key
from themes.recipient import sample
from themes.revision import load


@task(name="publish previews", task_run_name="publish previews of theme {theme_id}", retries=2, retry_delay_seconds=1)
def publish_previews(theme_id: int) -> None:
    """Publish what is not there yet. What somebody altered in Prefect is published anew.

    The page of an artifact shows its description at once, and its text only behind another link: both are the preview.
    """
    wanted = _pages(theme_id)
    if not wanted:
        return
    there = _published(list(wanted))
    for key, page in wanted.items():
        if there.get(key) != (page, page):
            create_markdown_artifact(key=key, markdown=page, description=page)


def _pages(theme_id: int) -> dict[str, str]:
    """Key -> page, for each channel of the revision in review or later; a draft has none."""
    with database().begin() as session:
        theme = themes.theme_by_id(session, theme_id)
        if theme.revision_id is None:
            return {}
        revision = themes.revision_by_id(session, theme.revision_id)
        number, value = revision.number, load(revision.content)
    recipient = sample(theme_key=value.key, public_url=get_settings().public_url)
    return {preview_key(theme_id, number, one.channel): one.page() for one in preview(value, recipient)}


def _published(keys: list[str]) -> dict[str, tuple[object, str | None]]:
    filter_ = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=keys))
    with get_client(sync_client=True) as client:
        found = client.read_latest_artifacts(artifact_filter=filter_)
    return {artifact.key: (artifact.data, artifact.description) for artifact in found if artifact.key}
