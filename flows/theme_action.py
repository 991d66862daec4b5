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
    theme: Annotated[str, Field(description="The theme's key.")],
    action: Annotated[Action, Field(description="What is to be done with it.")],
    login: Annotated[str, Field(description="Your login.")],
    code: Annotated[
        str, Field(description="The six digits that your authenticator app shows now.", pattern=r"^[0-9 -]{6,8}$")
    ],
    comment: Annotated[str, Field(description="Why: it goes on record.")],
    start_at: Annotated[datetime | None, Field(description="For `move start`: the new start, with its zone.")] = None,
) -> State:
    """Withdraw, recall, pause, resume, launch now, move the start, or drop."""
    tag_with_theme(theme)
    signature = Signature(login=login, code=code, comment=comment, flow_run_id=own_run_id())
    launch_run = act(theme, action, signature, start_at)
    if launch_run is not None:
        cancel_launch(launch_run)
    move_on(theme_id_of(theme))
    return Completed(name="Done", message=f"{action}: {theme}")
