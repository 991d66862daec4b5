"""`themeline theme waiting-for`: why a theme waits, in any state."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from approval.service.waits import Wait, waits
from console.commands.inbox import run_url, ui_url
from console.printing import JsonOption, print_json, print_table
from models.database import Database
from themes.service.finding import require_theme

_COLUMNS = ("why", "people", "since", "due", "run")


def waiting_for(key: Annotated[str, typer.Argument(help="The theme's key.")], *, as_json: JsonOption = False) -> None:
    """Why a theme waits: for whom or for what, since when, due when."""
    with Database.from_settings().begin() as session:
        theme = require_theme(session, key)
        found = waits(session, theme, datetime.now(UTC))
    ui = ui_url()
    if as_json:
        print_json([{**asdict(one), "run_url": run_url(ui, one.flow_run_id)} for one in found])
    elif found:
        print_table(f"{key} is {theme.state} and waits", _COLUMNS, [_row(one, ui) for one in found])
    else:
        typer.echo(f"{key} is {theme.state}: it waits for nothing")


def _row(one: Wait, ui: str) -> tuple[object, ...]:
    due = f"{one.due_at} (overdue)" if one.overdue else one.due_at
    return (one.why, ", ".join(one.people), one.since, due, run_url(ui, one.flow_run_id))
