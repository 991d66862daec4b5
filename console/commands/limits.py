"""`themeline limits`: when a product line keeps quiet, and how much one person may get."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from audience.limits_file import Limits, read_limits
from channels.service.limits import apply_limits, standing_limits
from console.operator import operator
from console.printing import JsonOption, print_json, print_table
from console.reading import read_text
from console.verbs import verb_group
from models.database import Database

app = verb_group("Frequency caps and quiet hours of the product lines.")


@app.command("apply")
def apply(file: Annotated[Path, typer.Argument(help="The limits file.")], *, as_json: JsonOption = False) -> None:
    """Let the limits of a file hold, for whatever is sent from now on. All product lines of it, or none."""
    entries = read_limits(read_text(file), where=str(file))
    with Database.from_settings().begin() as session:
        now = datetime.now(UTC)
        found = [apply_limits(session, limits=entry, by=operator(), now=now) for entry in entries]
    if as_json:
        print_json(found)
    else:
        rows = [(one.product_line, "changed" if one.changed else "as before", one.counted_anew) for one in found]
        print_table("Limits applied", ["product line", "limits", "earlier messages counted"], rows)


@app.command("show")
def show(
    *, product_line: Annotated[str | None, typer.Option(help="Only of this one.")] = None, as_json: JsonOption = False
) -> None:
    """The limits that hold, by whom they were laid down and since when."""
    with Database.from_settings().begin() as session:
        found = [one for one in standing_limits(session) if product_line in {None, one.product_line}]
    if as_json:
        print_json(
            [
                {"applied_by": one.applied_by, "applied_at": one.applied_at, **one.limits.model_dump(mode="json")}
                for one in found
            ]
        )
        return
    for one in found:
        typer.echo(f"{one.product_line}, by {one.applied_by} at {one.applied_at:%Y-%m-%d %H:%M %Z}")
        print_table("", ["limit", "channels", "where", "what"], list(_rows(one.limits)))
    if not found:
        typer.echo("no limits: caps and quiet hours hold nothing back")


def _rows(limits: Limits) -> Iterator[tuple[str, str, str, str]]:
    for rule in limits.quiet_hours:
        where = ", ".join(rule.countries) if rule.countries else "all other countries"
        days = f" on {', '.join(rule.days)}" if rule.days else ""
        yield "quiet hours", ", ".join(rule.channels), where, f"{rule.hours}{days}"
    for cap in limits.caps:
        yield f"cap: {cap.cap}", ", ".join(cap.channels), "everywhere", f"at most {cap.most} per {cap.per}"


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="limits")
