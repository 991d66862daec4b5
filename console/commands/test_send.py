"""`themeline theme test-send`: a look at a message where it arrives."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from channels.message import Outcome
from channels.service import test_send as service
from channels.service.errors import TestSendFailed
from channels.service.provider import provider_of
from channels.service.test_send import Prepared
from channels.states import Channel
from channels.transport import HttpTransport
from console.commands.people import configured_cipher
from console.operator import operator
from console.printing import JsonOption, tell
from console.signing import KeyArgument
from models.database import Database
from settings import get_settings


def send_test(
    key: KeyArgument,
    *,
    to: Annotated[str, typer.Option(help="The login of who is to get it.")],
    channel: Annotated[Channel, typer.Option(help="The channel.")],
    address: Annotated[
        str | None, typer.Option(help="Push and mini-program: her registration id or OpenID; else her own is taken.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Send one of our own people a message of a theme as it stands now. It counts nowhere, and is on record."""
    database = Database.from_settings()
    with database.begin() as session:
        prepared = service.prepare(
            session,
            theme_key=key,
            channel=channel,
            login=to,
            address=address,
            by=operator(),
            public_url=get_settings().public_url,
            now=datetime.now(UTC),
        )
    outcome = asyncio.run(_send(prepared))
    with database.begin() as session:
        service.note_outcome(session, prepared, outcome, now=datetime.now(UTC))
    account = prepared.account.key
    if outcome.error is not None:
        raise TestSendFailed(account=account, error=outcome.error, code=outcome.code, detail=outcome.detail)
    told = {"theme": key, "channel": channel, "to": to, "account": account, "message": outcome.provider_message_id}
    tell(told, f"{key}: a test message went to {to} by {channel} over {account}", as_json=as_json)


async def _send(prepared: Prepared) -> Outcome:
    transport = HttpTransport()
    provider = provider_of(prepared.account, cipher=configured_cipher(), transport=transport)
    try:
        return await service.send(prepared, provider)
    finally:
        await provider.close()
        await transport.close()
