"""For what was interrupted: the decision is on record, but what follows it was not done."""

from typing import Annotated

from prefect import flow
from pydantic import Field

from tasks.moving_on import move_on
from tasks.own_run import tag_with_theme
from tasks.theme_steps import theme_id_of


@flow(name="advance-theme")
def advance_theme(theme: Annotated[str, Field(description="The theme's key.")]) -> None:
    """Open and close gates and schedule the launch, as the database says."""
    tag_with_theme(theme)
    move_on(theme_id_of(theme))
