"""What a sender at work writes to the log, over a real database and a stand-in of its provider."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from approval.secrecy import Cipher
from channels.message import PushContent
from channels.states import Channel
from console.demo.stand_in import Sandbox
from logs import JsonLines
from models.database import Database
from models.delivery import ProviderAccount
from models.queries import provider_accounts
from sandbox.process import started
from tasks import sending
from tests.integration.delivery_world import World, make_world

CIPHER = Cipher.from_setting("k" * 32)


@pytest.fixture
def work(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[World, sending.Work]]:
    """One message that is due over JPush's stand-in, in a process that no Prefect server knows."""
    made = make_world(database, customers=1, channel=Channel.PUSH, provider="jpush")
    made.plan()
    with started(folder=tmp_path) as running:
        found = sending.Work(
            distribution_id=made.distribution_id,
            theme=made.theme_key,
            accounts=[account_of(made, Sandbox(http=running.http, smtp_host="", smtp_port=0))],
            render=lambda _: PushContent(title="Hello", body="you"),
        )
        monkeypatch.setattr(sending, "_prepare", lambda _: found)
        monkeypatch.setattr(sending, "rest_the_collector", lambda: None)
        monkeypatch.setattr(sending, "own_run_id", uuid4)
        monkeypatch.setattr(sending, "database", lambda: database)
        monkeypatch.setattr(sending, "cipher", lambda: CIPHER)
        yield made, found


def account_of(world: World, stand_in: Sandbox) -> ProviderAccount:
    entry, secrets = next(pair for pair in stand_in.accounts() if pair[0].channel is world.channel)
    with world.database.begin() as session:
        (account,) = provider_accounts.serving(session, distribution_id=world.distribution_id)
        account.settings, account.secrets = entry.settings, CIPHER.encrypt(json.dumps(secrets))
        return account


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the run logs, as an installation writes it whose form is JSON."""
    stream, log = io.StringIO(), logging.getLogger("run of a sender")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    monkeypatch.setattr(sending, "get_run_logger", lambda: log)
    yield stream
    log.removeHandler(handler)


def test_every_line_of_a_sender_names_its_theme_its_distribution_and_itself(
    work: tuple[World, sending.Work], written: io.StringIO
) -> None:
    world, prepared = work
    assert sending.send_due.fn(prepared.distribution_id) == {"sent": 1}
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    assert lines
    for line in lines:
        assert (line["theme"], line["distribution_id"]) == (world.theme_key, world.distribution_id)
        assert UUID(line["sender"])
