"""`themeline accounts`: contracts with providers."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from channels.account_file import read_accounts, secrets_from
from channels.service import account
from channels.service.account_file import apply_accounts
from channels.service.account_report import AccountReport, AccountState, account_report, account_reports, in_words
from console.commands.callback_address import callback
from console.commands.people import configured_cipher
from console.printing import JsonOption, print_columns, print_json, print_table, tell
from console.reading import read_text
from console.verbs import verb_group
from models.database import Database

app = verb_group("Provider accounts.")

KeyArgument = Annotated[str, typer.Argument(help="The account's key.")]


@app.command("apply")
def apply(file: Annotated[Path, typer.Argument(help="The account file.")], *, as_json: JsonOption = False) -> None:
    """Add the accounts of a file, or change them. All of them are checked first, and stored together or not at all."""
    entries = read_accounts(read_text(file), where=str(file))
    with_secrets = [(entry, secrets_from(entry, os.environ)) for entry in entries]
    with Database.from_settings().begin() as session:
        apply_accounts(session, entries=with_secrets, cipher=configured_cipher())
    found = [{"account": entry.account, "channel": entry.channel, "provider": entry.provider} for entry in entries]
    if as_json:
        print_json(found)
    else:
        print_table("Accounts applied", ["account", "channel", "provider"], [list(row.values()) for row in found])


@app.command("list")
def list_accounts(*, as_json: JsonOption = False) -> None:
    """Which accounts there are, whether they may be called, and what came of their calls lately."""
    now = datetime.now(UTC)
    with Database.from_settings().begin() as session:
        found = account_reports(session, now=now)
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    columns = ["account", "channel", "provider", "pool", "state", "calls of the last hour", "why"]
    print_table("Accounts", columns, [_row(one) for one in found])


@app.command("show")
def show(key: KeyArgument, *, as_json: JsonOption = False) -> None:
    """One account: health, windows and what they have left, breaker, pool and price."""
    with Database.from_settings().begin() as session:
        found = account_report(session, key=key, now=datetime.now(UTC))
    if as_json:
        print_json(_as_json(found))
        return
    print_columns(list(_lines(found)))


@app.command("pause")
def pause(key: KeyArgument, *, because: Annotated[str, typer.Option(help="Why.")], as_json: JsonOption = False) -> None:
    """Let no call of the account leave until it is resumed."""
    with Database.from_settings().begin() as session:
        account.pause_account(session, key=key, because=because)
    tell({"account": key, "paused_because": because}, f"account {key} is paused", as_json=as_json)


@app.command("resume")
def resume(key: KeyArgument, *, as_json: JsonOption = False) -> None:
    """Lift a pause, and a back-off that is under way; due deliveries leave within seconds."""
    with Database.from_settings().begin() as session:
        account.resume_account(session, key=key)
    tell({"account": key, "paused_because": None}, f"account {key} is open", as_json=as_json)


app.command("callback")(callback)


def _row(one: AccountReport) -> list[object]:
    pool = f"{one.pool} ({one.weight})" if one.pool else None
    calls = f"{one.health.accepted_of_hour:,} taken, {one.health.refused_of_hour:,} refused"
    return [one.key, one.channel, one.provider, pool, _state(one), calls, one.because]


def _state(one: AccountReport) -> str:
    until = f" until {one.backing_off_until:%F %T %Z}" if one.backing_off_until else ""
    return f"{one.state.replace('_', ' ')}{until}"


def _lines(one: AccountReport) -> Iterator[tuple[str, object]]:
    yield "account", f"{one.key}: {one.channel} over {one.provider}, product line {one.product_line}"
    yield "state", _state(one)
    if one.because:
        yield "why", one.because
    if one.since:
        yield "since", f"{one.since:%F %T %Z}"
    if one.pool:
        yield "pool", f"{one.pool}, weight {one.weight}" + ("" if one.weight else ": only while no other is open")
    if one.price:
        yield "price", f"{one.price.amount:f} {one.currency} a {one.price.per}"
    for number, report in enumerate(one.windows):
        left = "" if report.left is None else f", {report.left:,} left"
        yield "" if number else _windows_from(one), in_words(report.window) + left
    if not one.windows:
        yield _windows_from(one), "no limit is known: set `limits.windows` in the account file"
    health = one.health
    yield "last hour", f"{health.accepted_of_hour:,} calls taken, {health.refused_of_hour:,} refused"
    yield "last day", f"{health.accepted_of_day:,} calls taken, {health.refused_of_day:,} refused"
    if health.last_words and health.refused_at:
        yield "last words", f"{health.last_words} ({health.refused_at:%F %T %Z})"


def _windows_from(one: AccountReport) -> str:
    return "windows (documented)" if one.as_documented else "windows (account file)"


def _as_json(one: AccountReport) -> dict[str, object]:
    paused = one.because if one.state is AccountState.PAUSED else None
    return {
        "account": one.key,
        "product_line": one.product_line,
        "channel": one.channel,
        "provider": one.provider,
        "state": one.state,
        "because": one.because,
        "since": one.since,
        "paused_because": paused,
        "backing_off_until": one.backing_off_until,
        "refused_in_row": one.refused_in_row,
        "pool": one.pool,
        "weight": one.weight,
        "windows_documented": one.as_documented,
        "windows": [
            {
                "per_seconds": report.window.per // timedelta(seconds=1),
                "at_most": report.window.at_most,
                "counts": report.window.counts,
                "left": report.left,
            }
            for report in one.windows
        ],
        "price": {"amount": one.price.amount, "per": one.price.per, "currency": one.currency} if one.price else None,
        "health": one.health,
    }


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="accounts")
