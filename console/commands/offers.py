"""`themeline offers`: what came of a theme's offers."""

import typer

from console.printing import JsonOption, print_json, print_table
from console.signing import KeyArgument
from console.verbs import verb_group
from models.database import Database
from offers.service.figures import Figures, OfferLine, figures_of
from themes import money
from themes.service.finding import require_theme

app = verb_group("What came of the offers of a theme.")


@app.callback()
def offers() -> None:
    """What came of the offers of a theme."""


@app.command("figures")
def show_figures(key: KeyArgument, *, as_json: JsonOption = False) -> None:
    """Claims, uses, orders and money of each launched offer, and the theme's goals beside what was reached.

    Orders that were cancelled are not counted; an order that used several offers counts with each of them.
    """
    with Database.from_settings().begin() as session:
        found = figures_of(session, require_theme(session, key))
    if as_json:
        print_json(found)
    elif not found.offers:
        typer.echo(f"{key} has not been launched: nothing of it is claimed or used")
    else:
        _show(found)


def _show(found: Figures) -> None:
    columns = ["offer", "kind", "claimed", "used", "of", "taken off", "budget", "orders", "paid", "refunded", "closed"]
    print_table(f"Offers of {found.theme}", columns, [_row(line, found.currency) for line in found.offers])
    typer.echo()
    rows = [(goal.name.replace("_", " "), goal.goal or "", goal.reached or "not counted") for goal in found.goals]
    print_table("Goals", ["", "goal", "reached"], rows)


def _row(line: OfferLine, currency: str) -> tuple[object, ...]:
    orders = line.orders
    amounts = [line.spent, line.budget, orders.gmv, orders.refunded]
    spent, budget, paid, refunded = ("" if one is None else money.in_words(one, currency) for one in amounts)
    counts = (line.claimed, line.used, line.total)
    return line.offer, line.kind, *counts, spent, budget, orders.orders, paid, refunded, line.closed


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="offers")
