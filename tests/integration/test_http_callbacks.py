"""Providers calling us over real HTTP: what is kept, what is refused, and that nothing secret is told."""

import asyncio
import hmac
import json
import logging
import socket
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
import requests

from approval.secrecy import Cipher, new_key
from channels.email.smtp import from_settings
from channels.message import EmailContent, Message, ReceiptKind
from channels.mini_program.wechat_events import signature
from channels.service.account import account_by_key
from channels.service.callbacks import callback_path
from channels.sms.twilio_signature import signature as twilio_signature
from channels.states import Channel
from channels.transport import HttpTransport
from models.database import Database
from models.queries.endpoints import keep_callback_secret
from sandbox.process import started
from tests.integration.delivery_world import until
from tests.integration.http_service import PUBLIC_URL, services_for, serving
from tests.integration.receipt_world import ReceiptWorld

CIPHER = Cipher([new_key()])
SECONDS = 20


@dataclass
class Called:
    """An account of a provider, the address that the provider is told, and deliveries that it has taken."""

    world: ReceiptWorld
    origin: str
    path: str

    @property
    def url(self) -> str:
        return f"{self.origin}{self.path}"

    def post(self, body: Any = None, **values: Any) -> requests.Response:
        return requests.post(self.url, data=body, timeout=SECONDS, **values)

    def write_to(self, *numbers: str) -> None:
        for one, number in zip(self.world.deliveries, numbers, strict=True):
            self.world.put(one, address=number)
        self.world.deliveries = [
            replace(one, address=number) for one, number in zip(self.world.deliveries, numbers, strict=True)
        ]

    def states(self) -> list[str]:
        return [self.world.standing(one)[0] for one in self.world.deliveries]

    def comes_to(self, *states: str) -> None:
        asyncio.run(until(lambda: self.states() == list(states), seconds=SECONDS))

    def kept(self) -> int:
        return int(
            self.world.world.rows(
                "SELECT count(*) FROM receipts WHERE account_id = :account", account=self.world.account_id
            )[0][0]
        )


@pytest.fixture(scope="module")
def origin(database_url: str) -> Iterator[str]:
    with serving(services_for(database_url, CIPHER)) as address:
        yield address


def called(database: Database, origin: str, channel: Channel, provider: str, **secrets: str) -> Called:
    world = ReceiptWorld(database, channel=channel)
    world.take()
    world.world.change(
        "UPDATE provider_accounts SET provider = :provider, secrets = :secrets WHERE id = :account",
        provider=provider,
        secrets=CIPHER.encrypt(json.dumps(secrets)),
        account=world.account_id,
    )
    with database.begin() as session:
        path = callback_path(session, key=world.world.account_key, cipher=CIPHER, now=datetime.now(UTC))
    return Called(world, origin, path)


@pytest.fixture
def aliyun(database: Database, origin: str) -> Called:
    made = called(database, origin, Channel.SMS, "aliyun")
    made.write_to("+8613800000001", "+447700900102", "+8613800000003")
    return made


def reports(of: Called, *errors: str) -> list[dict[str, Any]]:
    return [
        {
            "phone_number": one.address,
            "biz_id": one.message_id,
            "out_id": str(one.id),
            "success": not error,
            "err_code": error or "DELIVERED",
            "report_time": "2026-11-20 17:30:00",
        }
        for one, error in zip(of.world.deliveries, errors, strict=False)
    ]


def test_report_of_aliyun_moves_its_deliveries(aliyun: Called) -> None:
    # As it writes numbers: without 86, with a country code, with 86.
    numbers = {"+8613800000001": "13800000001", "+447700900102": "447700900102", "+8613800000003": "8613800000003"}
    said = reports(aliyun, "", "REJECTD", "")
    for report in said:
        report["phone_number"] = numbers[report["phone_number"]]
    answer = aliyun.post(json.dumps(said))
    assert (answer.status_code, answer.json()["code"]) == (200, 0)
    aliyun.comes_to("delivered", "failed", "delivered")


