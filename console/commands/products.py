"""`themeline products`: what offers are for."""

from io import StringIO
from pathlib import Path
from typing import Annotated

import typer

from console.printing import JsonOption, tell
from console.reading import read_text
from console.verbs import verb_group
from models.database import Database
from offers.service.products import guard_margin, import_products

app = verb_group("The products of a product line.")


@app.callback()
def products() -> None:
    """The products of a product line."""


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV: sku, name, category, price; also brand, shop, cost, floor.")],
    *,
    product_line: Annotated[str, typer.Option(help="Whose products they are.")],
    as_json: JsonOption = False,
) -> None:
    """Bring in products; those that are there are changed, and none is taken away. All of the file, or none of it."""
    lines = StringIO(read_text(file).removeprefix("\ufeff"), newline="")
    with Database.from_settings().begin() as session:
        found = import_products(session, lines, where=str(file), product_line=product_line)
    line = f"{found.in_file} products read: {found.inserted} new, {found.updated} changed"
    tell(found, line, as_json=as_json)


@app.command("guard")
def guard(
    product_line: Annotated[str, typer.Argument(help="Whose products they are.")],
    *,
    least_margin: Annotated[
        float | None, typer.Option(min=0, max=99.99, help="Percent of what is paid; leave it out to guard none.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Let no offer bring a product below a margin. Where its cost is not known, only its own floor keeps it up."""
    least = None if least_margin is None else round(least_margin * 100)
    with Database.from_settings().begin() as session:
        guard_margin(session, product_line=product_line, least=least)
    told = "no margin is guarded" if least is None else f"no offer brings a margin below {least_margin:g} %"
    tell({"product_line": product_line, "least_margin_bp": least}, f"{product_line}: {told}", as_json=as_json)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="products")
