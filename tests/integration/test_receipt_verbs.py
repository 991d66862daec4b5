"""The verbs around receipts and links: addresses for callbacks, mail that came back, what is tracked."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from approval.secrecy import Cipher, new_key
from channels.service.callbacks import callback_account
from models.queries import provider_accounts
from models.receipt import CallbackEndpoint
from tests.integration.command_line import CommandLine, command_line_over
from tests.integration.scene import LINE, Scene

KEY = new_key()
BOUNCE = """From: MAILER-DAEMON@mx.example.org
To: bounces@example.com
Message-ID: <1@mx.example.org>
Date: Fri, 20 Nov 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; customer-1@gb.example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--b--
"""


@pytest.fixture
def cli(scene: Scene, tmp_path: Path) -> Iterator[CommandLine]:
    with command_line_over(scene.database, tmp_path, THEMELINE_SECRET_KEY=KEY) as cli:
        yield cli


def test_address_for_callbacks_is_the_same_until_it_is_renewed(scene: Scene, cli: CommandLine) -> None:
    first = cli.json("accounts", "callback", "sms-main")
    again = cli.json("accounts", "callback", "sms-main")
    renewed = cli.json("accounts", "callback", "sms-main", "--renew")
    assert first == again
    assert first["url"].startswith("https://go.example.com/callbacks/sms-main/")
    assert renewed["url"] != first["url"]
    with scene.begin() as session:
        account = callback_account(session, key="sms-main", cipher=Cipher([KEY]))
    assert account is not None
    assert account.is_called_with(renewed["url"].rpartition("/")[2])
    assert not account.is_called_with(first["url"].rpartition("/")[2])
    assert renewed["url"].rpartition("/")[2] not in repr(account)


def test_address_for_a_provider_that_signs_holds_no_secret(scene: Scene, cli: CommandLine) -> None:
    scene.run("UPDATE provider_accounts SET provider = 'twilio' WHERE key = 'sms-main'")
    told = cli.json("accounts", "callback", "sms-main")
    assert told["url"] == "https://go.example.com/callbacks/sms-main"
    assert "its address holds no secret" in cli.refusal("accounts", "callback", "sms-main", "--renew")
    with scene.begin() as session:
        assert session.query(CallbackEndpoint).all() == []


def test_secret_of_a_callback_is_not_readable_in_the_database(scene: Scene, cli: CommandLine) -> None:
    secret = cli.json("accounts", "callback", "sms-main")["url"].rpartition("/")[2]
    with scene.begin() as session:
        (kept,) = session.query(CallbackEndpoint).all()
        assert secret.encode() not in bytes(kept.secret)


def test_account_whose_provider_never_calls_has_no_address(scene: Scene, cli: CommandLine) -> None:
    scene.run("UPDATE provider_accounts SET provider = 'fcm' WHERE key = 'push-main'")
    assert "sends no receipts" in cli.refusal("accounts", "callback", "push-main")
    assert "there is no provider account" in cli.refusal("accounts", "callback", "nobody")


def test_bounce_is_read_from_a_file_and_known_the_second_time(scene: Scene, cli: CommandLine, tmp_path: Path) -> None:
    with scene.begin() as session:
        for account in provider_accounts.accounts(session):
            account.secrets = Cipher([KEY]).encrypt(json.dumps({}))
    mail = tmp_path / "bounce.eml"
    mail.write_bytes(BOUNCE.replace("\n", "\r\n").encode())
    told = cli.json("bounces", "read", str(mail), "--account", "mail-main")
    assert told == {"account": "mail-main", "new": 1, "known": 0}
    assert cli.json("bounces", "read", str(mail), "--account", "mail-main")["known"] == 1


def test_what_is_no_mail_or_no_mail_account_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.eml"
    nothing.write_bytes(b"")
    assert "no mail" in cli.refusal("bounces", "read", str(nothing), "--account", "mail-main")
    assert "bounces are of email" in cli.refusal("bounces", "read", str(nothing), "--account", "sms-main")
    missing = tmp_path / "missing.eml"
    assert "cannot be read" in cli.refusal("bounces", "read", str(missing), "--account", "mail-main")


def test_tracking_is_on_and_switched_off_for_each_product_line(cli: CommandLine) -> None:
    line = {"key": LINE, "name": "Giftware", "opens": True, "clicks": True}
    assert cli.json("product-lines", "list") == [line]
    assert cli.json("product-lines", "track", LINE, "--no-opens") == {**line, "opens": False}
    assert cli.json("product-lines", "track", LINE, "--no-clicks", "--opens") == {**line, "clicks": False}
    assert cli.json("product-lines", "list") == [{**line, "clicks": False}]
    assert "there is no product line" in cli.refusal("product-lines", "track", "nowhere", "--opens")
