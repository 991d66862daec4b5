"""What a command says: lines for people, or one JSON document with `--json`."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import typer

FAILED = 1


def emit(payload: Mapping[str, Any] | Sequence[Any], *, as_json: bool, human: Callable[[], None]) -> None:
    """Print the payload as JSON on standard output, or let `human` print."""
    if as_json:
        sys.stdout.write(json.dumps(payload, ensure_ascii=False, indent=2, default=str) + "\n")
    else:
        human()


def say(line: str) -> None:
    """Progress for people: on standard error, so that standard output stays what was asked for."""
    typer.echo(line, err=True)


def fail(error: Exception | str, *, as_json: bool, code: int = FAILED) -> NoReturn:
    """Say what went wrong and leave with a status other than zero."""
    if as_json:
        name = type(error).__name__ if isinstance(error, Exception) else "Failed"
        sys.stdout.write(json.dumps({"error": {"name": name, "message": str(error)}}, ensure_ascii=False) + "\n")
    else:
        typer.secho(str(error), err=True, fg=typer.colors.RED)
    raise typer.Exit(code)


def print_columns(rows: Sequence[Sequence[object]]) -> None:
    """Rows under each other in columns, never cut: a path or an address is there to be copied."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