def test_callback_of_twilio_is_taken_with_its_signature_alone(database: Database, origin: str) -> None:
    twilio = called(database, origin, Channel.SMS, "twilio", auth_token="token")
    assert twilio.path == f"/callbacks/{twilio.world.world.account_key}"
    one = twilio.world.deliveries[0]
    target = f"{twilio.path}?delivery={one.id}"
    form = {"MessageSid": one.message_id, "MessageStatus": "delivered", "To": one.address}
    signed = twilio_signature(auth_token="token", url=PUBLIC_URL + target, fields={k: [v] for k, v in form.items()})
    forged = b64encode(hmac.digest(b"other", b"x", sha1)).decode()
    for given in (None, forged, ""):
        headers = {"X-Twilio-Signature": given}
        assert requests.post(origin + target, data=form, headers=headers, timeout=SECONDS).status_code == 403
    assert twilio.kept() == 0
    headers = {"X-Twilio-Signature": signed}
    assert requests.post(origin + target, data=form, headers=headers, timeout=SECONDS).status_code == 200
    twilio.comes_to("delivered", "sent", "sent")


def test_unsigned_callbacks_are_counted_by_account(database: Database, database_url: str) -> None:
    with serving(services_for(database_url, CIPHER)) as origin:
        twilio = called(database, origin, Channel.SMS, "twilio", auth_token="token")
        assert [twilio.post("MessageSid=1").status_code for _ in range(3)] == [403] * 3
        told = requests.get(f"{origin}/metrics", timeout=SECONDS).text
    key = twilio.world.world.account_key
    assert f'themeline_callbacks_refused_total{{account="{key}",channel="sms",provider="twilio"}} 3.0' in told


def test_secret_address_that_twilio_was_given_once_still_wants_its_signature(database: Database, origin: str) -> None:
    twilio = called(database, origin, Channel.SMS, "twilio", auth_token="token")
    with database.begin() as session:
        account = account_by_key(session, twilio.world.world.account_key)
        secret = CIPHER.encrypt("old-secret")
        keep_callback_secret(session, account=account, secret=secret, replace=False, now=datetime.now(UTC))
    one = twilio.world.deliveries[0]
    form = {"MessageSid": one.message_id, "MessageStatus": "delivered", "To": one.address}
    old = f"{twilio.path}/old-secret"
    assert requests.post(origin + old, data=form, timeout=SECONDS).status_code == 403
    assert requests.post(f"{origin}{twilio.path}/other", data=form, timeout=SECONDS).status_code == 404
    signed = twilio_signature(auth_token="token", url=PUBLIC_URL + old, fields={k: [v] for k, v in form.items()})
    answer = requests.post(origin + old, data=form, headers={"X-Twilio-Signature": signed}, timeout=SECONDS)
    assert (answer.status_code, twilio.kept()) == (200, 1)


def test_event_of_wechat_moves_its_delivery_and_counts_agreements_once(database: Database, origin: str) -> None:
    wechat = called(database, origin, Channel.MINI_PROGRAM, "wechat", push_token="tok")
    one = wechat.world.deliveries[0]
    query = urlencode({"timestamp": "1", "nonce": "n", "signature": signature("tok", "1", "n"), "echostr": "hello"})
    checked = requests.get(f"{wechat.url}?{query}", timeout=SECONDS)
    assert checked.text == "hello"
    base = {"FromUserName": one.address, "CreateTime": 1_790_000_000, "MsgType": "event"}
    agreed = {**base, "Event": "subscribe_msg_popup_event"}
    sent = {**base, "Event": "subscribe_msg_sent_event"}
    agreed["List"] = {"TemplateId": "T1", "SubscribeStatusString": "accept"}
    sent["List"] = {"TemplateId": "T1", "MsgID": one.message_id, "ErrorCode": "0", "ErrorStatus": "success"}
    for event in (agreed, sent, agreed):
        answer = requests.post(f"{wechat.url}?{query}", data=json.dumps(event), timeout=SECONDS)
        assert (answer.status_code, answer.text) == (200, "success")
    unsigned = requests.post(wechat.url, data=json.dumps(agreed), timeout=SECONDS)
    assert unsigned.status_code == 403
    wechat.comes_to("delivered", "sent", "sent")
    counted = "SELECT remaining FROM one_time_subscriptions WHERE product_line_id = :line"
    left = wechat.world.world.rows(counted, line=wechat.world.line)
    assert left == [(1,)]


