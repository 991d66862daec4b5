"""Everything that moves a theme but drafting, submitting and answering a gate."""

from datetime import datetime
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from approval.service.signing import Signature
from tasks.launch_runs import cancel_launch
from tasks.moving_on import move_on
from tasks.own_run import own_run_id, tag_with_theme
from tasks.takedowns import PATIENCE, follow_takedowns
from tasks.theme_steps import act, theme_id_of
from themes.service.acts import ActName, ClaimedName, Request


@flow(name="theme-action")
def theme_action(
    theme: str,
    action: ActName,
    login: str,
    code: Annotated[str, Field(pattern=r"^[0-9 -]{6,8}$")],
    comment: str,
    offer: str = "",
    person: str = "",
    to_level: str = "",
    start_at: datetime | None = None,
    claimed: ClaimedName | None = None,
    correction: str = "",
) -> State:
    """Answer, take back, hand on, withdraw, recall, take down, pause, resume, launch, move the start, or drop.

    Args:
        theme: The theme's key.
        action: What is to be done with it.
        login: Your login.
        code: The six digits that your authenticator app shows now.
        comment: Why: it goes on record. An approval may leave it empty.
        offer: The coupon or activity that is meant, by its id. Empty: the theme itself.
        person: To delegate, transfer, add or remove a signer: the other person's login.
        to_level: To return to a chosen level: its name.
        start_at: For `move start`: the new start, with its zone.
        claimed: For `takedown`: whether coupons already claimed are honoured or void.
        correction: For `takedown`: a correction to those already reached, as YAML with a `channels` block. Optional.
    """
    tag_with_theme(theme)
    request = Request(
        key=theme,
        act=action,
        signature=Signature(login=login, code=code, comment=comment, flow_run_id=own_run_id()),
        object_key=offer,
        person=person,
        to_level=to_level,
        start_at=start_at,
        claimed=claimed,
        correction=correction,
    )
    launch_run = act(request)
    if launch_run is not None:
        cancel_launch(launch_run)
    if action == "takedown":
        follow_takedowns(PATIENCE)
    move_on(theme_id_of(theme))
    return Completed(name="Done", message=f"{action}: {theme}")
