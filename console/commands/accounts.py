"""`themeline accounts`: contracts with providers."""

import os
from pathlib import Path
from typing import Annotated

import typer

from channels.account_file import read_accounts, secrets_from
from channels.service import account
from channels.service.provider import apply_account
from console.commands.people import configured_cipher
from console.printing import JsonOption, print_json, print_table, tell
from console.reading import read_text
from console.verbs import verb_group
from models.database import Database
from models.queries import provider_accounts

app = verb_group("Provider accounts.")

KeyArgument = Annotated[str, typer.Argument(help="The account's key.")]


@app.command("apply")
def apply(file: Annotated[Path, typer.Argument(help="The account file.")], *, as_json: JsonOption = False) -> None:
    """Add the accounts of a file, or change them. All of them are checked first, and stored together or not at all."""
    entries = read_accounts(read_text(file), where=str(file))
    secrets = {entry.account: secrets_from(entry, os.environ) for entry in entries}
    with Database.from_settings().begin() as session:
        for entry in entries:
            apply_account(session, entry=entry, secrets=secrets[entry.account], cipher=configured_cipher())
    found = [{"account": entry.account, "channel": entry.channel, "provider": entry.provider} for entry in entries]
    if as_json:
        print_json(found)
    else:
        print_table("Accounts applied", ["account", "channel", "provider"], [list(row.values()) for row in found])


@app.command("list")
def list_accounts(*, as_json: JsonOption = False) -> None:
    with Database.from_settings().begin() as session:
        found = [
            {
                "account": row.key,
                "channel": row.channel,
                "provider": row.provider,
                "paused_because": row.paused_because,
                "backing_off_until": row.backing_off_until,
            }
            for row in provider_accounts.accounts(session)
        ]
    if as_json:
        print_json(found)
    else:
        columns = ["account", "channel", "provider", "paused because", "backs off until"]
        print_table("Accounts", columns, [list(row.values()) for row in found])


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


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="accounts")
