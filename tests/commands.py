"""`themeline` in the process of the test: one tree of commands for all calls, for it takes longer than most of them."""

from collections.abc import Mapping
from functools import cache

import typer.testing
from typer.main import get_command
from typer.testing import CliRunner, Result

from console.cli import add_commands, app

add_commands()
typer.testing._get_command = cache(get_command)  # type: ignore[attr-defined]  # the runner builds it for each call


def invoke(words: tuple[str, ...], environment: Mapping[str, str | None]) -> Result:
    """What is no refusal is raised here: a user would see a traceback."""
    return CliRunner(env=environment).invoke(app, list(words), catch_exceptions=False)
