"""`themeline deliveries`: what ops do about what failed, over a database and without Prefect."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.service import cancellation
from channels.states import Channel, DeliveryState, ErrorClass
from console.commands import delivery_acts
from models.database import Database
from tests.integration.command_line import CommandLine, command_line_over
from tests.integration.failure_world import FAILED_AT, FailureWorld, failure_world

F, U = DeliveryState.FAILED, DeliveryState.UNKNOWN


@pytest.fixture
def world(database: Database) -> FailureWorld:
    return failure_world(database, Channel.SMS, Channel.PUSH)


@pytest.fixture
def cli(world: FailureWorld, tmp_path: Path) -> Iterator[CommandLine]:
    with command_line_over(world.database, tmp_path) as cli:
        yield cli


def test_failures_are_shown_in_groups_and_exported_one_by_one(
    cli: CommandLine, world: FailureWorld, tmp_path: Path
) -> None:
    world.add(2, F, ErrorClass.DOWN, "503", words="try later")
    world.add(1, F, ErrorClass.THROTTLED, "429", words="too fast", channel=Channel.PUSH)
    groups = cli.json("deliveries", "failures", world.theme_key)
    assert [(one["channel"], one["error_class"], one["count"], one["words"]) for one in groups] == [
        ("push", "throttled", 1, ["too fast"]),
        ("sms", "down", 2, ["try later"]),
    ]
    shown = cli.run("deliveries", "failures", world.theme_key).stdout
    assert "try later" in shown
    assert "retry when the provider is back" in shown
    file = tmp_path / "failures.csv"
    told = cli.json("deliveries", "failures", world.theme_key, "--to", str(file), "--error-class", "down")
    assert told["rows"] == 2
    with file.open(encoding="utf-8", newline="") as lines:
        assert [row["words"] for row in csv.DictReader(lines)] == ["try later", "try later"]


def test_deliveries_in_doubt_are_settled_by_what_they_are(cli: CommandLine, world: FailureWorld) -> None:
    world.add(3, U, ErrorClass.UNKNOWN_OUTCOME)
    world.add(2, U, ErrorClass.UNKNOWN_OUTCOME, channel=Channel.PUSH)
    by_channel = ("deliveries", "settle", "--theme", world.theme_key, "--channel", "sms", "--as", "mark sent")
    until = FAILED_AT.isoformat()
    assert cli.json(*by_channel, "--until", until, "--dry-run")["settled"] == 3
    assert world.states() == {"unknown": 5}
    assert cli.json(*by_channel, "--until", until)["settled"] == 3
    (first, _) = world.ids(U)
    assert cli.json("deliveries", "settle", str(first), "--as", "send again")["settled"] == 1
    assert world.states() == {"sent": 3, "unknown": 1, "retrying": 1}


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--theme", "{theme}", "00000000-0000-0000-0000-000000000001"),
        ("--channel", "sms", "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_what_is_settled_is_named_in_one_way(cli: CommandLine, world: FailureWorld, words: tuple[str, ...]) -> None:
    asked = [word.replace("{theme}", world.theme_key) for word in words]
    assert "name the deliveries by their ids" in cli.refusal("deliveries", "settle", "--as", "mark sent", *asked)


def test_one_channel_is_cancelled_to_its_last_row(
    cli: CommandLine, world: FailureWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "CANCEL_AT_ONCE", 4)
    world.add(10, DeliveryState.PLANNED)
    world.add(1, DeliveryState.SENT)
    world.add(3, DeliveryState.PLANNED, channel=Channel.PUSH)
    told = cli.json("deliveries", "cancel", world.theme_key, "--channel", "sms")
    assert (told["cancelled"], told["reached"]) == (10, 1)
    assert world.states(Channel.SMS) == {"cancelled": 10, "sent": 1}
    assert world.states(Channel.PUSH) == {"planned": 3}
    assert "nothing to cancel" in cli.refusal("deliveries", "cancel", world.theme_key, "--channel", "sms")
    assert "nothing to cancel" in cli.refusal("deliveries", "cancel", world.theme_key, "--channel", "email")


def test_a_retry_hands_its_deployment_all_that_was_asked_and_who_asks(
    cli: CommandLine, world: FailureWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def run_flow(deployment: str, parameters: dict[str, Any]) -> dict[str, str]:
        asked.update(parameters, deployment=deployment)
        return {"message": "took 0", "url": "http://prefect"}

    monkeypatch.setattr(delivery_acts, "run_flow", run_flow)
    since, one = datetime(2027, 3, 6, tzinfo=UTC).isoformat(), "00000000-0000-0000-0000-000000000001"
    words = ("--channel", "sms", "--error-class", "down", "--error-code", "503", "--since", since, "--id", one)
    cli.json("deliveries", "retry", world.theme_key, *words, "--dry-run")
    assert asked.pop("asked_by").startswith("console:")
    assert asked == {
        "deployment": "retry-deliveries/by-ops",
        "theme": world.theme_key,
        "channel": Channel.SMS,
        "error_class": ErrorClass.DOWN,
        "error_code": "503",
        "since": since,
        "deliveries": [one],
        "dry_run": True,
    }


def test_an_unknown_theme_is_refused_by_every_verb(cli: CommandLine) -> None:
    for verb in (
        ("failures", "nowhere"),
        ("cancel", "nowhere", "--channel", "sms"),
        ("settle", "--theme", "nowhere", "--as", "mark sent"),
    ):
        assert "nowhere" in cli.refusal("deliveries", *verb)


def test_one_delivery_is_shown_with_its_receipts_and_what_the_provider_was_asked(
    cli: CommandLine, world: FailureWorld
) -> None:
    world.add(1, U, ErrorClass.UNKNOWN_OUTCOME, words="the connection was cut")
    (one,) = world.ids(U)
    shown = cli.json("deliveries", "show", str(one))
    assert (shown["receipts"], shown["inquiry"]) == ([], None)
    world.change(
        "INSERT INTO receipts (account_id, dedupe, kind, occurred_at, received_at, code, detail, delivery_id)"
        " VALUES (1, :key || '2', 'delivered', now(), now(), 'DELIVRD', '', :one),"
        " (1, :key || '1', 'accepted', now() - interval '1 minute', now(), '', '', :one)",
        key=world.theme_key,
        one=one,
    )
    world.change(
        "INSERT INTO inquiries SELECT seq, call_began_at, 2, 2, now(), NULL, 'no such message' FROM deliveries"
        " WHERE id = :one",
        one=one,
    )
    shown = cli.json("deliveries", "show", str(one))
    assert [receipt["kind"] for receipt in shown["receipts"]] == ["accepted", "delivered"]
    assert (shown["inquiry"]["times"], shown["inquiry"]["answer"]) == (2, "no such message")
    told = cli.run("deliveries", "show", str(one)).stdout
    assert "DELIVRD" in told
    assert "no such message" in told
    assert "the connection was cut" in told
