"""Drafting, from the command line or from the form in the UI."""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from tasks.own_run import own_run_id, tag_with_theme
from tasks.theme_steps import save_draft
from tasks.timeline import publish_timeline


@flow(name="draft-theme")
def draft_theme(
    theme_file: Annotated[str, Field(description="The theme file: YAML, as themeline's documentation describes it.")],
    login: Annotated[str, Field(description="Your login. Whoever saves a theme may not approve it.")],
    templates: Annotated[dict[str, str] | None, Field(description="Template files that the theme names.")] = None,
) -> State:
    """Draft a theme, or save a new version of a draft."""
    saved = save_draft(theme_file, templates or {}, login, own_run_id())
    tag_with_theme(saved.key)
    publish_timeline(saved.theme_id)
    told = f"theme {saved.key} is {'saved' if saved.changed else 'unchanged'}, content {saved.hash}"
    return Completed(name="Saved" if saved.changed else "Unchanged", message=told)
