"""`themeline theme`: from a theme file to its end."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from approval.service.waiting import waiting
from audience.errors import AudienceError
from console.commands import acts
from console.commands.preflight import preflight as show_preflight
from console.commands.test_send import send_test
from console.commands.waiting import waiting_for
from console.flow_runs import report_run, run_flow
from console.printing import JsonOption, print_json, print_table
from console.reading import read_theme_files
from console.refusals import OptionInvalid
from console.signing import CodeOption, KeyArgument, LoginOption, checked_code
from console.verbs import verb_group
from models.database import Database, DatabaseNotConfigured, DatabaseUnreachable
from models.queries import alerts, approvals, steps, themes
from models.theme import Revision, Theme
from offers.presets import standard_catalogue
from offers.service.exclusions import suggest_for
from offers.service.presets import catalogue_of
from settings import get_settings
from themes.diff import diff
from themes.document import Vocabulary, parse_theme
from themes.preview import preview
from themes.recipient import sample
from themes.revision import freeze, load
from themes.service.finding import require_theme
from themes.service.preflight import preflight, sample_recipient
from themes.service.saving import vocabulary
from themes.theme import Theme as ThemeValue

app = verb_group("Draft themes, submit them, look at them, move them.")
app.command("preflight")(show_preflight)
app.command("test-send")(send_test)

FileArgument = Annotated[Path, typer.Argument(help="The theme file; templates that it names lie beside it.")]


def _maybe_code(text: str) -> str:
    return checked_code(text) if text else text


@app.command("validate")
def validate(file: FileArgument, *, as_json: JsonOption = False) -> None:
    """Check a theme file; with a database that answers also what it names."""
    text, templates = read_theme_files(file)
    theme = _parsed(text, templates)
    frozen, meets = freeze(theme), _meets(theme)
    if as_json:
        offers = dict(frozen.offer_hashes)
        print_json({"theme": theme.key, "hash": frozen.hash, "offers": offers, "meets": meets})
    else:
        typer.echo(f"theme {theme.key} is sound; its content is {frozen.hash}")
        if meets:
            typer.echo(meets)


@app.command("draft")
def draft(
    file: FileArgument,
    *,
    login: LoginOption,
    code: Annotated[
        str,
        typer.Option(
            help="Only to edit a theme in review, which voids approvals: your one-time code.", callback=_maybe_code
        ),
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Draft a theme, save a new version of a draft, or edit a theme that is in review."""
    text, templates = read_theme_files(file)
    theme = _parsed(text, templates)
    parameters = {"theme_file": text, "login": login, "templates": dict(templates), "code": code}
    report_run(theme.key, run_flow("draft-theme/from-form", parameters), as_json=as_json)


