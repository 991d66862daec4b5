"""The main job, as its users do it: the command line, and the form that Prefect's resume API answers."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.acceptance.world import World, wait_until, world_of

pytestmark = pytest.mark.timeout(180)

SOON = timedelta(seconds=12)
LATE = timedelta(hours=-1)
REACHED = ("sent", "delivered")
#: One slow channel, so that there is something to pause.
SLOW_MAIL = {"email": {"account": "acc-slow", "subject": "For {{ customer.name }}", "text": "plain.txt.j2"}}


@pytest.fixture(scope="module")
def world(installation: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_of(installation.environment, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def sandbox(installation: Any) -> str:
    return str(installation.environment["THEMELINE_SANDBOX_HTTP"])


def accepted(sandbox: str) -> dict[str, int]:
    channels = requests.get(f"{sandbox}/_log", timeout=10).json()["channels"]
    return {channel: log["accepted"] for channel, log in channels.items()}


def progress(world: World, key: str) -> dict[str, dict[str, Any]]:
    return {one["channel"]: one for one in world.cli.json("deliveries", "progress", key)}


def sent(world: World, key: str) -> dict[str, int]:
    return {
        channel: sum(one["states"].get(state, 0) for state in REACHED) for channel, one in progress(world, key).items()
    }


def planned(one: dict[str, Any]) -> int:
    return sum(one["states"].values())


def launches(world: World, key: str) -> set[str]:
    runs = world.api.filter_flow_runs({"tags": {"all_": [f"theme:{key}"]}})
    return {run["id"] for run in runs if run["name"].startswith("Launch")}


def at_rest(world: World, key: str, *channels: str) -> Callable[[], bool]:
    """Every row of these channels is where nothing more happens by itself."""

    def look() -> bool:
        there = progress(world, key)
        return set(channels) <= there.keys() and all(
            planned(there[name]) and not {"planned", "sending", "retrying", "held"} & there[name]["states"].keys()
            for name in channels
        )

    return look


def test_theme_goes_from_its_file_to_every_recipient_and_a_retry_sends_only_what_failed(
    world: World, sandbox: str
) -> None:
    cli, key, before = world.cli, "acc-main", accepted(sandbox)
    file = world.theme_file(key, author="acc-ann", start=SOON, policy="acc-two", budget="25000.00")
    assert cli.json("theme", "validate", str(file))["theme"] == key
    assert world.draft(file, "acc-ann")["state"] == "Saved"
    assert world.draft(file, "acc-ann")["state"] == "Unchanged"
    assert world.sign("submit", key, "acc-ann")["state"] == "Submitted"
    assert [one["people"] for one in cli.json("theme", "waiting-for", key)] == [["acc-bob"]]
    world.answer("acc-bob", key, "return to drafter", "The budget is too high.")
    world.wait_for_state(key, "draft")

    world.draft(world.theme_file(key, author="acc-ann", start=SOON, policy="acc-two"), "acc-ann")
    assert ("25000.00 GBP", "20000.00 GBP") in [(one["before"], one["after"]) for one in cli.json("theme", "diff", key)]
    assert world.sign("submit", key, "acc-ann")["message"].startswith("revision 2 ")
    world.answer("acc-bob", key)
    left_over = world.question("acc-cora", key)["id"]
    assert [one["theme_key"] for one in cli.json("inbox", "acc-carl")] == [key]
    requests.post(f"{sandbox}/_faults", json={"channel": "email", "kind": "down"}, timeout=10).raise_for_status()
    world.answer("acc-carl", key)
    world.answer("acc-cyn", key)
    assert world.wait_for_end(left_over) == "Cancelled"
    first, second, *last = world.decisions(key)
    assert (first, second) == (("acc-bob", "return to drafter"), ("acc-bob", "approve"))
    assert {*last} == {("acc-carl", "approve"), ("acc-cyn", "approve")}

    world.wait_for_state(key, "live")
    wait_until("the first sending", at_rest(world, key, "sms", "push", "mini_program", "email"))
    mails = progress(world, key)["email"]
    assert mails["states"] == {"failed": planned(mails)}
    assert mails["failed"] == {"down": planned(mails)}
    requests.delete(f"{sandbox}/_faults", timeout=10).raise_for_status()
    dry = cli.json("deliveries", "retry", key, "--error-class", "down", "--dry-run")["message"]
    assert dry.startswith(f"would take {planned(mails)};")
    assert cli.json("deliveries", "retry", key, "--error-class", "down")["message"].startswith(
        f"took {planned(mails)};"
    )
    wait_until("the retry", lambda: sent(world, key)["email"] == planned(mails))
    assert cli.json("deliveries", "retry", key, "--error-class", "down")["message"].startswith("took 0;")

    after = accepted(sandbox)
    assert sent(world, key) == {channel: after[channel] - before[channel] for channel in after}
    assert sum(sent(world, key).values()) == sum(planned(one) for one in progress(world, key).values())
    assert cli.json("audit", "verify")["sound"]


def test_every_step_of_the_way_shows_in_prefect_under_the_tag_of_the_theme_and_in_its_timeline(world: World) -> None:
    runs = world.api.filter_flow_runs({"tags": {"all_": ["theme:acc-main"]}})
    names = {
        run["name"].partition(" ")[0] for run in runs if run["name"].partition(" ")[0] in {"Approve", "Launch", "Send"}
    }
    assert names == {"Approve", "Launch", "Send"}
    assert not [run["name"] for run in runs if run["state_type"] in {"PAUSED", "FAILED", "CRASHED"}]
    timeline = world.cli.json("theme", "timeline", "acc-main")
    steps = [one["step"].partition(" · ")[0] for one in timeline]
    assert steps.index("draft") < steps.index("round 1") < steps.index("round 2") < steps.index("live")
    assert {one["step"] for one in timeline} >= {"plan · sms", "send · email"}
    starts = [datetime.fromisoformat(one["start"]) for one in timeline]
    assert starts == sorted(starts)


ANSWERS = [
    ("status",),
    ("people", "list"),
    ("policy", "list"),
    ("accounts", "list"),
    ("inbox", "acc-bob"),
    ("alerts",),
    ("alerts", "--theme", "acc-main"),
    ("deliveries", "resume", "acc-main", "--channel", "sms"),
    ("theme", "list"),
    ("theme", "show", "acc-main"),
    ("theme", "diff", "acc-main", "--from", "1", "--to", "2"),
    ("theme", "timeline", "acc-main"),
    ("theme", "preview", "acc-main"),
    ("theme", "waiting-for", "acc-main"),
    ("deliveries", "list", "--theme", "acc-main", "--limit", "3"),
    ("deliveries", "export", "--theme", "acc-main"),
    ("deliveries", "progress", "acc-main"),
    ("audit", "verify"),
    ("audit", "head"),
    ("people", "disable", "acc-nina"),
    ("people", "enable", "acc-nina"),
    ("people", "enrol", "acc-nina"),
    ("accounts", "pause", "acc-slow", "--because", "to see"),
    ("accounts", "resume", "acc-slow"),
]


@pytest.mark.parametrize("words", ANSWERS, ids=" ".join)
def test_verb_answers_with_one_json_document_and_people_get_lines(world: World, words: tuple[str, ...]) -> None:
    world.cli.json(*words)
    outcome = world.cli.run(*words)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.strip()


def test_one_delivery_is_shown_with_each_of_its_attempts_and_exports_hold_them_all(
    world: World, tmp_path: Path
) -> None:
    wanted = ("--theme", "acc-main", "--channel", "email")
    first = world.cli.json("deliveries", "list", *wanted, "--limit", "1")[0]
    shown = world.cli.json("deliveries", "show", first["id"])
    assert shown["state"] == "sent"
    assert shown["attempts"][0]["error_class"] == "down"
    assert shown["attempts"][-1]["error_class"] is None
    exported = world.cli.json("deliveries", "export", *wanted)
    assert world.cli.run("deliveries", "export", *wanted, "--to", str(tmp_path / "all.csv")).exit_code == 0
    lines = (tmp_path / "all.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) - 1 == len(exported) == planned(progress(world, "acc-main")["email"])


def test_exported_head_proves_that_nothing_was_cut(world: World, tmp_path: Path) -> None:
    head = world.cli.json("audit", "head")
    (tmp_path / "head.json").write_text(json.dumps(head), encoding="utf-8")
    assert world.cli.json("audit", "verify", "--head", str(tmp_path / "head.json"))["sound"]
    (tmp_path / "cut.json").write_text(json.dumps({**head, "seq": head["seq"] + 1}), encoding="utf-8")
    outcome = world.cli.run("audit", "verify", "--head", str(tmp_path / "cut.json"))
    assert outcome.exit_code == 1
    assert "broken" in outcome.stderr


def test_withdrawing_cancels_the_open_gates_and_recall_before_the_start_cancels_the_launch(world: World) -> None:
    key = "acc-recall"
    world.draft(world.theme_file(key, author="acc-amy", start=timedelta(days=2), policy="acc-two"), "acc-amy")
    world.sign("submit", key, "acc-amy")
    gate = world.question("acc-bob", key)["id"]
    world.sign("withdraw", key, "acc-amy")
    assert world.run_state(gate) == "CANCELLED"
    assert world.show(key)["state"] == "draft"
    assert [one["people"] for one in world.cli.json("theme", "waiting-for", key)] == [["acc-amy"]]  # to submit it again

    world.draft(world.theme_file(key, author="acc-amy", start=timedelta(days=2), policy="acc-none"), "acc-cora")
    world.sign("submit", key, "acc-cora")
    assert world.show(key)["state"] == "scheduled"
    (launch,) = world.api.filter_flow_runs(
        {"tags": {"all_": [f"theme:{key}"]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    )
    starts = datetime.fromisoformat(world.show(key)["starts_at"])
    assert datetime.fromisoformat(launch["next_scheduled_start_time"]) == starts
    world.sign("recall", key, "acc-sue")
    assert world.show(key)["state"] == "draft"
    assert world.run_state(launch["id"]) == "CANCELLED"
    assert world.show(key)["rounds"][-1]["state"] == "recalled"


def test_missed_start_asks_a_person_whose_launch_sends_at_once_and_can_be_paused_and_resumed(world: World) -> None:
    key = "acc-missed"
    file = world.theme_file(
        key,
        author="acc-abe",
        start=LATE,
        policy="acc-none",
        coupons=[],
        activities=[],
        exclusions=[],
        channels=SLOW_MAIL,
    )
    world.draft(file, "acc-abe")
    world.sign("submit", key, "acc-abe")
    world.wait_for_state(key, "missed")
    (asked,) = world.show(key)["alerts"]
    assert asked["subject"] == "a launch was missed"
    assert "launch-now" in asked["text"]
    assert progress(world, key) == {}

    before = launches(world, key)
    world.sign("launch-now", key, "acc-abe")
    assert len(launches(world, key) - before) == 1, "the launch is left to the reconciler"
    wait_until("the first mail", lambda: sent(world, key).get("email", 0) > 2)
    world.sign("pause", key, "acc-sid")
    paused_at = datetime.now(UTC)
    wait_until("silence", lambda: not progress(world, key)["email"]["states"].get("sending"), seconds=10)
    mails = progress(world, key)["email"]
    assert mails["closed_because"] == "the theme is paused"
    assert 0 < mails["states"]["sent"] < planned(mails)
    last = max(
        datetime.fromisoformat(one["sent_at"])
        for one in world.cli.json("deliveries", "list", "--theme", key, "--state", "sent")
    )
    assert last < paused_at + timedelta(seconds=3)
    before = launches(world, key)
    world.sign("resume", key, "acc-sid")
    assert len(launches(world, key) - before) == 1, "the resumption is left to the reconciler"
    wait_until("the rest", lambda: sent(world, key)["email"] == planned(mails))
