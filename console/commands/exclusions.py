"""`themeline exclusions`: which offers can take effect together, and which may not."""

from typing import Annotated

import typer

from console.printing import JsonOption, print_json, print_table
from console.signing import KeyArgument
from console.verbs import verb_group
from models.database import Database
from offers.service.exclusions import suggest
from themes.meeting import Meeting
from themes.service.finding import require_theme

app = verb_group("Pairs of offers that may not take effect together.")


@app.command("suggest")
def show_suggestions(
    key: KeyArgument,
    *,
    offer: Annotated[str | None, typer.Option(help="Only of this offer of the theme.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The offers that those of a theme meet: running or under review, at the same time, on a product of both.

    Pairs that may not take effect together stand in `exclusions` of the theme file, another theme's as THEME/OFFER.
    """
    with Database.from_settings().begin() as session:
        found = suggest(session, require_theme(session, key))
    meetings = [one for one in found.meetings if offer in {None, one.offer, one.other}]
    if as_json:
        print_json({"theme": key, "meetings": meetings, "uncovered": found.uncovered})
        return
    if meetings:
        columns = ["offer", "meets", "which is", "theme", "from", "to", "shared product", "excluded"]
        print_table(f"Offers that those of {key} meet", columns, map(_row, meetings))
    else:
        typer.echo(f"no offer meets one of {key}")
    for name in found.uncovered:
        typer.echo(f"{name} covers no product of the catalogue, so it meets nothing: look at its scope")


def _row(one: Meeting) -> tuple[object, ...]:
    times = (f"{at:%Y-%m-%d %H:%M %Z}" for at in (one.starts_at, one.ends_at))
    product = f"{one.sku} {one.product}"
    return one.offer, one.other, one.other_title, one.state.value, *times, product, "yes" if one.excluded else "no"


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="exclusions")
