"""The flow behind the form `retry-deliveries`, and what it shows, on a Prefect server of the test's own."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey
from prefect.client.schemas.objects import State
from prefect.utilities.callables import parameter_schema

from channels.states import Channel, DeliveryState, ErrorClass
from flows.retry_deliveries import retry_deliveries
from models.database import Database
from tasks import distribution, own_run, progress, retrying, theme_steps
from tests.integration.failure_world import FailureWorld, failure_world

F = DeliveryState.FAILED


@pytest.fixture
def world(prefect: SyncPrefectClient, database: Database, monkeypatch: pytest.MonkeyPatch) -> FailureWorld:
    for module in (distribution, progress, retrying, theme_steps):
        monkeypatch.setattr(module, "database", lambda: database)
    prefect.create_deployment(flow_id=prefect.create_flow_from_name("send-deliveries"), name="for-channel")
    return failure_world(database)


def shown(prefect: SyncPrefectClient, key: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of the newest table artifact of a key, and its description."""
    wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
    (artifact,) = prefect.read_latest_artifacts(artifact_filter=wanted)
    return json.loads(str(artifact.data)), artifact.description or ""


def ended(state: object) -> str:
    assert isinstance(state, State)
    assert state.is_completed()
    return state.message or ""


def test_the_form_takes_the_failed_starts_their_sender_and_says_what_it_left(
    world: FailureWorld, prefect: SyncPrefectClient
) -> None:
    world.add(3, F, ErrorClass.DOWN, "503", words="{address}: try later")
    world.add(2, F, ErrorClass.THROTTLED, "429")
    world.add(1, DeliveryState.UNKNOWN, ErrorClass.UNKNOWN_OUTCOME)
    asked = {"theme": world.theme_key, "error_class": ErrorClass.DOWN, "asked_by": "olga"}
    assert ended(retry_deliveries(**asked, dry_run=True, return_state=True)) == "would take 3; left: none"
    assert world.states() == {"failed": 5, "unknown": 1}
    assert ended(retry_deliveries(**asked, return_state=True)) == "took 3; left: none"
    assert world.states() == {"failed": 2, "retrying": 3, "unknown": 1}
    (run,) = [run for run in prefect.read_flow_runs() if f"distribution:{world.distributions[Channel.SMS]}" in run.tags]
    assert run.name == f"Send · {world.theme_key} · sms"
    assert ended(retry_deliveries(theme=world.theme_key, return_state=True)) == "took 2; left: 1 unknown"
    (row,), described = shown(prefect, f"retry-deliveries-theme-{world.theme_id}")
    assert (row["channel"], row["taken"], row["left, and why"]) == ("sms", 2, "1 unknown")
    assert "`unknown`: in doubt" in described
    assert world.rows("SELECT actor FROM audit WHERE theme_key = :key ORDER BY seq", key=world.theme_key) == [
        ("olga",), ("form:retry-deliveries",)
    ]  # fmt: skip


def test_failures_are_a_table_in_the_providers_own_words_without_addresses(
    world: FailureWorld, prefect: SyncPrefectClient
) -> None:
    world.add(3, F, ErrorClass.DOWN, "503", words="{address}: try later")
    retry_deliveries(theme=world.theme_key, dry_run=True)
    (row,), described = shown(prefect, f"failures-theme-{world.theme_id}")
    assert (row["count"], row["class"], row["code"], row["the provider's words"]) == (3, "down", "503", "…: try later")
    assert row["what to do"] == "retry when the provider is back"
    assert f"themeline deliveries failures {world.theme_key} --to" in described
    retry_deliveries(theme=world.theme_key)
    assert shown(prefect, f"failures-theme-{world.theme_id}")[0] == []


def test_what_never_failed_gets_no_table_of_failures(world: FailureWorld, prefect: SyncPrefectClient) -> None:
    world.add(1, DeliveryState.SENT)
    retry_deliveries(theme=world.theme_key)
    wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[f"failures-theme-{world.theme_id}"]))
    assert prefect.read_latest_artifacts(artifact_filter=wanted) == []


def test_a_run_that_waited_for_its_turn_takes_what_had_failed_when_it_was_asked_for(
    world: FailureWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add(2, F, ErrorClass.DOWN, at=datetime.now(UTC) + timedelta(minutes=1))
    monkeypatch.setattr(retrying, "clock", lambda: datetime.now(UTC) + timedelta(minutes=10))
    monkeypatch.setattr(own_run, "clock", lambda: datetime.now(UTC) + timedelta(minutes=10))
    assert ended(retry_deliveries(theme=world.theme_key, return_state=True)) == "took 0; left: 2 failed_since"


def test_the_form_has_every_filter() -> None:
    assert list(parameter_schema(retry_deliveries).properties) == [
        *("theme", "channel", "error_class", "error_code", "since", "deliveries", "dry_run", "asked_by")
    ]
