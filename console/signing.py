"""The options with which a person signs what she does."""

import re
from typing import Annotated

import typer

from console.refusals import OptionInvalid

KeyArgument = Annotated[str, typer.Argument(help="The theme's key.")]
LoginOption = Annotated[str, typer.Option(help="Your login.")]


def checked_code(text: str) -> str:
    """Checked here, for Prefect would repeat in its refusal what was typed."""
    if not re.fullmatch(r"[0-9 -]{6,8}", text):
        raise OptionInvalid("--code takes the six digits that your authenticator app shows")
    return text


CodeOption = Annotated[
    str,
    typer.Option(
        prompt="Code of your authenticator app", help="Six digits; asked for when not given.", callback=checked_code
    ),
]
CommentOption = Annotated[str, typer.Option(help="Why: it goes on record.")]
