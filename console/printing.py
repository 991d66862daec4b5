"""How verbs answer: columns for people, JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from enum import Enum
from typing import Annotated, Any
from unicodedata import east_asian_width

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]


def print_json(value: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def tell(value: Any, line: str, *, as_json: bool) -> None:  # noqa: ANN401 - whatever JSON can say
    """What a verb did: a line for people, or the same as JSON."""
    if as_json:
        print_json(value)
    else:
        typer.echo(line)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    typer.echo(title)
    print_columns([columns, *rows])


def print_columns(rows: Sequence[Sequence[object]]) -> None:
    """Rows under each other in columns, never cut: a path or an address is there to be copied."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def say(line: str) -> None:
    """Progress for people: on standard error, so that standard output stays what was asked for."""
    typer.echo(line, err=True)


def _width(text: str) -> int:
    """Columns of a terminal: a Chinese character takes two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    return str(value)
