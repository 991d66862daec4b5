"""What ops do about deliveries that did not arrive, or may have: look at failures, retry, settle, cancel, resume."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from channels.service import cancellation, distribution, retry
from channels.service.failures import REMEDIES, export_failures, failures_of
from channels.states import Channel, ErrorClass
from console.flow_runs import run_flow
from console.operator import operator
from console.printing import JsonOption, print_json, print_table, tell
from console.reading import read_instant
from console.refusals import OptionInvalid
from console.writing import written_whole
from models.database import Database
from models.queries import distributions
from models.queries.failures import FailureGroup
from themes.service.finding import require_theme

ThemeArgument = Annotated[str, typer.Argument(help="The theme's key.")]
ChannelOption = Annotated[Channel | None, typer.Option(help="Only this channel.")]
ClassOption = Annotated[ErrorClass | None, typer.Option("--error-class", help="Only failures of this class.")]
CodeOption = Annotated[str | None, typer.Option("--error-code", help="Only failures with this code of the provider.")]
SinceOption = Annotated[str | None, typer.Option(help="ISO 8601 with a zone: only what failed since.")]


def failures(
    theme: ThemeArgument,
    *,
    channel: ChannelOption = None,
    error_class: ClassOption = None,
    error_code: CodeOption = None,
    since: SinceOption = None,
    file: Annotated[Path | None, typer.Option("--to", help="Write them one by one, as CSV, to this file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """What failed or is in doubt, grouped, in the providers' own words; with `--to` one by one."""
    asked: dict[str, Any] = {"channel": channel, "error_class": error_class, "error_code": error_code}
    asked["since"] = None if since is None else read_instant("--since", since)
    with Database.from_settings().begin() as session:
        if file is not None:
            count = _write_failures(file, export_failures(session, theme_key=theme, **asked))
            tell({"rows": count, "file": str(file)}, f"{count} failures of {theme} are in {file}", as_json=as_json)
            return
        found = failures_of(session, theme_key=theme, **asked)
    if as_json:
        print_json(found)
        return
    columns = ["channel", "count", "state", "class", "code", "the provider's words", "what to do"]
    rows = [
        [one.channel, one.count, one.state, one.error_class, one.error_code, " / ".join(one.words), _remedy(one)]
        for one in found
    ]
    print_table(f"Failures of {theme}", columns, rows)


def _remedy(group: FailureGroup) -> str:
    return REMEDIES[group.error_class]


def _write_failures(file: Path, rows: Iterator[list[str]]) -> int:
    """Returns how many rows there are beside the header."""
    written = -1
    with written_whole(file) as target:
        writer = csv.writer(target)
        for written, row in enumerate(rows):  # noqa: B007 - the count is the answer
            writer.writerow(row)
    return written


def retry_deliveries(
    theme: ThemeArgument,
    *,
    channel: ChannelOption = None,
    error_class: ClassOption = None,
    error_code: CodeOption = None,
    since: SinceOption = None,
    delivery_id: Annotated[list[UUID] | None, typer.Option("--id", help="Only this delivery; repeat for more.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be retried.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Try again what failed, and only that. Asking twice is harmless."""
    parameters = {
        "theme": theme,
        "channel": channel,
        "error_class": error_class,
        "error_code": error_code,
        "since": None if since is None else read_instant("--since", since).isoformat(),
        "deliveries": [str(one) for one in delivery_id] if delivery_id else None,
        "dry_run": dry_run,
        "asked_by": operator(),
    }
    run = run_flow("retry-deliveries/by-ops", parameters)
    if as_json:
        print_json(run)
    else:
        typer.echo(f"{theme}: {run['message']} ({run['url']})")


def settle(
    delivery_ids: Annotated[list[UUID] | None, typer.Argument(metavar="[ID...]")] = None,
    *,
    settlement: Annotated[retry.Settlement, typer.Option("--as", help="They arrived, or they go out again.")],
    theme: Annotated[str | None, typer.Option(help="Instead of ids: all of this theme that are in doubt.")] = None,
    channel: ChannelOption = None,
    since: Annotated[str | None, typer.Option(help="ISO 8601 with a zone: only what is in doubt since.")] = None,
    until: Annotated[str | None, typer.Option(help="ISO 8601 with a zone: only what was in doubt by then.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many would be settled.")] = False,
    as_json: JsonOption = False,
) -> None:
    """A person's word on deliveries in doubt (`unknown`): those named, or all of a theme that match."""
    if bool(delivery_ids) == bool(theme) or (delivery_ids and (channel or since or until or dry_run)):
        raise OptionInvalid("name the deliveries by their ids, or say which with --theme, --channel, --since, --until")
    with Database.from_settings().begin() as session:
        now = datetime.now(UTC)
        if theme is None:
            ids = delivery_ids or []
            count = retry.settle_unknown(session, ids=ids, settlement=settlement, by=operator(), now=now)
        else:
            times = {
                name: None if text is None else read_instant(f"--{name}", text)
                for name, text in (("since", since), ("until", until))
            }
            matching: dict[str, Any] = {"theme_key": theme, "channel": channel, **times}
            if dry_run:
                count = retry.count_in_doubt(session, **matching)
            else:
                count = retry.settle_matching(session, **matching, settlement=settlement, by=operator(), now=now)
    line = f"{count} {'would be settled' if dry_run else 'settled'}: {settlement}"
    tell({"settled": count, "as": settlement, "dry_run": dry_run}, line, as_json=as_json)


def cancel(
    theme: ThemeArgument,
    *,
    channel: Annotated[Channel, typer.Option(help="The channel of which nothing more is to leave.")],
    as_json: JsonOption = False,
) -> None:
    """Let nothing more of one channel leave, for good; the theme and its other channels go on."""
    database, now = Database.from_settings(), datetime.now(UTC)
    with database.begin() as session:
        done = cancellation.cancel_channel(session, theme_key=theme, channel=channel, by=operator(), now=now)
        theme_id = require_theme(session, theme).id
    cancelled, more = done.cancelled, done.cancelled
    while more:
        with database.begin() as session:
            more = cancellation.cancel_more(session, theme_id=theme_id, now=datetime.now(UTC))
        cancelled += more
    line = f"{channel} of {theme}: {cancelled} cancelled, {done.reached} had left already"
    told = {"theme": theme, "channel": channel, "cancelled": cancelled, "reached": done.reached}
    tell(told, line, as_json=as_json)


def resume(
    theme: Annotated[str, typer.Argument(help="The theme's key.")],
    *,
    channel: Annotated[Channel, typer.Option(help="The channel that was stopped.")],
    as_json: JsonOption = False,
) -> None:
    """Let a channel go on that was stopped because its content was refused; senders start within seconds."""
    with Database.from_settings().begin() as session:
        wanted = [
            row.id
            for row in distributions.of_theme(session, require_theme(session, theme).id)
            if row.channel is channel
        ]
        resumed = sum(distribution.resume_distribution(session, distribution_id=one) for one in wanted) > 0
    if as_json:
        print_json({"theme": theme, "channel": channel, "resumed": resumed})
    else:
        typer.echo(f"{theme} goes on by {channel}" if resumed else f"{channel} of {theme} was not stopped")


def register(app: typer.Typer) -> None:
    app.command("failures")(failures)
    app.command("retry")(retry_deliveries)
    app.command("settle")(settle)
    app.command("cancel")(cancel)
    app.command("resume")(resume)
