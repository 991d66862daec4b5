"""`themeline accounts`: what ops see of an account, and that pausing and applying do what they say."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from channels.states import Channel
from models.database import Database
from models.queries import permits, provider_accounts
from tests.integration.command_line import CommandLine, command_line_over
from tests.integration.scene import LINE, Scene

ALIYUN = {"access_key_id": "ak", "sign_name": "Themeline", "template_code": "SMS_1"}


@pytest.fixture
def cli(scene: Scene, tmp_path: Path) -> Iterator[CommandLine]:
    with command_line_over(scene.database, tmp_path, SMS_SECRET="s3cret") as cli:
        yield cli


def apply(cli: CommandLine, folder: Path, *accounts: dict[str, Any]) -> Any:
    file = folder / "accounts.yaml"
    file.write_text(yaml.safe_dump({"accounts": accounts}), encoding="utf-8")
    return cli.json("accounts", "apply", str(file))


def sms(name: str, **more: object) -> dict[str, Any]:
    base = {"account": name, "product_line": LINE, "channel": "sms", "provider": "aliyun"}
    return {**base, "settings": ALIYUN, "secrets": {"access_key_secret": "SMS_SECRET"}, **more}


def account_id(database: Database, key: str) -> int:
    with database.begin() as session:
        found = provider_accounts.by_key(session, key)
        assert found is not None
        return found.id


def test_an_account_keeps_what_the_file_says_and_what_the_provider_documents(cli: CommandLine, tmp_path: Path) -> None:
    windows = [{"per_seconds": 60, "at_most": 30, "counts": "recipients"}]
    price = {"amount": "0.045", "per": "segment"}
    apply(
        cli,
        tmp_path,
        sms("sms-a", pool="bulk", weight=3, price=price),
        sms("sms-b", pool="bulk", weight=0, limits={"windows": windows}),
    )
    documented, own = cli.json("accounts", "show", "sms-a"), cli.json("accounts", "show", "sms-b")
    assert documented["windows"] == [{"per_seconds": 1, "at_most": 5_000, "counts": "calls", "left": None}]
    assert (documented["windows_documented"], own["windows_documented"]) == (True, False)
    assert own["windows"] == [{**windows[0], "left": 30}]
    assert (documented["pool"], documented["weight"], own["weight"]) == ("bulk", 3, 0)
    assert documented["price"] == {"amount": "0.045000", "per": "segment", "currency": "GBP"}
    assert own["price"] is None
    apply(cli, tmp_path, sms("sms-a"))
    again = cli.json("accounts", "show", "sms-a")
    assert (again["pool"], again["weight"], again["price"]) == (None, 1, None)


def test_what_is_wrong_with_an_account_is_shown_with_the_providers_own_words(cli: CommandLine, scene: Scene) -> None:
    sick, now = account_id(scene.database, "sms-main"), datetime.now(UTC)
    until = now + timedelta(minutes=5)
    with scene.begin() as session:
        words = "Throttling.User: Request was denied due to user flow control."
        for began_at in (now - timedelta(minutes=2), now):
            provider_accounts.back_off(session, account_id=sick, began_at=began_at, until=began_at)
        provider_accounts.back_off(session, account_id=sick, began_at=now, until=until)
        provider_accounts.note_calls(session, account_id=sick, accepted=7, refused=3, last_words=words, now=now)
    told = cli.json("accounts", "show", "sms-main")
    assert (told["state"], told["refused_in_row"]) == ("backing_off", 3)
    assert told["because"] == f"refused 3 times in a row: {words}"
    assert datetime.fromisoformat(told["since"]) == now - timedelta(minutes=2)
    assert datetime.fromisoformat(told["backing_off_until"]) == until
    assert (told["health"]["accepted_of_hour"], told["health"]["refused_of_hour"]) == (7, 3)
    listed = cli.run("accounts", "list").stdout
    line = next(line for line in listed.splitlines() if line.startswith("sms-main"))
    assert f"backing off until {until:%F %T} UTC" in line
    assert "7 taken, 3 refused" in line
    assert words in line


def test_a_paused_account_says_why_and_since_when_until_it_is_resumed(cli: CommandLine) -> None:
    cli.json("accounts", "pause", "sms-main", "--because", "the balance is used up")
    paused = cli.json("accounts", "show", "sms-main")
    assert (paused["state"], paused["paused_because"]) == ("paused", "the balance is used up")
    assert datetime.now(UTC) - datetime.fromisoformat(paused["since"]) < timedelta(minutes=1)
    cli.json("accounts", "resume", "sms-main")
    opened = cli.json("accounts", "show", "sms-main")
    assert (opened["state"], opened["because"], opened["since"]) == ("open", None, None)


def test_an_account_whose_back_off_is_over_is_tried_by_one_sender(cli: CommandLine, scene: Scene) -> None:
    sick, past = account_id(scene.database, "sms-main"), datetime.now(UTC) - timedelta(seconds=1)
    with scene.begin() as session:
        provider_accounts.back_off(session, account_id=sick, began_at=past, until=past)
    told = cli.json("accounts", "show", "sms-main")
    assert (told["state"], told["backing_off_until"]) == ("probing", None)
    assert told["because"] == "refused once: no words of the provider are kept"


def test_what_a_long_window_has_left_is_shown_to_people(cli: CommandLine, scene: Scene, tmp_path: Path) -> None:
    apply(cli, tmp_path, sms("sms-b", limits={"windows": [{"per_seconds": 86_400, "at_most": 200_000}]}))
    with scene.begin() as session:
        permits.take(session, account_id=account_id(scene.database, "sms-b"), wanted=1_500, now=datetime.now(UTC))
    shown = cli.run("accounts", "show", "sms-b").stdout
    assert "windows (account file)  200,000 calls in 1 d, 198,500 left" in shown
    assert "s3cret" not in shown


def test_an_account_without_known_limits_says_what_to_do(cli: CommandLine) -> None:
    assert "set `limits.windows` in the account file" in cli.run("accounts", "show", "mail-main").stdout


def test_an_account_that_there_is_not_is_named(cli: CommandLine) -> None:
    assert "'sms-nain'" in cli.refusal("accounts", "show", "sms-nain")


def test_every_account_is_listed_with_its_state(cli: CommandLine) -> None:
    found = {one["account"]: one for one in cli.json("accounts", "list")}
    assert set(found) == {"sms-main", "mail-main", "push-main", "wechat-main"}
    assert {one["state"] for one in found.values()} == {"open"}
    assert {one["channel"] for one in found.values()} == {channel.value for channel in Channel}


def push(name: str, app: str, **more: object) -> dict[str, Any]:
    base = {"account": name, "product_line": LINE, "channel": "push", "provider": "jpush", "pool": "push-bulk"}
    return {**base, "settings": {"app_key": app}, "secrets": {"master_secret": "SMS_SECRET"}, **more}


def test_accounts_of_different_apps_cannot_stand_in_for_each_other(cli: CommandLine, tmp_path: Path) -> None:
    refused = refusal(cli, tmp_path, push("push-a", "shop"), push("push-b", "news"))
    assert "'push-a' is of jpush app shop, but push-b in the same pool 'push-bulk' is of jpush app news" in refused
    assert "give them pools of their own" in refused
    told = {one["account"] for one in cli.json("accounts", "list")}
    assert not told & {"push-a", "push-b"}
    apply(cli, tmp_path, push("push-a", "shop"), push("push-b", "shop"), push("push-c", "news", pool="other"))


def test_account_cannot_join_a_pool_of_another_app_that_is_there_already(cli: CommandLine, tmp_path: Path) -> None:
    apply(cli, tmp_path, push("push-a", "shop"))
    assert "push-a in the same pool" in refusal(cli, tmp_path, push("push-b", "news"))


def test_whole_pool_moves_to_another_app_by_one_file(cli: CommandLine, tmp_path: Path) -> None:
    apply(cli, tmp_path, push("push-a", "shop"), push("push-b", "shop"))
    apply(cli, tmp_path, push("push-a", "news"), push("push-b", "news"))
    assert "push-b in the same pool" in refusal(cli, tmp_path, push("push-a", "shop"))


def refusal(cli: CommandLine, folder: Path, *accounts: dict[str, Any]) -> str:
    file = folder / "accounts.yaml"
    file.write_text(yaml.safe_dump({"accounts": accounts}), encoding="utf-8")
    return cli.refusal("accounts", "apply", str(file))