def test_bounce_is_posted_as_it_came(database: Database, origin: str) -> None:
    mail = called(database, origin, Channel.EMAIL, "smtp")
    mail.write_to("a@example.org", "b@example.org", "c@example.org")
    account = "UPDATE provider_accounts SET settings = :settings WHERE id = :id"
    sender = json.dumps({"sender": "offers@example.com"})
    mail.world.world.change(account, settings=sender, id=mail.world.account_id)
    one = mail.world.deliveries[1]
    answer = mail.post(
        bounce_of(one.address, f"{one.id}@example.com").encode(), headers={"Content-Type": "message/rfc822"}
    )
    assert answer.status_code == 200
    mail.comes_to("sent", "failed", "sent")
    assert mail.world.suppressed() == {one.address: "bad_recipient"}
    assert mail.post(b"").status_code == 400


def test_letter_that_bounces_at_the_stand_in_fails_and_who_complains_is_not_written_to_again(
    database: Database, origin: str, tmp_path: Path
) -> None:
    mail = called(database, origin, Channel.EMAIL, "smtp", bounce_key="a key of sixteen")
    mail.write_to("ann@example.org", "gone@example.org", "angry@example.org")
    own = {"sender": "offers@example.com", "bounce_address": "bounces@example.com"}
    change = "UPDATE provider_accounts SET settings = :settings WHERE id = :id"
    mail.world.world.change(change, settings=json.dumps(own), id=mail.world.account_id)
    content = EmailContent(subject="Hello", text="you")
    letters = [Message(delivery_id=one.id, address=one.address, content=content) for one in mail.world.deliveries]
    with started(folder=tmp_path) as sandbox:
        where = {"host": sandbox.smtp_host, "port": sandbox.smtp_port, "security": "none"}

        async def send() -> None:
            provider = from_settings(
                account="mail",
                settings={**own, **where},
                secrets={"bounce_key": "a key of sixteen"},
                transport=HttpTransport(),
            )
            assert {outcome.error for outcome in await provider.send(letters)} == {None}
            await provider.close()

        asyncio.run(send())
        match = {"failing_match": "^gone@", "complaining_match": "^angry@"}
        asked = {"provider": "smtp", "url": mail.url, **match}
        assert requests.post(f"{sandbox.http}/_receipts", json=asked, timeout=SECONDS).ok
        mail.comes_to("sent", "failed", "sent")
        blocked = {"gone@example.org": "bad_recipient", "angry@example.org": "complaint"}
        asyncio.run(until(lambda: mail.world.suppressed() == blocked, seconds=SECONDS))


def bounce_of(address: str, message_id: str) -> str:
    return "\r\n".join(
        [
            "From: MAILER-DAEMON@mx.example.org",
            "To: offers@example.com",
            "Date: Fri, 20 Nov 2026 10:00:00 +0000",
            "MIME-Version: 1.0",
            'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
            "",
            "--b",
            "Content-Type: message/delivery-status",
            "",
            "Reporting-MTA: dns; mx.example.org",
            "",
            f"Final-Recipient: rfc822; {address}",
            "Action: failed",
            "Status: 5.1.1",
            "Diagnostic-Code: smtp; 550 5.1.1 no such user",
            "",
            "--b",
            "Content-Type: text/rfc822-headers",
            "",
            f"Message-ID: <{message_id}>",
            "--b--",
            "",
        ]
    )


def test_wrong_or_missing_secret_is_not_found(aliyun: Called) -> None:
    stem = aliyun.url.rpartition("/")[0]
    body = json.dumps(reports(aliyun, ""))
    unknown = f"{aliyun.origin}/callbacks/nobody/{aliyun.path.rpartition('/')[2]}"
    for url in (f"{stem}/{'x' * 32}", f"{stem}/", stem, unknown, f"{stem}/{quote('ü')}"):
        assert requests.post(url, data=body, timeout=SECONDS).status_code == 404
    assert aliyun.kept() == 0


