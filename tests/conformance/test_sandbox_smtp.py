import smtplib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
import requests

from sandbox.process import Running, started
from tests.conformance.sandbox_calls import TIMEOUT, fault, log, mail_to, records, smtp


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(folder=tmp_path_factory.mktemp("smtp")) as running:
        yield running


@pytest.fixture
def sandbox(process: Running) -> Running:
    for path in ("_log", "_faults"):
        requests.delete(f"{process.http}/{path}", timeout=TIMEOUT)
    return process


class Dialogue:
    """Bytes to the server as they are, replies line by line."""

    def __init__(self, sandbox: Running) -> None:
        self._socket = socket.create_connection((sandbox.smtp_host, sandbox.smtp_port), timeout=TIMEOUT)
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def say(self, data: bytes) -> None:
        self._socket.sendall(data)

    def hear(self, replies: int) -> list[str]:
        found: list[str] = []
        while len(found) < replies:
            line = self._lines.readline().decode()
            if line[3:4] != "-":
                found.append(line[:3])
        return found

    def is_closed(self) -> bool:
        return self._lines.readline() == b""


def test_a_mail_is_on_record_as_a_reader_sees_it(sandbox: Running) -> None:
    with smtp(sandbox) as client:
        client.send_message(mail_to("a@example.com", "<7@shop.example>"))
        client.send_message(mail_to("b@example.com", "<8@shop.example>"))
    first, second = records(sandbox, "email")
    assert (first["recipient"], first["reference"]) == ("a@example.com", "<7@shop.example>")
    assert first["content"]["subject"] == "女王节"
    assert first["content"]["text"].replace("\r\n", "\n") == "Dear customer,\n.dots at the start stay\n"
    assert first["content"]["html"].strip() == "<p>亲爱的顾客</p>"
    assert ["List-Unsubscribe", "<https://shop.example/u/1>"] in first["content"]["headers"]
    assert second["call"] == first["call"] + 1


def test_a_burst_of_commands_gets_a_reply_each(sandbox: Running) -> None:
    with Dialogue(sandbox) as server:
        server.say(b"EHLO shop\r\n")
        assert server.hear(2) == ["220", "250"]
        server.say(b"MAIL FROM:<s@shop.example> BODY=8BITMIME\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<bad>\r\nDATA\r\n")
        assert server.hear(4) == ["250", "250", "501", "354"]
        # The end of one mail, the next one and the farewell arrive in one piece.
        server.say(b"Message-ID: <1@s>\r\n\r\nHi\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nRSET\r\nQUIT\r\n")
        assert server.hear(5) == ["250", "250", "250", "250", "221"]
    assert [record["recipient"] for record in records(sandbox, "email")] == ["a@example.com"]


def test_a_mail_may_arrive_byte_by_byte(sandbox: Running) -> None:
    with Dialogue(sandbox) as server:
        for byte in b"HELO s\r\nMAIL FROM:<s@s.example>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n..x\r\n..\r\n.\r\n":
            server.say(bytes([byte]))
        assert server.hear(6) == ["220", "250", "250", "250", "354", "250"]
    assert log(sandbox, "email")["accepted"] == 1


def test_what_the_envelope_said_is_on_record_with_the_mail(sandbox: Running) -> None:
    with Dialogue(sandbox) as server:
        server.say(b"EHLO shop\r\nMAIL FROM:<bounces+1@shop.example> RET=HDRS ENVID=7+2B\r\n")
        server.say(
            b"RCPT TO:<a@b.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2B@b.example\r\nRCPT TO:<c@b.example>\r\n"
        )
        server.say(b"DATA\r\nSubject: x\r\n\r\nHi\r\n.\r\n")
        assert server.hear(7)[2:] == ["250", "250", "250", "354", "250"]
    first, second = (dict(record["content"]["headers"]) for record in records(sandbox, "email"))
    assert first["Return-Path"] == second["Return-Path"] == "<bounces+1@shop.example>"
    assert (first["X-Envelope-Envid"], first["X-Envelope-Ret"]) == ("7+2B", "HDRS")
    assert (first["X-Envelope-Notify"], first["X-Envelope-Orcpt"]) == ("FAILURE,DELAY", "rfc822;a+2B@b.example")
    assert "X-Envelope-Notify" not in second


def test_a_lone_dot_is_an_empty_mail(sandbox: Running) -> None:
    with Dialogue(sandbox) as server:
        server.say(b"HELO s\r\nMAIL FROM:<s@s.example>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n.\r\nNOOP\r\n")
        assert server.hear(7) == ["220", "250", "250", "250", "354", "250", "250"]


