"""`themeline import`: customers, products and orders brought in, or customers multiplied for load."""

import csv
import dataclasses
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from audience import service
from audience.errors import NoRetailFile
from audience.import_report import ImportReport
from audience.retail import RetailImport, read_retail
from audience.retail_row import COLUMNS, RejectedRow
from console.printing import JsonOption
from console.reading import opened
from console.refusals import FileUnwritable
from console.verbs import verb_group
from models.database import Database

app = verb_group("Bring in customers, products and orders.")

ProductLineOption = Annotated[str, typer.Option("--product-line", help="Key of the product line; made if missing.")]


@app.command("retail")
def import_retail(
    file: Annotated[Path, typer.Argument(help="A CSV file in the format of the Online Retail data set.")],
    *,
    product_line: ProductLineOption = "giftware-eu",
    currency: Annotated[
        str, typer.Option(help="ISO 4217 code of the file's prices, of a currency with two decimals.")
    ] = "GBP",
    rejected: Annotated[
        Path | None, typer.Option(help="Where rejected rows are written; FILE.rejected.csv by default.")
    ] = None,
    as_of: Annotated[
        datetime | None, typer.Option(help="Count segments for this instant (UTC) in place of now.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Load a retail file: good rows are kept, bad ones written out. Loading it again changes nothing."""
    instant = as_of.replace(tzinfo=as_of.tzinfo or UTC) if as_of else datetime.now(UTC)
    rejects = rejected or file.with_suffix(".rejected.csv")
    retail = _read(file)
    with _Rejects(rejects, retail.rejected), Database.from_settings().begin() as session:
        report = service.import_retail(
            session, retail, product_line=product_line, currency=_currency(currency), as_of=instant
        )
    _show(report, rejects if retail.rejected else None, as_json=as_json)


@app.command("generate")
def generate(
    *,
    customers: Annotated[int, typer.Option(min=1, help="How many registered customers there are to be in the end.")],
    product_line: ProductLineOption = "giftware-eu",
    seed: Annotated[int, typer.Option(help="Another seed spreads the patterns in another order.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Multiply the imported customers: same shares of countries, channels, consents and orders, reserved addresses."""
    with Database.from_settings().begin() as session:
        made = service.multiply_customers(session, product_line=product_line, target=customers, seed=seed)
    if as_json:
        typer.echo(json.dumps({"product_line": product_line, "generated": made, "target": customers}))
    else:
        typer.echo(f"{made} customers generated for {product_line}")


class _Rejects:
    """Writes the rejected rows aside, and puts them in place once what they were rejected from is committed."""

    def __init__(self, path: Path, rows: tuple[RejectedRow, ...]) -> None:
        self._path, self._rows = path, rows
        self._aside = path.with_name(f".{path.name}.{os.getpid()}")

    def __enter__(self) -> None:
        if not self._rows:
            return
        try:
            self._write()
        except OSError as error:
            raise FileUnwritable(path=str(self._path), reason=error.strerror or str(error)) from error

    def _write(self) -> None:
        with self._aside.open("w", encoding="utf-8", newline="") as target:
            writer = csv.writer(target)
            writer.writerow(("line", "reason", *COLUMNS))
            writer.writerows((row.line, row.reason, *row.fields) for row in self._rows)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._rows and kind is None:
            self._aside.replace(self._path)
        else:
            self._aside.unlink(missing_ok=True)


def _read(file: Path) -> RetailImport:
    with opened(file) as source:
        try:
            return read_retail(source)
        except UnicodeDecodeError as error:
            reason = f"{file} is not UTF-8 text (byte {error.start}); save it as CSV in UTF-8"
            raise NoRetailFile(reason=reason) from error


def _currency(text: str) -> str:
    if len(text) != 3 or not (text.isascii() and text.isalpha() and text.isupper()):  # noqa: PLR2004 - ISO 4217
        raise typer.BadParameter(f"{text!r} is no ISO 4217 code such as GBP", param_hint="--currency")
    return text


def _show(report: ImportReport, rejects: Path | None, *, as_json: bool) -> None:
    if as_json:
        values = dataclasses.asdict(report) | {"rejected_file": str(rejects) if rejects else None}
        typer.echo(json.dumps(values, default=str, indent=2))
        return
    console = Console()
    console.print(f"Product line {report.product_line} ({report.currency}), {report.rows} rows read")
    console.print(_changes(report), _pairs("Customers by country", report.by_country))
    console.print(_pairs("Addresses by channel", report.by_channel))
    console.print(_counts("Share of the kept value by category", report.by_category))
    console.print(_counts(f"Segments as of {report.segments_as_of:%Y-%m-%d %H:%M %Z}", report.segments))
    console.print(_counts("Cancellations", report.cancellations))
    if rejects:
        console.print(_counts(f"{report.rejected} rows rejected, see {rejects}", report.rejected_by_reason))


def _changes(report: ImportReport) -> Table:
    table = Table("", "in the file", "inserted", "updated", title="Imported")
    for kind, changed in report.changed.items():
        table.add_row(kind.replace("_", " "), str(changed.in_file), str(changed.inserted), str(changed.updated))
    return table


def _pairs(title: str, counts: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table("", *next(iter(counts.values()), {}), title=f"{title} ({len(counts)})", title_justify="left")
    for name, row in counts.items():
        table.add_row(name, *map(str, row.values()))
    return table


def _counts(title: str, counts: Mapping[str, object]) -> Table:
    table = Table(title=title, show_header=False, title_justify="left")
    for name, count in counts.items():
        table.add_row(name, str(count))
    return table


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="import")