def test_renewed_secret_ends_the_one_before(aliyun: Called, database: Database, database_url: str) -> None:
    with database.begin() as session:
        same = callback_path(session, key=aliyun.world.world.account_key, cipher=CIPHER, now=datetime.now(UTC))
        fresh = callback_path(
            session, key=aliyun.world.world.account_key, cipher=CIPHER, renew=True, now=datetime.now(UTC)
        )
    assert same == aliyun.path != fresh
    with serving(services_for(database_url, CIPHER)) as origin:
        assert requests.post(origin + aliyun.path, data="[]", timeout=SECONDS).status_code == 404
        assert requests.post(origin + fresh, data="[]", timeout=SECONDS).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'"text"',
        b"[1, null, [], {}]",
        b'[{"phone_number": ["x"], "success": true}]',
        b'[{"phone_number": "\\ud800", "success": true, "err_code": "\\u0000"}]',
        b'[{"phone_number": 1e400, "success": false, "report_time": {}}]',
    ],
)
def test_garbage_is_answered_and_changes_no_delivery(aliyun: Called, body: bytes) -> None:
    assert aliyun.post(body).status_code in {200, 400}
    assert requests.get(f"{aliyun.origin}/health", timeout=SECONDS).json() == {"status": "ok"}
    assert aliyun.states() == ["sent", "sent", "sent"]


def test_what_can_be_read_is_kept_beside_what_cannot(aliyun: Called) -> None:
    first, *_ = reports(aliyun, "", "")
    assert aliyun.post(json.dumps([{"strange": 1}, first, 7])).status_code == 200
    assert aliyun.kept() == 1


def test_huge_body_is_refused_whether_it_says_so_or_not(aliyun: Called) -> None:
    assert aliyun.post(b"x" * (2 * 1024 * 1024 + 1)).status_code == 413
    chunks = (b"y" * 65_536 for _ in range(40))
    assert aliyun.post(chunks).status_code == 413
    assert aliyun.kept() == 0


def test_body_that_never_comes_holds_nobody_up(aliyun: Called) -> None:
    parts = urlsplit(aliyun.url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=SECONDS) as slow:
        head = f"POST {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[".encode()
        slow.sendall(head)
        assert aliyun.post(json.dumps(reports(aliyun, ""))).status_code == 200
        assert slow.recv(64).startswith(b"HTTP/1.1 408")


def test_neither_logs_nor_answers_repeat_a_secret(
    database: Database, origin: str, caplog: pytest.LogCaptureFixture
) -> None:
    twilio = called(database, origin, Channel.SMS, "twilio", auth_token="very-secret-token")
    aliyun = called(database, origin, Channel.SMS, "aliyun")
    secret = aliyun.path.rpartition("/")[2]
    with caplog.at_level(logging.DEBUG):
        answers = [twilio.post("MessageSid=1"), twilio.post(b"\xff"), aliyun.post(b"\xff"), aliyun.post('[{"a": 1}]')]
        answers.append(requests.post(aliyun.url + "x", timeout=SECONDS))
    # The client that the test calls with logs what it calls.
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    told = "".join([*logged, *(answer.text + str(answer.headers) for answer in answers)])
    assert "callback refused" in told
    assert "callback unreadable" in told
    assert secret not in told
    assert "very-secret-token" not in told


def test_receipt_before_its_call_is_recorded_is_joined_without_anybody_asking(aliyun: Called) -> None:
    one = aliyun.world.deliveries[0]
    aliyun.world.put(one, state="sending", provider_message_id=None)
    body = json.dumps(reports(aliyun, ""))
    assert aliyun.post(body).status_code == 200
    aliyun.world.put(one, state="sent", provider_message_id=one.message_id)
    aliyun.comes_to("delivered", "sent", "sent")


def test_without_a_secret_key_callers_are_told_to_come_back(aliyun: Called, database_url: str) -> None:
    with serving(services_for(database_url, None)) as origin:
        answer = requests.post(origin + aliyun.path, data="[]", timeout=SECONDS)
    assert answer.status_code == 503


def test_without_its_database_callers_are_told_to_come_back() -> None:
    away = services_for("postgresql://nobody@127.0.0.1:1/none", CIPHER)
    with serving(away) as origin:
        answer = requests.post(f"{origin}/callbacks/a/b", data="[]", timeout=SECONDS)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert requests.get(f"{origin}/health", timeout=SECONDS).ok


def test_opened_is_no_final_state(aliyun: Called) -> None:
    aliyun.world.hear(aliyun.world.deliveries[0].receipt(ReceiptKind.OPENED))
    assert aliyun.states() == ["sent", "sent", "sent"]
