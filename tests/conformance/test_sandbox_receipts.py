"""The receipts that the sandbox pushes: read by our own readers, in every disorder."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
import requests
from aiohttp import web
from aiohttp.web_request import BaseRequest

from channels.callback_readers import READERS
from channels.callbacks import Callback
from channels.email import smtp
from channels.message import Receipt, ReceiptKind
from channels.states import Channel, ErrorClass
from channels.transport import HttpTransport
from sandbox.credentials import Accounts
from sandbox.ledger import Message
from sandbox.server import Listeners, Sandbox, listen
from tests.conformance.provider_case import SMTP

ACCOUNTS = Accounts()
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "aliyun": {},
    "twilio": {"auth_token": ACCOUNTS.twilio.auth_token},
    "jpush": {"app_key": ACCOUNTS.jpush.app_key, "master_secret": ACCOUNTS.jpush.master_secret},
    "wechat": {"push_token": "tok"},
}
MAIL = {"sender": "news@shop.example", "bounce_address": "bounces@shop.example", "bounce_key": "a key of sixteen"}
CHANNELS = {
    "aliyun": Channel.SMS,
    "twilio": Channel.SMS,
    "jpush": Channel.PUSH,
    "wechat": Channel.MINI_PROGRAM,
    "smtp": Channel.EMAIL,
}


class Taker:
    """Whoever takes receipts: reads them as we do, and may refuse the first pushes."""

    def __init__(self, provider: str, *, refuse: int = 0) -> None:
        self.provider, self.refuse = provider, refuse
        self.receipts: list[Receipt] = []
        self.left = 0  # items that say nothing to us
        self.url = ""

    async def take(self, request: BaseRequest) -> web.Response:
        if self.refuse:
            self.refuse -= 1
            return web.Response(status=503)
        called = Callback(
            method="POST",
            urls=[str(request.url)],
            query=dict(parse_qsl(request.query_string)),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
        )
        read = READERS[CHANNELS[self.provider], self.provider]
        heard = read(called, settings=SETTINGS.get(self.provider, MAIL), now=datetime.now(UTC))
        self.left += heard.left
        self.receipts.extend(heard.receipts)
        return web.Response(body=heard.answer)


@asynccontextmanager
async def scene(taker: Taker) -> AsyncIterator[tuple[Sandbox, Listeners]]:
    server = web.Server(taker.take)
    inner = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    taker.url = f"http://127.0.0.1:{inner.sockets[0].getsockname()[1]}/take"
    sandbox = Sandbox(accounts=ACCOUNTS, journal=None)
    listeners = await listen(sandbox, host="127.0.0.1", http_port=0, smtp_port=0)
    try:
        yield sandbox, listeners
    finally:
        await listeners.close()
        inner.close()
        await server.shutdown()


def accept(sandbox: Sandbox, taker: Taker, count: int) -> None:
    """As if the provider had taken messages."""
    log = sandbox._ledger.logs[CHANNELS[taker.provider].value]
    for number in range(count):
        message = Message(f"4477009{number:05d}", taker.url, f"m{number}", {"template_id": "T"})
        log.accept(number, [message], provider=taker.provider)


async def ask(listeners: Listeners, method: str, content: object = None) -> Any:
    host, port = listeners.http
    url = f"http://{host}:{port}/_receipts"
    answer = await asyncio.to_thread(requests.request, method, url, json=content, timeout=20)
    return answer.status_code, answer.json()


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for knows no events
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("provider", list(SETTINGS))
def test_each_message_gets_the_receipt_that_its_provider_gives(provider: str) -> None:
    async def play() -> None:
        taker = Taker(provider)
        async with scene(taker) as (sandbox, listeners):
            accept(sandbox, taker, 130)
            form = {"provider": provider, "url": taker.url, "token": "tok", "failing": 0.2}
            assert await ask(listeners, "POST", form) == (200, {"begun": True})
            await until(lambda: len(taker.receipts) == 130)
            kinds = Counter(receipt.kind for receipt in taker.receipts)
            assert 10 < kinds[ReceiptKind.FAILED] < 50
            assert kinds[ReceiptKind.DELIVERED] == 130 - kinds[ReceiptKind.FAILED]
            assert {receipt.provider_message_id for receipt in taker.receipts} == {f"m{n}" for n in range(130)}
            accept(sandbox, taker, 1)
            await until(lambda: len(taker.receipts) == 131)
            assert not taker.left

    asyncio.run(play())


def test_receipts_come_twice_mixed_and_for_strangers_when_they_are_asked_to() -> None:
    async def play() -> None:
        taker = Taker("aliyun", refuse=2)
        async with scene(taker) as (sandbox, listeners):
            accept(sandbox, taker, 50)
            form = {"provider": "aliyun", "url": taker.url, "times": 2, "order": "shuffled", "strangers": 3}
            await ask(listeners, "POST", form)
            await until(lambda: len(taker.receipts) == 103)
            ids = [receipt.provider_message_id for receipt in taker.receipts]
            assert ids[:50] != sorted(ids[:50], key=str)
            assert len({receipt.dedupe for receipt in taker.receipts}) == 53
            _, told = await ask(listeners, "GET")
            assert told["receipts"]["aliyun"]["pushed"] == 103
            assert (await ask(listeners, "DELETE"))[1] == {"ended": 1}
            assert not taker.left

    asyncio.run(play())


async def mail(listeners: Listeners, *names: str) -> dict[str, str]:
    """Letters to these, by our own client; address -> id of the delivery."""
    messages = [replace(SMTP.messages(1)[0], delivery_id=uuid4(), address=f"{name}@home.example") for name in names]
    secrets = {"bounce_key": MAIL["bounce_key"]}
    host, port = listeners.smtp
    settings = {key: value for key, value in MAIL.items() if key not in secrets}
    where = {"host": host, "port": port, "security": "none"}
    provider = smtp.from_settings(
        account="mail", settings={**settings, **where}, secrets=secrets, transport=HttpTransport()
    )
    assert {outcome.error for outcome in await provider.send(messages)} == {None}
    await provider.close()
    return {message.address: str(message.delivery_id) for message in messages}


def test_bounces_and_complaints_of_mail_come_back_and_name_their_deliveries() -> None:
    async def play() -> None:
        taker = Taker("smtp")
        async with scene(taker) as (_, listeners):
            match = {"failing_match": "^gone", "complaining_match": "^angry", "code": "5.1.6"}
            await ask(listeners, "POST", {"provider": "smtp", "url": taker.url, "times": 2, **match})
            sent = await mail(listeners, "gone1", "ann", "gone2", "angry", "bob")
            await until(lambda: len(taker.receipts) == 6)
            told = {(one.kind, one.address, one.reference, one.error) for one in taker.receipts}
            bad, gone = ErrorClass.BAD_RECIPIENT, ("gone1@home.example", "gone2@home.example")
            bounced = {(ReceiptKind.FAILED, address, sent[address], bad) for address in gone}
            angry = "angry@home.example"
            assert told == bounced | {(ReceiptKind.COMPLAINED, angry, sent[angry], None)}
            assert len({one.dedupe for one in taker.receipts}) == 3

    asyncio.run(play())


def test_bounce_of_a_letter_that_nobody_sent_names_no_delivery() -> None:
    async def play() -> None:
        taker = Taker("smtp")
        async with scene(taker) as (_, listeners):
            await mail(listeners, "ann")
            await ask(listeners, "POST", {"provider": "smtp", "url": taker.url, "strangers": 2})
            await until(lambda: len(taker.receipts) + taker.left == 2)
            assert {receipt.reference for receipt in taker.receipts} <= {None}

    asyncio.run(play())


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"provider": "fcm", "url": "http://x/"}, "provider"),
        ({"provider": "smtp", "url": "http://x/", "failing_match": "("}, "failing_match"),
        ({"provider": "aliyun", "url": "http://x/", "complaining": 0.5}, "complaining"),
        ({"provider": "aliyun"}, "url"),
        ({"provider": "aliyun", "url": "ftp://x/"}, "url"),
        ({"provider": "aliyun", "url": "http://x/", "times": 0}, "times"),
        ({"provider": "aliyun", "url": "http://x/", "order": "random"}, "order"),
        ({"provider": "aliyun", "url": "http://x/", "colour": 1}, "colour"),
    ],
)
def test_what_cannot_be_asked_for_is_named(form: dict[str, object], field: str) -> None:
    async def play() -> None:
        async with scene(Taker("aliyun")) as (_, listeners):
            status, told = await ask(listeners, "POST", form)
            assert (status, told["field"]) == (400, field)
            json.dumps(told)

    asyncio.run(play())
