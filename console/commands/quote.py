"""`themeline quote`: what carts cost under the offers that stand beside them in a file. Needs no database."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.reading import read_text
from console.refusals import FileUnreadable
from offers.errors import QuoteInvalid
from offers.quote_answer import answer
from offers.quote_document import Quote, read_quotes

STANDARD_INPUT = Path("-")
SOME_ARE_WRONG = 1


def quote(
    file: Annotated[Path, typer.Argument(help="The quote documents, as YAML; - reads standard input.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Answer each document with one line of JSON.")] = False,
) -> None:
    """Price carts: who takes what from which line, and why other offers do not apply. Amounts are minor units.

    A file may hold several documents, each begun by a line `---`. One that is wrong is told in its place and does not
    stop the others; the exit status is 1 then.
    """
    wrong = False
    show = _show_json if as_json else _show
    for number, found in enumerate(read_quotes(_read(file)), start=1):
        wrong = wrong or isinstance(found, QuoteInvalid)
        show(found, number)
    if wrong:
        raise typer.Exit(SOME_ARE_WRONG)


def _read(file: Path) -> str:
    if file != STANDARD_INPUT:
        return read_text(file)
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileUnreadable(path="standard input", reason=str(error)) from error


def _show_json(found: Quote | QuoteInvalid, number: int) -> None:
    told = {"error": _told(found), "document": number} if isinstance(found, QuoteInvalid) else answer(found)
    typer.echo(json.dumps(told, ensure_ascii=False))


def _told(invalid: QuoteInvalid) -> Mapping[str, Any]:
    problems = [asdict(problem) for problem in invalid.problems]
    return {"name": type(invalid).__name__, "message": str(invalid), "problems": problems}


def _show(found: Quote | QuoteInvalid, number: int) -> None:
    if isinstance(found, QuoteInvalid):
        typer.secho(f"error: document {number}: {found}", err=True, fg=typer.colors.RED)
        return
    told, console = answer(found), Console()
    names = [
        line.sku or line.category or line.brand or line.shop or f"line {at}" for at, line in enumerate(found.cart.lines)
    ]
    tables = (_lines(found, told, names, number), _steps(told, names), _left_out(told), _totals(told))
    for table in tables:
        if table.row_count:
            console.print(table)


def _lines(found: Quote, told: Mapping[str, Any], names: Sequence[str], number: int) -> Table:
    table = _table(f"Document {number}", ["line"], ["units", "price", "off", "to pay"])
    for at, line in enumerate(found.cart.lines):
        taken, left = told["line_discounts"][at], told["lines"][at]
        table.add_row(Text(names[at]), str(line.qty), str(line.price), str(taken), str(left))
    table.add_row("freight", "", str(found.cart.freight), str(told["freight_discount"]), str(told["freight"]))
    return table


def _steps(told: Mapping[str, Any], names: Sequence[str]) -> Table:
    best = "" if told["optimal"] else "; a better choice may exist"
    table = _table(f"In the order of application{best}", ["offer", "stage", "takes"], [])
    for step in told["steps"]:
        taken = [f"{amount} off {name}" for amount, name in zip(step["off"], names, strict=True) if amount]
        freight = [f"{step['freight_off']} off the freight"] if step["freight_off"] else []
        gift = [f"gives {step['gift']['qty']} × {step['gift']['sku']}"] if step["gift"] else []
        table.add_row(Text(step["offer"]), step["stage"], Text(", ".join([*taken, *freight, *gift])))
    return table


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for word in words:
        table.add_column(word, overflow="fold")
    for number in numbers:
        table.add_column(number, justify="right", overflow="fold")
    return table


def _left_out(told: Mapping[str, Any]) -> Table:
    table = _table("Not applied", ["offer", "why"], [])
    for offer_id, reason in told["left_out"].items():
        table.add_row(Text(offer_id), Text(reason["words"]["en"]))
    return table


def _totals(told: Mapping[str, Any]) -> Table:
    table = _table("", [""], [""])
    table.show_header = False
    for name, value in _sums(told):
        table.add_row(Text(name), str(value))
    return table


def _sums(told: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """What is nought by the nature of the cart is left out."""
    yield "list total", told["list_total"]
    yield "discount", told["discount"]
    yield "freight", told["freight"]
    yield "to pay", told["payable"]
    for gift in told["gifts"]:
        yield f"gift: {gift['qty']} × {gift['sku']}, worth", gift["qty"] * gift["price"]
    if told["withheld"]:
        yield "withheld, for nobody could take it", told["withheld"]
    for policy, amount in _refunds(told):
        yield f"refund, {policy}", amount


def _refunds(told: Mapping[str, Any]) -> Sequence[tuple[str, int]]:
    refund = told.get("refund", {})
    return [(policy, refund[policy]) for policy in ("prorated", "reprice") if policy in refund]


def register(root: typer.Typer) -> None:
    root.command("quote")(quote)
