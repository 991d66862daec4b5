"""Submitting a draft for approval."""

from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from approval.service.signing import Signature
from tasks.moving_on import move_on
from tasks.own_run import own_run_id, tag_with_theme
from tasks.theme_steps import submit


@flow(name="submit-theme")
def submit_theme(
    theme: str,
    login: str,
    code: Annotated[str, Field(pattern=r"^[0-9 -]{6,8}$")],
    comment: str = "",
) -> State:
    """Freeze the draft as a revision and ask its first approvers.

    Args:
        theme: The theme's key.
        login: Your login: its author's or an editor's.
        code: The six digits that your authenticator app shows now.
        comment: A word to the approvers.
    """
    tag_with_theme(theme)
    signature = Signature(login=login, code=code, comment=comment, flow_run_id=own_run_id())
    submitted = submit(theme, signature)
    move_on(submitted.theme_id)
    told = f"revision {submitted.revision} ({submitted.hash}) is in review, round {submitted.round}"
    return Completed(name="AlreadySubmitted" if submitted.already else "Submitted", message=told)
