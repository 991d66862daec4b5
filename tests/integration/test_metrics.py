"""What Prometheus reads, and who else may."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from channels.service import pause_account
from channels.states import Channel, DeliveryState, ErrorClass
from console.http import metrics
from console.http.services import Services
from models.database import Database
from models.queries import provider_accounts
from settings import get_settings
from tests.integration.failure_world import FailureWorld, failure_world

HOME = ("127.0.0.1", 40_000)


@pytest.fixture
def world(database: Database) -> Iterator[FailureWorld]:
    yield failure_world(database, Channel.SMS, Channel.PUSH)
    with database.begin() as session:
        session.execute(text("TRUNCATE themes, tallies, provider_accounts, senders, receipts CASCADE"))


def get(database: Database, peer: tuple[str, int] = HOME, headers: Mapping[str, str] | None = None) -> httpx.Response:
    app = FastAPI()
    app.state.services = Services(database=database, cipher=None, public_url="", callback_url="")
    app.include_router(metrics.router)

    async def got() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=peer)
        async with httpx.AsyncClient(transport=transport, base_url="http://themeline") as client:
            return await client.get("/metrics", headers=headers)

    return asyncio.run(got())


def read(database: Database) -> dict[tuple[str, ...], float]:
    """Name and label values, in the order of the labels' names -> value; of our own metrics that are not 0."""
    answer = get(database)
    assert (answer.status_code, answer.headers["content-type"]) == (200, metrics.CONTENT_TYPE)
    return {
        (sample.name.removeprefix("themeline_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name.startswith("themeline_") and sample.value
    }


def test_the_figures_are_those_of_the_rows(world: FailureWorld) -> None:
    world.add(5, DeliveryState.SENT)
    world.add(2, DeliveryState.FAILED, ErrorClass.DOWN, "503")
    world.add(1, DeliveryState.FAILED, ErrorClass.DOWN, "504")
    world.add(3, DeliveryState.PLANNED, channel=Channel.PUSH)
    world.add(1, DeliveryState.RETRYING, ErrorClass.THROTTLED, at=datetime.now(UTC) - timedelta(hours=1))
    with world.database.begin() as session:
        provider_accounts.note_calls(
            session,
            account_id=world.accounts[Channel.SMS],
            accepted=7,
            refused=2,
            last_words="no",
            now=datetime.now(UTC),
        )
        pause_account(session, key=f"{world.theme_key}-push", because="by hand")
    world.change(
        "INSERT INTO senders (id, distribution_id, alive_until, began_at, host) VALUES"
        " (gen_random_uuid(), :of, now() + interval '1 minute', now(), 'a'),"
        " (gen_random_uuid(), :of, now() - interval '1 minute', now(), 'dead')",
        of=world.distributions[Channel.PUSH],
    )
    found = read(world.database)
    assert 3_500 < found.pop(("overdue_seconds", "sms")) < 3_700
    sms, push = f"{world.theme_key}-sms", f"{world.theme_key}-push"
    assert found == {
        ("deliveries", "sms", "sent"): 5,
        ("deliveries", "sms", "failed"): 3,
        ("deliveries", "sms", "retrying"): 1,
        ("deliveries", "push", "planned"): 3,
        ("delivery_errors", "sms", "down", "failed"): 3,
        ("delivery_errors", "sms", "throttled", "retrying"): 1,
        ("provider_calls_total", sms, "sms", "accepted", "recording"): 7,
        ("provider_calls_total", sms, "sms", "refused", "recording"): 2,
        ("account", sms, "sms", "recording", "open"): 1,
        ("account", push, "push", "recording", "paused"): 1,
        ("senders", "push"): 1,
        ("themes", "live"): 1,
    }


def test_no_theme_and_no_address_is_a_label(world: FailureWorld) -> None:
    world.add(1, DeliveryState.FAILED, ErrorClass.BAD_RECIPIENT, "550")
    told = get(world.database).text
    address = world.rows("SELECT address FROM deliveries WHERE theme_id = :theme_id")[0][0]
    assert address not in told
    assert 'theme="' not in told


def test_what_is_over_counts_no_more_and_no_delivery_is_read_for_it(world: FailureWorld) -> None:
    world.add(4, DeliveryState.SENT)
    world.change("UPDATE distributions SET state = 'complete' WHERE theme_id = :theme_id")
    assert read(world.database)["deliveries", "sms", "sent"] == 4  # its theme is live
    world.change("UPDATE themes SET state = 'ended' WHERE id = :theme_id")
    assert not [key for key in read(world.database) if key[0] == "deliveries"]


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        (("203.0.113.9", 1), {}),
        (HOME, {"X-Forwarded-For": "203.0.113.9"}),
        (HOME, {"Forwarded": "for=203.0.113.9"}),
        (("testserver", 1), {}),
    ],
)
def test_from_elsewhere_there_is_no_such_page(
    database: Database, peer: tuple[str, int], headers: dict[str, str]
) -> None:
    assert get(database, peer, headers).status_code == 404


def test_with_a_token_it_alone_opens_the_page(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEMELINE_METRICS_TOKEN", "let-me-in")
    get_settings.cache_clear()
    try:
        away = ("203.0.113.9", 1)
        assert get(database, away, {"Authorization": "Bearer let-me-in"}).status_code == 200
        assert get(database, away, {"Authorization": "Bearer let-me"}).status_code == 404
        assert get(database).status_code == 404
    finally:
        get_settings.cache_clear()