@pytest.mark.parametrize(
    ("commands", "codes"),
    [
        (b"RCPT TO:<a@example.com>\r\n", ["503"]),
        (b"DATA\r\n", ["503"]),
        (b"MAIL FROM:<s@s.example>\r\nDATA\r\n", ["250", "554"]),
        (b"MAIL FROM:<s@s.example>\r\nMAIL FROM:<t@s.example>\r\n", ["250", "503"]),
        (b"MAIL FROM: s@s.example\r\n", ["501"]),
        (b"MAIL FROM:<s@s.example> SIZE=99999999\r\n", ["552"]),
        (b"MAIL FROM:<s@s.example> COLOR=red\r\n", ["555"]),
        (b"MAIL FROM:<s@s.example> RET=HDRS ENVID=1\r\nRCPT TO:<a@b.example> NOTIFY=FAILURE\r\n", ["250", "250"]),
        (b"MAIL FROM:<s@s.example> RET=ALL\r\nMAIL FROM:<s@s.example> ENVID=a+b\r\n", ["501", "501"]),
        (b"MAIL FROM:<s@s.example>\r\nRCPT TO:<a@b.example> NOTIFY=NEVER,DELAY\r\n", ["250", "501"]),
        (b"TURN\r\n", ["502"]),
        (b"\r\n", ["502"]),
        (b"EHLO\r\n", ["501"]),
    ],
)
def test_commands_out_of_order_or_form_are_refused(sandbox: Running, commands: bytes, codes: list[str]) -> None:
    with Dialogue(sandbox) as server:
        server.hear(1)
        server.say(commands)
        assert server.hear(len(codes)) == codes


def test_each_recipient_gets_a_reply_of_its_own(sandbox: Running) -> None:
    fault(sandbox, "email", "recipient_error", match="^gone@", code="550 5.1.1")
    fault(sandbox, "email", "recipient_error", match="^full@", code="452 4.2.2", message="Mailbox full")
    with smtp(sandbox) as client:
        refused = client.sendmail("s@s.example", ["a@example.com", "gone@example.com", "full@example.com"], "Hi")
    assert refused == {
        "gone@example.com": (550, b"5.1.1 User unknown"),
        "full@example.com": (452, b"4.2.2 Mailbox full"),
    }
    assert [record["recipient"] for record in records(sandbox, "email")] == ["a@example.com"]
    assert log(sandbox, "email")["refused"] == 2


def test_login_is_offered_and_checked(sandbox: Running) -> None:
    for mechanism in ("auth_plain", "auth_login"):
        with smtp(sandbox) as client:
            client.ehlo()
            client.user, client.password = "sandbox", "sandbox-smtp"
            assert client.auth(mechanism[5:].upper(), getattr(client, mechanism))[0] == 235
    with smtp(sandbox) as client, pytest.raises(smtplib.SMTPAuthenticationError) as refusal:
        client.login("sandbox", "guess")
    assert refusal.value.smtp_code == 535


def test_a_login_that_cannot_be_decoded_is_refused(sandbox: Running) -> None:
    with Dialogue(sandbox) as server:
        server.say(b"AUTH PLAIN !!\r\nAUTH GSSAPI\r\nAUTH LOGIN\r\n*\r\nNOOP\r\n")
        assert server.hear(6) == ["220", "501", "504", "334", "501", "250"]


def test_where_login_is_required_nothing_goes_without(tmp_path: Path) -> None:
    config = {
        "smtp": {"auth_required": True, "max_recipients": 2, "messages_per_connection": 1, "max_message_bytes": 4096}
    }
    with started(folder=tmp_path, config=config) as sandbox, smtp(sandbox) as client:
        with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
            client.sendmail("s@s.example", ["a@example.com"], "Hi")
        assert refusal.value.smtp_code == 530
        client.login("sandbox", "sandbox-smtp")
        everyone = [f"{name}@example.com" for name in "abc"]
        assert client.sendmail("s@s.example", everyone, "Hi") == {"c@example.com": (452, b"4.5.3 Too many recipients")}
        with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
            client.sendmail("s@s.example", ["a@example.com"], "Hi")
        assert refusal.value.smtp_code == 421


def test_a_mail_over_the_limit_is_read_to_its_end_and_refused(tmp_path: Path) -> None:
    with started(folder=tmp_path, config={"smtp": {"max_message_bytes": 4096}}) as sandbox, Dialogue(sandbox) as server:
        server.say(b"HELO s\r\nMAIL FROM:<s@s.example>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n")
        server.say(b"x" * 70 + b"\r\n")
        for _ in range(50):
            server.say(b"line\r\n" * 100)
        server.say(b".\r\nNOOP\r\n")
        assert server.hear(7) == ["220", "250", "250", "250", "354", "552", "250"]
        assert log(sandbox, "email")["accepted"] == 0


def test_an_endless_line_ends_the_connection(sandbox: Running) -> None:
    with Dialogue(sandbox) as server:
        server.say(b"x" * 5000)
        assert server.hear(2) == ["220", "421"]
        assert server.is_closed()
