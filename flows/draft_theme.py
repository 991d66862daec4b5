"""Drafting, from the command line or from the form in the UI."""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from tasks.moving_on import move_on
from tasks.own_run import own_run_id, tag_with_theme
from tasks.preflights import publish_preflight
from tasks.theme_steps import save_draft


@flow(name="draft-theme")
def draft_theme(
    theme_file: str,
    login: str,
    templates: dict[str, str] | None = None,
    code: Annotated[str, Field(pattern=r"^([0-9 -]{6,8})?$")] = "",
) -> State:
    """Draft a theme, or save a new version of a draft, or edit a theme that is in review.

    Args:
        theme_file: The theme file, as YAML.
        login: Your login. Whoever saves a theme may not approve it.
        templates: The template files that the theme names: file name and text.
        code: Only for a theme in review, where an edit voids approvals: the six digits of your authenticator app.
    """
    saved = save_draft(theme_file, templates or {}, login, code, own_run_id())
    tag_with_theme(saved.key)
    move_on(saved.theme_id)
    told = f"theme {saved.key} is {'saved' if saved.changed else 'unchanged'}, content {saved.hash}"
    told += f"; {saved.meets}" if saved.meets else ""
    ahead = publish_preflight(saved.theme_id, return_state=True)  # the draft is saved, whatever becomes of this
    told += f"; it {ahead.result()}" if ahead.is_completed() else "; its preflight failed"
    return Completed(name="Saved" if saved.changed else "Unchanged", message=told)
