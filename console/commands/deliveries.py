"""`themeline deliveries`: what was sent to whom, and what to do with what was not."""

import csv
import json
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from channels.service import delivery, distribution
from channels.service.distribution import ChannelProgress
from channels.states import DeliveryState
from console.commands import delivery_acts
from console.commands.delivery_acts import ChannelOption, ClassOption
from console.printing import JsonOption, print_json, print_table
from console.verbs import verb_group
from console.writing import written_whole
from models.database import Database
from models.queries.delivery_rows import RowFilter
from themes.service.finding import require_theme

app = verb_group("Deliveries, their attempts, and retries.")

ThemeOption = Annotated[str | None, typer.Option(help="Only this theme.")]
StateOption = Annotated[DeliveryState | None, typer.Option(help="Only this state.")]


@app.command("list")
def list_deliveries(
    *,
    theme: ThemeOption = None,
    channel: ChannelOption = None,
    state: StateOption = None,
    error_class: ClassOption = None,
    limit: Annotated[int, typer.Option(min=1)] = 100,
    offset: Annotated[int, typer.Option(min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Deliveries that match, a page at a time."""
    wanted = RowFilter(theme_key=theme, channel=channel, state=state, error_class=error_class)
    with Database.from_settings().begin() as session:
        if theme is not None:
            require_theme(session, theme)
        rows = delivery.list_deliveries(session, wanted=wanted, limit=limit, offset=offset)
    if as_json:
        print_json(rows)
        return
    shown = ["id", "theme", "channel", "address", "state", "tries", "error_class", "error_code", "changed_at"]
    print_table("Deliveries", shown, [[row[name] for name in shown] for row in rows])


@app.command("show")
def show(delivery_id: Annotated[UUID, typer.Argument(metavar="ID")], *, as_json: JsonOption = False) -> None:
    """One delivery with every attempt and receipt, in the provider's own words."""
    with Database.from_settings().begin() as session:
        row, attempts = delivery.delivery_with_attempts(session, delivery_id)
        found = {
            "id": row.id,
            "channel": row.channel,
            "address": row.address,
            "state": row.state,
            "tries": row.tries,
            "due_at": row.due_at,
            "error_class": row.error_class,
            "error_code": row.error_code,
            "provider_message_id": row.provider_message_id,
            "sent_at": row.sent_at,
        }
        tried = [
            {
                "number": one.number,
                "began_at": one.began_at,
                "latency_ms": one.latency_ms,
                "error_class": one.error_class,
                "code": one.code,
                "detail": one.detail,
                "request_id": one.request_id,
                "provider_message_id": one.provider_message_id,
            }
            for one in attempts
        ]
        said = [
            {
                "occurred_at": one.occurred_at,
                "kind": one.kind,
                "error_class": one.error_class,
                "code": one.code,
                "detail": one.detail,
                "provider_message_id": one.provider_message_id,
            }
            for one in delivery.receipts_of(session, row.id)
        ]
        asked = delivery.inquiry_of(session, row.seq)
        inquired = None if asked is None else {"asked_at": asked.asked_at, "times": asked.asked, "answer": asked.answer}
    if as_json:
        print_json({**found, "attempts": tried, "receipts": said, "inquiry": inquired})
        return
    print_table("Delivery", ["field", "value"], list(found.items()))
    print_table("Attempts", list(tried[0]) if tried else ["number"], [list(one.values()) for one in tried])
    if said:
        print_table("Receipts", list(said[0]), [list(one.values()) for one in said])
    if inquired is not None:
        print_table("The provider was asked", list(inquired), [list(inquired.values())])


@app.command("export")
def export(
    *,
    theme: ThemeOption = None,
    channel: ChannelOption = None,
    state: StateOption = None,
    error_class: ClassOption = None,
    file: Annotated[Path | None, typer.Option("--to", help="The file; standard output by default.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The deliveries that match, all of them, as CSV or as one JSON list."""
    wanted = RowFilter(theme_key=theme, channel=channel, state=state, error_class=error_class)
    with Database.from_settings().begin() as session:
        if theme is not None:
            require_theme(session, theme)
        rows = delivery.export_deliveries(session, wanted=wanted)
        with written_whole(file) if file else nullcontext(sys.stdout) as target:
            if as_json:
                _write_json(target, rows)
            else:
                csv.writer(target).writerows(rows)


def _write_json(target: TextIO, rows: Iterator[list[str]]) -> None:
    """Row by row: an export may be larger than memory."""
    header, separator = next(rows), "["
    for row in rows:
        target.write(f"{separator}\n{json.dumps(dict(zip(header, row, strict=True)), ensure_ascii=False)}")
        separator = ","
    target.write("[]\n" if separator == "[" else "\n]\n")


@app.command("progress")
def progress(
    theme: Annotated[str, typer.Argument(help="The theme's key.")],
    *,
    follow: Annotated[bool, typer.Option("--follow", help="Show bars until every channel is settled.")] = False,
    as_json: JsonOption = False,
) -> None:
    """How far each channel is, counted from the rows."""
    database = Database.from_settings()
    if follow and not as_json:
        _follow(database, theme)
    channels = _channels(database, theme)
    if as_json:
        print_json(channels)
        return
    columns = ["channel", "all", *(state.value for state in DeliveryState), "failed by class"]
    print_table(f"Deliveries of {theme}", columns, [_row(one) for one in channels])


def _channels(database: Database, theme: str) -> list[ChannelProgress]:
    with database.begin() as session:
        theme_id = require_theme(session, theme).id
        return list(distribution.progress(session, theme_id=theme_id, now=datetime.now(UTC)))


def _row(one: ChannelProgress) -> list[object]:
    failed = ", ".join(f"{count} {name}" for name, count in sorted(one.failed.items()))
    return [one.channel, one.planned, *(one.states.get(state, 0) for state in DeliveryState), failed]


def _follow(database: Database, theme: str) -> None:
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bars:
        shown = {}
        while True:
            channels = _channels(database, theme)
            for one in channels:
                if one.channel not in shown:
                    shown[one.channel] = bars.add_task(one.channel.value, total=one.planned, failed="")
                note = ", ".join(f"{count} {name}" for name, count in sorted(one.failed.items()))
                bars.update(shown[one.channel], total=one.planned, completed=settled(one), failed=note)
            if channels and all(settled(one) == one.planned for one in channels):
                return
            time.sleep(0.5)


def settled(one: ChannelProgress) -> int:
    """Rows that nothing more happens to by itself: final, or in the hands of a person."""
    return one.settled + one.states.get(DeliveryState.UNKNOWN, 0)


def register(root: typer.Typer) -> None:
    delivery_acts.register(app)
    root.add_typer(app, name="deliveries")
