"""`themeline accounts callback`: the address at which a provider calls us."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from channels.service.callbacks import callback_path
from console.commands.people import configured_cipher
from console.printing import JsonOption, tell
from models.database import Database
from settings import get_settings


def callback(
    key: Annotated[str, typer.Argument(help="The account's key.")],
    *,
    renew: Annotated[bool, typer.Option("--renew", help="Make a new address; the one before ends at once.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the address to give to the provider, for its receipts.

    Where it holds a secret, whoever knows it can send us some: keep it secret.
    """
    settings = get_settings()
    with Database.from_settings().begin() as session:
        path = callback_path(session, key=key, cipher=configured_cipher(), renew=renew, now=datetime.now(UTC))
    url = (settings.callback_url or settings.public_url).rstrip("/") + path
    tell({"account": key, "url": url}, url, as_json=as_json)
