"""`themeline notices`: what the product itself has told people."""

from typing import Annotated

import typer

from channels.service.notices import listed
from console.printing import JsonOption, print_json, print_table
from models.database import Database


def notices(
    *,
    theme: Annotated[str | None, typer.Option(help="Of one theme, by its key.")] = None,
    login: Annotated[str | None, typer.Option(help="To one person.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="The newest so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Reminders and escalations: to whom, when, over which channel, and what became of them."""
    with Database.from_settings().begin() as session:
        found = listed(session, theme_key=theme, login=login, limit=limit)
    if as_json:
        print_json(found)
        return
    columns = ["created_at", "to", "channel", "kind", "theme", "state", "sent_at", "reason"]
    print_table("Notices", columns, [[one[name] for name in columns] for one in found])


def register(root: typer.Typer) -> None:
    root.command("notices")(notices)
