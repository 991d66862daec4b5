"""`themeline audit`: the record, and whether it is whole."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from approval.audit import Head
from approval.service import record
from console.printing import JsonOption, print_json
from console.reading import read_text
from console.refusals import OptionInvalid
from console.verbs import verb_group
from models.database import Database

app = verb_group("The audit record.")

BROKEN = 1


@app.command("verify")
def verify(
    *,
    head: Annotated[Path | None, typer.Option(help="A head exported earlier: shows a cut tail too.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Walk the chain of hashes. The first row that was altered, removed or inserted is named; exit status 1."""
    with Database.from_settings().begin() as session:
        report = record.verify_audit(session, head=_read_head(head) if head else None)
    if as_json:
        print_json({**asdict(report), "sound": report.sound})
    elif report.sound:
        typer.echo(f"the audit is whole: {report.rows} rows, head {report.head.hash if report.head else 'none'}")
    else:
        typer.echo(f"the audit is broken at row {report.broken_seq}: {report.problem}", err=True)
    if not report.sound:
        raise typer.Exit(BROKEN)


@app.command("head")
def show_head(*, as_json: JsonOption = False) -> None:  # noqa: ARG001 - JSON in any case: `verify --head` reads it
    """The last row's number and hash, to be kept where the database cannot reach."""
    with Database.from_settings().begin() as session:
        report = record.verify_audit(session)
    if not report.sound or report.head is None:
        raise OptionInvalid(report.problem or "the audit is empty: there is no head yet")
    print_json(asdict(report.head))


def _read_head(file: Path) -> Head:
    try:
        return Head(**json.loads(read_text(file)))
    except (ValueError, TypeError) as error:
        raise OptionInvalid(f"{file} holds no head as `themeline audit head` prints it") from error


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="audit")
