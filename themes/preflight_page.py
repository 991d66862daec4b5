"""A preflight as people read it: a row a channel, and what they should know; as Markdown for Prefect."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from themes.money import in_words
from themes.preflight import ChannelOutlook, Outlook

UNKNOWN = "unknown"


def channel_rows(outlook: Outlook, zone: ZoneInfo) -> Sequence[Mapping[str, str]]:
    return [_row(one, outlook.currency, zone) for one in outlook.channels]


def finding_lines(outlook: Outlook) -> Sequence[str]:
    return [f"{one.channel}: {one.text}" if one.channel else one.text for one in outlook.findings]


def summary(outlook: Outlook) -> str:
    """One line."""
    reach = ", ".join(f"{one.recipients:,} by {one.channel}" for one in outlook.channels)
    found = len(outlook.findings)
    return f"reaches {reach}; costs {cost(outlook.cost_minor, outlook.currency)}; {found} findings"


def page(outlook: Outlook, zone: ZoneInfo) -> str:
    rows = channel_rows(outlook, zone)
    titles = list(rows[0]) if rows else ["channel"]
    table = [titles, ["---"] * len(titles), *([_cell(row[title]) for title in titles] for row in rows)]
    found = [f"- {_cell(line)}" for line in finding_lines(outlook)] or ["Nothing stands in the way."]
    about = (
        f"Counted {_moment(outlook.counted_at, zone)}; from {_moment(outlook.starts_at, zone)} to "
        f"{_moment(outlook.expires.at, zone)}, when {outlook.expires.of} ends. "
        f"{outlook.audience:,} customers: {_counts(outlook.by_segment)}. "
        f"Cost: {cost(outlook.cost_minor, outlook.currency)}."
    )
    rows_told = "\n".join("| " + " | ".join(row) + " |" for row in table)
    return "\n\n".join([f"# Preflight of {outlook.theme}", about, rows_told, "\n".join(found)]) + "\n"


def cost(minor: int | None, currency: str) -> str:
    return UNKNOWN if minor is None else in_words(minor, currency)


def _row(one: ChannelOutlook, currency: str, zone: ZoneInfo) -> Mapping[str, str]:
    return {
        "channel": one.channel.value,
        "accounts": ", ".join(one.accounts),
        "recipients": f"{one.recipients:,}",
        "by segment": _counts(one.by_segment),
        "suppressed": f"{one.suppressed:,}",
        "capped": f"{one.capped:,}",
        "left out": _counts(one.left_out),
        "held": f"{one.held:,}",
        "cost": cost(one.cost_minor, currency),
        "takes": _lasting(one.duration),
        "done at": "never" if one.done_at is None else _moment(one.done_at, zone),
        "too late": f"{one.would_expire:,}",
    }


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items())) or "none"


def _lasting(duration: timedelta | None) -> str:
    """Only what the accounts' windows say: without any it is as fast as the provider answers."""
    return "no limit is known" if duration is None else str(timedelta(seconds=round(duration.total_seconds())))


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
