"""Drafting, from the command line or from the form in the UI."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.own_run import own_run_id, tag_with_theme
from tasks.theme_steps import save_draft
from tasks.timeline import publish_timeline


@flow(name="draft-theme")
def draft_theme(
    theme_file: str,
    login: str,
    templates: dict[str, str] | None = None,
) -> State:
    """Draft a theme, or save a new version of a draft.

    Args:
        theme_file: The theme file, as YAML.
        login: Your login. Whoever saves a theme may not approve it.
        templates: The template files that the theme names: file name and text.
    """
    saved = save_draft(theme_file, templates or {}, login, own_run_id())
    tag_with_theme(saved.key)
    publish_timeline(saved.theme_id)
    told = f"theme {saved.key} is {'saved' if saved.changed else 'unchanged'}, content {saved.hash}"
    return Completed(name="Saved" if saved.changed else "Unchanged", message=told)
