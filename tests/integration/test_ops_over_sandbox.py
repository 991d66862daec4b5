"""Test messages and inquiries over the providers' own modules, to stand-ins of their servers."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prefect.logging import disable_run_logger

from approval.secrecy import Cipher
from channels.message import Message, SmsContent
from channels.service.provider import apply_account, provider_of
from channels.states import Channel, DeliveryState, ErrorClass
from channels.transport import HttpTransport
from console.demo.stand_in import Sandbox
from models.database import Database
from models.delivery import ProviderAccount
from sandbox.process import started
from tasks import inquiries
from tests.integration.command_line import CommandLine, command_line_over
from tests.integration.failure_world import FailureWorld, failure_world
from tests.integration.scene import KEY, Scene

CIPHER = Cipher.from_setting("k" * 32)
DEVICES = {Channel.PUSH: "1a0018970a00000000a", Channel.MINI_PROGRAM: "oSandbox_0000000000000000001"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with started(folder=tmp_path_factory.mktemp("sandbox")) as running:
        yield Sandbox(http=running.http, smtp_host=running.smtp_host, smtp_port=running.smtp_port)


@pytest.fixture
def cli(scene: Scene, sandbox: Sandbox, tmp_path: Path) -> Iterator[CommandLine]:
    with command_line_over(scene.database, tmp_path) as cli:
        cipher = Cipher.from_setting(cli.environment["THEMELINE_SECRET_KEY"])
        with scene.begin() as session:
            for entry, secrets in sandbox.accounts():
                apply_account(session, entry=entry, secrets=secrets, cipher=cipher)
        scene.run("UPDATE people SET email = 'ann@our-house.example', phone = '+8613800138000' WHERE login = 'ann'")
        scene.draft()
        yield cli


@pytest.mark.parametrize("channel", list(Channel))
def test_a_test_message_reaches_its_person_on_every_channel(
    cli: CommandLine, scene: Scene, sandbox: Sandbox, channel: Channel
) -> None:
    before = sandbox.log()[channel.value]["accepted"]
    device = ("--address", DEVICES[channel]) if channel in DEVICES else ()
    told = cli.json("theme", "test-send", KEY, "--to", "ann", "--channel", channel.value, *device)
    assert (told["to"], told["channel"]) == ("ann", channel.value)
    assert sandbox.log()[channel.value]["accepted"] == before + 1
    (audit,) = scene.audit("test send")
    assert audit.actor.startswith("console:")


def test_a_refused_test_message_is_an_error_with_the_providers_words(cli: CommandLine, sandbox: Sandbox) -> None:
    sandbox.fault(channel="sms", kind="throttle", count=2)
    told = cli.refusal("theme", "test-send", KEY, "--to", "ann", "--channel", "sms")
    assert "did not take the test message (throttled)" in told


@pytest.fixture
def world(database: Database, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[FailureWorld]:
    """One delivery in doubt over an account of Aliyun's stand-in."""
    made = failure_world(database, provider="aliyun")
    entry, _ = sandbox.accounts()[0]
    with database.begin() as session:
        account = session.get_one(ProviderAccount, made.accounts[Channel.SMS])
        account.settings, account.secrets = entry.settings, CIPHER.encrypt('{"access_key_secret": "sandbox-secret"}')
    made.add(1, DeliveryState.UNKNOWN, ErrorClass.UNKNOWN_OUTCOME, at=datetime.now(UTC) - timedelta(minutes=2))
    made.change("UPDATE deliveries SET address = '+86138' || (10000000 + seq) WHERE theme_id = :theme_id")
    monkeypatch.setattr(inquiries, "database", lambda: database)
    monkeypatch.setattr(inquiries, "cipher", lambda: CIPHER)
    with disable_run_logger():
        yield made
    made.change("UPDATE deliveries SET state = 'cancelled', error_class = NULL WHERE theme_id = :theme_id")


def call(world: FailureWorld, delivery_id: UUID) -> None:
    """What the sender did before its answer was lost: the call left, led by this delivery."""
    ((address,),) = world.rows("SELECT address FROM deliveries WHERE theme_id = :theme_id")

    async def sent() -> None:
        with world.database.begin() as session:
            account = session.get_one(ProviderAccount, world.accounts[Channel.SMS])
        transport = HttpTransport()
        provider = provider_of(account, cipher=CIPHER, transport=transport)
        (outcome,) = await provider.send(
            [Message(delivery_id=delivery_id, address=address, content=SmsContent(text="Hello"))]
        )
        assert outcome.error is None
        await transport.close()

    asyncio.run(sent())


def test_a_sweep_settles_what_the_provider_has(world: FailureWorld) -> None:
    (one,) = world.ids(DeliveryState.UNKNOWN)
    call(world, one)
    assert inquiries.ask_providers.fn() in {"1 sent", "1 delivered"}
    assert set(world.states()) <= {"sent", "delivered"}


def test_a_sweep_leaves_in_doubt_what_the_provider_does_not_have_yet(world: FailureWorld) -> None:
    assert inquiries.ask_providers.fn() == "nothing was settled"
    assert world.states() == {"unknown": 1}
    assert world.rows(
        "SELECT i.asked, i.absent, i.answer FROM inquiries i JOIN deliveries d ON d.seq = i.delivery_seq"
        " WHERE d.theme_id = :theme_id"
    ) == [(1, 1, "no such message")]


def test_an_account_that_cannot_be_asked_costs_the_others_nothing(world: FailureWorld, database: Database) -> None:
    with database.begin() as session:
        account = session.get_one(ProviderAccount, world.accounts[Channel.SMS])
        account.settings = {"no": "sense"}
    assert inquiries.ask_providers.fn() == "nothing was settled"
    assert world.states() == {"unknown": 1}
