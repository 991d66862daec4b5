"""`themeline products`: what offers are for."""

from io import StringIO
from pathlib import Path
from typing import Annotated

import typer

from console.printing import JsonOption, tell
from console.reading import read_text
from console.verbs import verb_group
from models.database import Database
from offers.service.products import import_products

app = verb_group("The products of a product line.")


@app.callback()
def products() -> None:
    """The products of a product line."""


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV: sku, name, category, price; and brand, shop, cost where known.")],
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


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="products")
