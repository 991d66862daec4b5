"""`themeline theme preflight`: what a theme would cost, how long it would take, what stands in its way."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import typer

from console.printing import JsonOption, print_columns, print_json
from console.signing import KeyArgument
from models.database import Database
from models.queries import themes
from settings import get_settings
from themes.preflight import Outlook
from themes.preflight_page import channel_rows, cost, finding_lines
from themes.revision import load
from themes.service.finding import require_theme
from themes.service.preflight import look_ahead


def preflight(key: KeyArgument, *, as_json: JsonOption = False) -> None:
    """Whom a theme would reach, what that costs, how long it takes, and what stands in the way. Sends nothing."""
    with Database.from_settings().begin() as session:
        theme = require_theme(session, key)
        # What is approved is what will be launched; a draft that nobody has asked for is looked at as it stands.
        content = (
            theme.draft if theme.revision_id is None else themes.revision_by_id(session, theme.revision_id).content
        )
        found = look_ahead(
            session, theme=theme, value=load(content), public_url=get_settings().public_url, now=datetime.now(UTC)
        )
    if as_json:
        print_json(_plain(found))
    else:
        _tell(found, ZoneInfo(theme.timezone))


def _tell(outlook: Outlook, zone: ZoneInfo) -> None:
    segments = ", ".join(f"{count:,} {name}" for name, count in sorted(outlook.by_segment.items()))
    typer.echo(f"{outlook.theme}: {outlook.audience:,} customers ({segments}), {_cost(outlook)}")
    typer.echo(f"from {outlook.starts_at:%Y-%m-%d %H:%M} to {outlook.expires.at:%Y-%m-%d %H:%M} UTC,", nl=False)
    typer.echo(f" when {outlook.expires.of} ends")
    rows = channel_rows(outlook, zone)
    if rows:
        # A channel is a column: there are few of them, and a terminal is narrow.
        print_columns([[title, *(row[title] for row in rows)] for title in rows[0]])
    for line in finding_lines(outlook) or ["nothing stands in the way"]:
        typer.echo(f"- {line}")


def _cost(outlook: Outlook) -> str:
    return f"cost {cost(outlook.cost_minor, outlook.currency)}"


def _plain(outlook: Outlook) -> dict[str, Any]:
    """Durations as seconds, instants as text."""
    plain = asdict(outlook)
    for channel in plain["channels"]:
        duration = channel.pop("duration")
        channel["seconds"] = None if duration is None else duration.total_seconds()
    return {
        **plain,
        "expires": {"at": outlook.expires.at, "of": outlook.expires.of},
        "cost_minor": outlook.cost_minor,
    }
