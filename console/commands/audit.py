"""`themeline audit`: the record, and whether it is whole."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from approval.audit import AuditReport, Head
from approval.audit_export import verify_lines, write_line, write_signature
from approval.service import record
from console.printing import JsonOption, print_json, say
from console.reading import opened, read_instant, read_text
from console.refusals import OptionInvalid
from console.verbs import verb_group
from models.database import Database
from themes.service.finding import require_theme

app = verb_group("The audit record.")

BROKEN = 1
_LINES_AT_ONCE = 1_000


ThemeOption = Annotated[str | None, typer.Option("--theme", help="Only rows of this theme.")]


@app.command("verify")
def verify(
    *,
    head: Annotated[Path | None, typer.Option(help="A head exported earlier: shows a cut tail too.")] = None,
    file: Annotated[Path | None, typer.Option(help="Check this export; no database is asked.")] = None,
    part: Annotated[bool, typer.Option("--part", help="The export holds only some of the rows.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Walk the chain of hashes. The first row that was altered, removed or inserted is named; exit status 1."""
    if part and not file:
        raise OptionInvalid("--part is for an export: name it with --file")
    known = _read_head(head) if head else None
    report, powers = (_verify_file(file, known, part=part), ()) if file else _verify_database(known)
    if as_json:
        print_json({**asdict(report), "sound": report.sound, "role_could_change_it": powers})
    else:
        _tell(report, powers, what="part of the audit" if part else "audit")
    if not report.sound:
        raise typer.Exit(BROKEN)


def _verify_database(head: Head | None) -> tuple[AuditReport, tuple[str, ...]]:
    with Database.from_settings().begin() as session:
        return record.verify_audit(session, head=head), record.powers_over_audit(session)


def _verify_file(file: Path, head: Head | None, *, part: bool) -> AuditReport:
    with opened(file, encoding="utf-8", newline="\n") as lines:
        return verify_lines(lines, head=head, part=part)


def _tell(report: AuditReport, powers: tuple[str, ...], *, what: str) -> None:
    if report.sound:
        typer.echo(f"the {what} is whole: {report.rows} rows, head {report.head.hash if report.head else 'none'}")
    elif report.broken_seq is None:
        typer.echo(f"the {what} is broken: {report.problem}", err=True)
    else:
        typer.echo(f"the {what} is broken at row {report.broken_seq}: {report.problem}", err=True)
    if powers:
        say(
            f"warning: the role of THEMELINE_DATABASE_URL could change the audit ({'; '.join(powers)}): "
            "give the application a role of its own, see docs/operations.md"
        )


@app.command("export")
def export(
    *,
    theme: ThemeOption = None,
    since: Annotated[str | None, typer.Option(help="Only rows since this time, as 2027-03-06T09:00+00:00.")] = None,
    signatures: Annotated[bool, typer.Option("--signatures", help="Who signed what: name, time, meaning.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write every row, one JSON document a line, each with its hash; or the signatures among them."""
    began = read_instant("--since", since) if since else None
    with Database.from_settings().begin() as session:
        if theme:
            require_theme(session, theme)
        if signatures:
            signed = record.export_signatures(session, theme_key=theme, since=began)
            lines = (write_signature(line) if as_json else str(line) for line in signed)
        else:
            rows = record.export_audit(session, theme_key=theme, since=began)
            lines = (write_line(row) for row in rows)
        _write(_as_document(lines) if as_json else (f"{line}\n" for line in lines))


def _as_document(lines: Iterable[str]) -> Iterator[str]:
    """One JSON document, which is never whole in memory."""
    before = "["
    for line in lines:
        yield f"{before}\n{line}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _write(texts: Iterable[str]) -> None:
    """Many at a time: `echo` flushes what it writes."""
    waiting = iter(texts)
    while some := "".join(islice(waiting, _LINES_AT_ONCE)):
        typer.echo(some, nl=False)


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
