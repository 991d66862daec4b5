"""`themeline alerts`: what a person of ops has to know."""

from typing import Annotated

import typer

from console.printing import JsonOption, print_json, print_table
from models.database import Database
from models.queries import alerts as rows
from themes.service.finding import require_theme


def alerts(
    *,
    theme: Annotated[str | None, typer.Option(help="Only those of this theme.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Every alert, the oldest first: one line per fact, however often it was seen."""
    with Database.from_settings().begin() as session:
        if theme is not None:
            require_theme(session, theme)
        found = [
            {
                "raised_at": row.raised_at,
                "times_seen": row.times_seen,
                "theme": row.theme_key,
                "subject": row.subject,
                "text": row.text,
            }
            for row in rows.alerts(session)
            if theme in {None, row.theme_key}
        ]
    if as_json:
        print_json(found)
    else:
        columns = ["raised", "times", "theme", "subject", "text"]
        print_table("Alerts", columns, [list(row.values()) for row in found])


def register(root: typer.Typer) -> None:
    root.command("alerts")(alerts)
