"""`themeline bounces`: mail that came back, from wherever it is delivered to."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from channels.service.callbacks import read_letter
from console.commands.people import configured_cipher
from console.printing import JsonOption, tell
from console.reading import read_bytes
from console.verbs import verb_group
from models.database import Database

app = verb_group("Mail that came back: bounces and complaints.")


@app.command("read")
def read(
    file: Annotated[Path | None, typer.Argument(help="One message as it came; standard input if not given.")] = None,
    *,
    account: Annotated[str, typer.Option(help="The account whose letters come back here.")],
    as_json: JsonOption = False,
) -> None:
    """Take in one message (RFC 822): a mail server pipes each that comes to the bounce address into this verb."""
    raw = sys.stdin.buffer.read() if file is None else read_bytes(file)
    with Database.from_settings().begin() as session:
        stored = read_letter(session, key=account, raw=raw, cipher=configured_cipher(), now=datetime.now(UTC))
    told = {"account": account, "new": stored.new, "known": stored.known}
    tell(told, f"{stored.new} new, {stored.known} known already", as_json=as_json)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="bounces")
