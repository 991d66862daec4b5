"""`themeline product-lines`: what is tracked of the letters of each."""

from collections.abc import Sequence
from typing import Annotated

import typer

from channels.service.product_line import LineTracking, set_tracking, trackings
from console.printing import JsonOption, print_json, print_table
from console.verbs import verb_group
from models.database import Database

app = verb_group("Product lines, and what is tracked of their letters.")


@app.command("list")
def list_lines(*, as_json: JsonOption = False) -> None:
    with Database.from_settings().begin() as session:
        found = trackings(session)
    _show(found, as_json=as_json)


@app.command("track")
def track(
    key: Annotated[str, typer.Argument(help="The product line's key.")],
    *,
    opens: Annotated[bool | None, typer.Option(help="Whether letters tell that they were opened.")] = None,
    clicks: Annotated[bool | None, typer.Option(help="Whether their links tell that they were followed.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Switch tracking on or off, for letters that leave from now on; older ones keep their links, and count no more."""
    with Database.from_settings().begin() as session:
        found = set_tracking(session, key=key, opens=opens, clicks=clicks)
    if as_json:
        print_json(found)
    else:
        _show([found], as_json=False)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="product-lines")


def _show(found: Sequence[LineTracking], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [(line.key, line.name, _word(on=line.opens), _word(on=line.clicks)) for line in found]
    print_table("Product lines", ["product line", "name", "opens", "clicks"], rows)


def _word(*, on: bool) -> str:
    return "tracked" if on else "off"