@app.command("submit")
def submit(
    key: KeyArgument,
    *,
    login: LoginOption,
    code: CodeOption,
    comment: Annotated[str, typer.Option(help="A word to the approvers.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Freeze the draft as a revision and ask its first approvers."""
    parameters = {"theme": key, "login": login, "code": code, "comment": comment}
    report_run(key, run_flow("submit-theme/from-form", parameters), as_json=as_json)


@app.command("list")
def list_themes(*, as_json: JsonOption = False) -> None:
    """Every theme and where it stands."""
    with Database.from_settings().begin() as session:
        rows = [_brief(theme) for theme in themes.all_themes(session)]
    if as_json:
        print_json(rows)
    else:
        print_table("Themes", ["key", "title", "state", "starts", "ends"], [list(row.values()) for row in rows])


@app.command("show")
def show(key: KeyArgument, *, as_json: JsonOption = False) -> None:
    """One theme: state, revisions, rounds, decisions, alerts, whom it waits for, whom it reaches."""
    now = datetime.now(UTC)
    with Database.from_settings().begin() as session:
        theme = require_theme(session, key)
        value = _current(theme, themes.revisions(session, theme.id))
        checked = preflight(session, theme=theme, value=value, now=now)
        found = {
            **_brief(theme),
            "reaches": checked.as_reach(),
            "lacking": checked.lacking,
            "revisions": [
                {"number": row.number, "hash": row.hash, "at": row.created_at}
                for row in themes.revisions(session, theme.id)
            ],
            "rounds": [{"number": row.number, "state": row.state} for row in approvals.rounds(session, theme.id)],
            "decisions": [
                {"round": number, "level": level, "login": login, "decision": row.kind, "comment": row.comment,
                 "hash": row.object_hash, "at": row.decided_at}
                for row, login, level, number in approvals.decisions_on_theme(session, theme.id)
            ],
            "waiting_for": waiting(session, theme_id=theme.id),
            "alerts": [
                {"at": row.raised_at, "subject": row.subject, "text": row.text, "times_seen": row.times_seen}
                for row in alerts.alerts(session)
                if row.theme_key == key
            ],
        }  # fmt: skip
    if as_json:
        print_json(found)
        return
    for name, part in found.items():
        typer.echo(f"{name}: {part}" if not isinstance(part, list) else f"{name}:")
        for one in part if isinstance(part, list) else ():
            typer.echo(f"  {one}")


@app.command("diff")
def show_diff(
    key: KeyArgument,
    *,
    old: Annotated[int | None, typer.Option("--from", help="Revision number; the last one by default.")] = None,
    new: Annotated[int | None, typer.Option("--to", help="Revision number; the draft by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What changed between two revisions, or from the last revision to the draft."""
    with Database.from_settings().begin() as session:
        theme = require_theme(session, key)
        rows = themes.revisions(session, theme.id)
        before = _content(theme, rows, old, standard=dict(rows[-1].content) if rows else None)
        after = _content(theme, rows, new, standard=theme.draft)
    changes = diff(before, after)
    if as_json:
        print_json(changes)
    else:
        print_table("Changes", ["field", "before", "after"], [(one.label, one.before, one.after) for one in changes])


@app.command("timeline")
def timeline(key: KeyArgument, *, as_json: JsonOption = False) -> None:
    """Every step of a theme: start, duration, outcome."""
    with Database.from_settings().begin() as session:
        theme = require_theme(session, key)
        rows = steps.timeline(session, theme.id)
    now = datetime.now(UTC)
    found = [
        {
            "step": step.name,
            "start": step.started_at,
            "seconds": round(((step.finished_at or now) - step.started_at).total_seconds(), 3),
            "outcome": step.outcome or "under way",
        }
        for step in rows
    ]
    if as_json:
        print_json(found)
    else:
        print_table(
            f"Timeline of {key}", ["step", "start", "seconds", "outcome"], [list(row.values()) for row in found]
        )


@app.command("preview")
def show_preview(
    theme: Annotated[str, typer.Argument(help="The key of a theme, or the path of a theme file.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """What one recipient would get on every channel."""
    public_url = get_settings().public_url
    if Path(theme).is_file():
        text, templates = read_theme_files(Path(theme))
        value = _parsed(text, templates)
        recipient: Mapping[str, object] = sample(theme_key=value.key, public_url=public_url)
    else:
        with Database.from_settings().begin() as session:
            row = require_theme(session, theme)
            value = _current(row, themes.revisions(session, row.id))
            recipient = sample_recipient(session, row, value, public_url=public_url, now=datetime.now(UTC))
    previews = preview(value, recipient)
    if as_json:
        print_json(previews)
    else:
        typer.echo("\n\n".join(str(one) for one in previews))


def _meets(theme: ThemeValue) -> str:
    """A line on offers that can take effect together; "" also where no database answers."""
    with (
        suppress(DatabaseNotConfigured, DatabaseUnreachable, AudienceError),
        Database.from_settings().begin() as session,
    ):
        return suggest_for(session, theme).in_words(theme.key)
    return ""


def _parsed(text: str, templates: Mapping[str, str]) -> ThemeValue:
    """Checked against what the database knows; without one only the file itself is."""
    known, catalogue = Vocabulary(), standard_catalogue()
    with (
        suppress(DatabaseNotConfigured, DatabaseUnreachable, AudienceError),
        Database.from_settings().begin() as session,
    ):
        known, catalogue = vocabulary(session, file=text), catalogue_of(session)
    return parse_theme(text, templates=templates, known=known, catalogue=catalogue)


def _brief(theme: Theme) -> dict[str, object]:
    return {
        "key": theme.key,
        "title": theme.title,
        "state": theme.state.value,
        "starts_at": theme.starts_at,
        "ends_at": theme.ends_at,
    }


def _current(theme: Theme, rows: Sequence[Revision]) -> ThemeValue:
    """The revision that the theme stands on, or its draft."""
    on = [row for row in rows if row.id == theme.revision_id]
    return load(on[0].content if on else theme.draft)


def _content(
    theme: Theme, rows: Sequence[Revision], number: int | None, *, standard: Mapping[str, object] | None
) -> Mapping[str, object]:
    if number is None:
        if standard is None:
            raise OptionInvalid(f"theme {theme.key!r} has no revision yet: there is nothing to compare")
        return standard
    found = {row.number: row.content for row in rows}
    if number not in found:
        raise OptionInvalid(f"theme {theme.key!r} has no revision {number} (it has: {sorted(found) or 'none'})")
    return found[number]


def register(root: typer.Typer) -> None:
    app.command("waiting-for")(waiting_for)
    acts.add_to(app)
    root.add_typer(app, name="theme")
