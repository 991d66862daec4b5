"""For what was interrupted: the decision is on record, but what follows it was not done."""

from prefect import flow

from tasks.moving_on import move_on
from tasks.own_run import tag_with_theme
from tasks.theme_steps import theme_id_of


@flow(name="advance-theme")
def advance_theme(theme: str) -> None:
    """Open and close gates and schedule the launch, as the database says.

    Args:
        theme: The theme's key.
    """
    tag_with_theme(theme)
    move_on(theme_id_of(theme))
