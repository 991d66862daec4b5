"""A sender in a process of its own, to be killed. It says when it is ready, and begins when told to.

`python -m tests.integration.delivery_process DATABASE DISTRIBUTION SANDBOX`
"""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from channels.engine import Backoff
from channels.line import Line
from channels.message import Content, MiniProgramContent, PushContent
from channels.registry import build_provider
from channels.sender import Sender
from channels.service import Ledger
from channels.states import Channel
from channels.transport import HttpTransport
from models.database import Database
from models.delivery import Distribution
from sandbox.credentials import Accounts

LEASE = timedelta(seconds=2)
BACKOFF = Backoff(base=timedelta(milliseconds=100), ceiling=timedelta(seconds=1), budget=timedelta(minutes=5))
PUSH_BATCH = 50  # small, so that there are many calls to be killed in


def settings_of(channel: Channel, sandbox: str) -> tuple[str, dict[str, str], dict[str, str]]:
    accounts = Accounts()
    if channel is Channel.PUSH:
        secrets = {"master_secret": accounts.jpush.master_secret}
        return "jpush", {"app_key": accounts.jpush.app_key, "base_url": sandbox}, secrets
    return "wechat", {"app_id": accounts.wechat.appid, "base_url": sandbox}, {"app_secret": accounts.wechat.secret}


def render(channel: Channel, recipient: Mapping[str, Any]) -> Content:
    if channel is Channel.PUSH:
        return PushContent(title="Women's Day", body=f"For {recipient['customer']['name']}")
    return MiniProgramContent(template="TPL", data={"thing1": "20 off"})


async def send(database: Database, distribution_id: int, sandbox: str) -> None:
    with database.begin() as session:
        row = session.get_one(Distribution, distribution_id)
        channel, account_id = row.channel, row.account_id
    provider_name, settings, secrets = settings_of(channel, sandbox)
    transport = HttpTransport()
    provider = build_provider(
        account="crash",
        channel=channel,
        provider=provider_name,
        settings=settings,
        secrets=secrets,
        transport=transport,
    )
    size = min(provider.capabilities.batch_size, PUSH_BATCH)
    provider.capabilities = replace(provider.capabilities, batch_size=size)
    while True:
        sender = Sender(
            ledger=Ledger(database=database, distribution_id=distribution_id, owner=uuid4(), lease=LEASE),
            lines=[
                Line(account_id=account_id, key="crash", provider=provider, backoff=BACKOFF, concurrency=16),
            ],
            render=lambda recipient: render(channel, recipient),
            lease=LEASE,
            batch=500,
        )
        report = await sender.run()
        if report.next_due_at is None:
            break
        await asyncio.sleep(max(0.05, (report.next_due_at - datetime.now(UTC)).total_seconds()))
    await provider.close()
    await transport.close()


if __name__ == "__main__":
    print("ready", flush=True)  # noqa: T201 - who kills it waits for this
    sys.stdin.readline()
    asyncio.run(send(Database(url=sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
