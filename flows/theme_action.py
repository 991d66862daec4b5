"""Everything that moves a theme but drafting, submitting and answering a question."""

from datetime import datetime
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from tasks.launch_runs import cancel_launch
from tasks.moving_on import move_on
from tasks.own_run import own_run_id, tag_with_theme
from tasks.theme_steps import Action, act, theme_id_of
from themes.service.review import Signature


@flow(name="theme-action")
def theme_action(
    theme: str,
    action: Action,
    login: str,
    code: Annotated[str, Field(pattern=r"^[0-9 -]{6,8}$")],
    comment: str,
    start_at: datetime | None = None,
) -> State:
    """Withdraw, recall, pause, resume, launch now, move the start, or drop.

    Args:
        theme: The theme's key.
        action: What is to be done with it.
        login: Your login.
        code: The six digits that your authenticator app shows now.
        comment: Why: it goes on record.
        start_at: For `move start`: the new start, with its zone.
    """
    tag_with_theme(theme)
    signature = Signature(login=login, code=code, comment=comment, flow_run_id=own_run_id())
    launch_run = act(theme, action, signature, start_at)
    if launch_run is not None:
        cancel_launch(launch_run)
    move_on(theme_id_of(theme))
    return Completed(name="Done", message=f"{action}: {theme}")
