import smtplib
import socket
import time
from collections.abc import Callable, Iterator

import pytest
import requests

from sandbox.faults import falls_in_share
from sandbox.process import Running, started
from tests.conformance.sandbox_calls import (
    TIMEOUT,
    fault,
    log,
    mail_to,
    new_cid,
    push_batch,
    records,
    single,
    sms_batch,
    smtp,
    subscribe,
    token,
)

HTTP_CHANNELS = ("sms", "push", "mini_program")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(folder=tmp_path_factory.mktemp("faults")) as running:
        yield running


@pytest.fixture
def sandbox(process: Running) -> Running:
    for path in ("_log", "_faults"):
        requests.delete(f"{process.http}/{path}", timeout=TIMEOUT)
    return process


def call(sandbox: Running, channel: str) -> requests.Response:
    """One good call with one recipient."""
    calls: dict[str, Callable[[], requests.Response]] = {
        "sms": lambda: sms_batch(["13800000001"]).send(sandbox),
        "push": lambda: push_batch(sandbox, {new_cid(): single("reg-1")}),
        "mini_program": lambda: subscribe(sandbox, token(sandbox)["access_token"]),
    }
    return calls[channel]()


def mail(sandbox: Running) -> None:
    with smtp(sandbox) as client:
        client.send_message(mail_to("a@example.com"))


@pytest.mark.parametrize("channel", HTTP_CHANNELS)
def test_status_fails_the_call_and_records_nothing(sandbox: Running, channel: str) -> None:
    fault(sandbox, channel, "status", status=503, count=1)
    assert call(sandbox, channel).status_code == 503
    assert (log(sandbox, channel)["accepted"], log(sandbox, channel)["refused"]) == (0, 1)
    assert call(sandbox, channel).status_code == 200
    assert log(sandbox, channel)["accepted"] == 1


def test_status_carries_the_provider_s_own_body(sandbox: Running) -> None:
    fault(sandbox, "sms", "status", code="isv.AMOUNT_NOT_ENOUGH", message="No money")
    fault(sandbox, "push", "status", status=401, code=1004)
    fault(sandbox, "mini_program", "status", code=45009, message="daily quota")
    answer = call(sandbox, "sms")
    assert (answer.status_code, answer.json()["Code"]) == (200, "isv.AMOUNT_NOT_ENOUGH")
    assert answer.json()["Message"] == "No money"
    answer = call(sandbox, "push")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 1004)
    answer = call(sandbox, "mini_program")
    assert (answer.status_code, answer.json()["errcode"]) == (200, 45009)


def test_a_wechat_gateway_error_is_a_page_and_not_json(sandbox: Running) -> None:
    fault(sandbox, "mini_program", "status", status=502)
    answer = call(sandbox, "mini_program")
    assert (answer.status_code, answer.headers["Content-Type"]) == (502, "text/html")


def test_status_of_a_mail_comes_after_the_final_dot_or_at_mail(sandbox: Running) -> None:
    fault(sandbox, "email", "status", status=554, code="5.7.1", message="Spam", count=1)
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        mail(sandbox)
    assert (refusal.value.smtp_code, refusal.value.smtp_error) == (554, b"5.7.1 Spam")
    fault(sandbox, "email", "status", status=450, endpoint="mail", count=1)
    with pytest.raises(smtplib.SMTPSenderRefused) as sender:
        mail(sandbox)
    assert sender.value.smtp_code == 450
    mail(sandbox)
    assert log(sandbox, "email")["accepted"] == 1


def test_a_421_closes_the_connection(sandbox: Running) -> None:
    fault(sandbox, "email", "status", status=421)
    with smtp(sandbox) as client:
        with pytest.raises(smtplib.SMTPDataError):
            client.send_message(mail_to("a@example.com"))
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()


def test_throttle_answers_in_each_provider_s_way(sandbox: Running) -> None:
    for channel in (*HTTP_CHANNELS, "email"):
        fault(sandbox, channel, "throttle", retry_after=7)
    answer = call(sandbox, "sms")
    assert (answer.status_code, answer.json()["Code"]) == (429, "Throttling.User")
    assert answer.headers["Retry-After"] == "7"
    answer = call(sandbox, "push")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, 2002)
    assert (answer.headers["X-Rate-Limit-Remaining"], answer.headers["X-Rate-Limit-Reset"]) == ("0", "7")
    answer = call(sandbox, "mini_program")
    assert (answer.status_code, answer.json()["errcode"]) == (200, 45011)
    with pytest.raises(smtplib.SMTPDataError) as refusal:
        mail(sandbox)
    assert refusal.value.smtp_code == 450
    assert b"try again in 7 seconds" in refusal.value.smtp_error


def test_throttle_lets_the_rate_through(sandbox: Running) -> None:
    number = fault(sandbox, "push", "throttle", requests_per_second=2)
    codes = [call(sandbox, "push").status_code for _ in range(20)]
    assert codes[:2] == [200, 200]
    assert 429 in codes
    listed = requests.get(f"{sandbox.http}/_faults", timeout=TIMEOUT).json()["faults"]
    assert listed == [
        {
            "id": number,
            "channel": "push",
            "kind": "throttle",
            "endpoint": "send",
            "share": 1.0,
            "requests_per_second": 2.0,
            "hits": codes.count(429),
        }
    ]


@pytest.mark.parametrize("channel", HTTP_CHANNELS)
def test_delay_records_at_once_and_answers_late(sandbox: Running, channel: str) -> None:
    fault(sandbox, channel, "delay", delay=0.4)
    started_at = time.monotonic()
    assert call(sandbox, channel).status_code == 200
    assert time.monotonic() - started_at >= 0.4
    assert log(sandbox, channel)["accepted"] == 1


def test_a_caller_that_gives_up_on_a_late_answer_was_accepted_all_the_same(sandbox: Running) -> None:
    fault(sandbox, "push", "delay", delay=30)
    cid = new_cid()
    body = {"pushlist": {cid: single("reg-1")}}
    with pytest.raises(requests.Timeout):
        requests.post(
            f"{sandbox.http}/v3/push/batch/regid/single",
            json=body,
            auth=("sandboxappkey0000000000", "sandbox-master"),
            timeout=0.3,
        )
    assert [record["reference"] for record in records(sandbox, "push")] == [cid]


def test_delay_holds_a_mail_s_reply_and_what_follows_in_order(sandbox: Running) -> None:
    fault(sandbox, "email", "delay", delay=0.3)
    started_at = time.monotonic()
    with socket.create_connection((sandbox.smtp_host, sandbox.smtp_port), timeout=TIMEOUT) as connection:
        burst = b"HELO s\r\nMAIL FROM:<s@s.example>\r\nRCPT TO:<a@example.com>\r\nDATA\r\nHi\r\n.\r\nQUIT\r\n"
        connection.sendall(burst)
        with connection.makefile("rb") as lines:
            assert [line[:3] for line in lines] == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
    assert time.monotonic() - started_at >= 0.3


@pytest.mark.parametrize("channel", HTTP_CHANNELS)
def test_hang_never_answers_and_records_nothing(
    sandbox: Running, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.conformance.sandbox_calls.TIMEOUT", 0.4)
    fault(sandbox, channel, "hang")
    with pytest.raises(requests.Timeout):
        call(sandbox, channel)
    assert log(sandbox, channel)["accepted"] == 0


def test_hang_never_answers_a_mail(sandbox: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.conformance.sandbox_calls.TIMEOUT", 0.4)
    fault(sandbox, "email", "hang")
    client = smtp(sandbox)
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        client.send_message(mail_to("a@example.com"))
    client.close()
    assert log(sandbox, "email")["accepted"] == 0


@pytest.mark.parametrize("channel", HTTP_CHANNELS)
def test_cut_after_accept_leaves_the_caller_in_doubt(sandbox: Running, channel: str) -> None:
    fault(sandbox, channel, "cut_after_accept", count=1)
    with pytest.raises(requests.ConnectionError):
        call(sandbox, channel)
    assert log(sandbox, channel)["accepted"] == 1


def test_cut_after_the_final_dot_has_the_mail_on_record(sandbox: Running) -> None:
    fault(sandbox, "email", "cut_after_accept")
    client = smtp(sandbox)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.send_message(mail_to("a@example.com"))
    client.close()
    assert log(sandbox, "email")["accepted"] == 1


@pytest.mark.parametrize("channel", HTTP_CHANNELS)
def test_down_resets_the_connection_of_that_channel_only(sandbox: Running, channel: str) -> None:
    number = fault(sandbox, channel, "down")
    with pytest.raises(requests.ConnectionError):
        call(sandbox, channel)
    assert all(call(sandbox, other).status_code == 200 for other in HTTP_CHANNELS if other != channel)
    assert requests.delete(f"{sandbox.http}/_faults/{number}", timeout=TIMEOUT).json() == {"removed": 1}
    assert call(sandbox, channel).status_code == 200


def test_down_is_a_reset_before_the_body_is_read(sandbox: Running) -> None:
    fault(sandbox, "push", "down")
    with socket.create_connection(("127.0.0.1", sandbox.http_port), timeout=TIMEOUT) as connection:
        connection.sendall(b"POST /v3/push HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 100\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(100)


def test_down_greets_with_421_and_ends_open_connections_at_the_next_mail(sandbox: Running) -> None:
    with smtp(sandbox) as client:
        client.send_message(mail_to("a@example.com"))
        fault(sandbox, "email", "down")
        with pytest.raises(smtplib.SMTPSenderRefused) as refusal:
            client.send_message(mail_to("b@example.com"))
        assert refusal.value.smtp_code == 421
    with pytest.raises(smtplib.SMTPConnectError) as greeting:
        smtp(sandbox)
    assert greeting.value.smtp_code == 421
    assert log(sandbox, "email")["accepted"] == 1


def test_a_fault_can_be_for_the_token_alone(sandbox: Running) -> None:
    access = token(sandbox)["access_token"]
    fault(sandbox, "mini_program", "status", endpoint="token", code=-1)
    assert token(sandbox)["errcode"] == -1
    assert subscribe(sandbox, access).json()["errcode"] == 0


def test_a_share_strikes_the_same_recipients_every_time(sandbox: Running) -> None:
    fault(sandbox, "push", "recipient_error", share=0.2)
    targets = [f"reg-{n}" for n in range(300)]
    rounds = []
    for _ in range(2):
        cids = {new_cid(): target for target in targets}
        answer = push_batch(sandbox, {cid: single(target) for cid, target in cids.items()}).json()
        rounds.append({cids[cid] for cid, result in answer.items() if "error" in result})
    assert rounds[0] == rounds[1] == {target for target in targets if falls_in_share(target, 0.2)}
    assert 30 < len(rounds[0]) < 90


def test_a_share_of_calls_goes_by_the_call_s_number(sandbox: Running) -> None:
    fault(sandbox, "push", "status", status=500, share=0.5)
    failed = [call(sandbox, "push").status_code == 500 for _ in range(40)]
    first = records(sandbox, "push")[0]["call"] - failed.index(False)
    assert failed == [falls_in_share(str(first + n), 0.5) for n in range(40)]
    assert True in failed


def test_a_fault_of_a_call_can_be_matched_by_recipient(sandbox: Running) -> None:
    fault(sandbox, "sms", "status", status=500, match="^139")
    assert sms_batch(["13800000001", "13800000002"]).send(sandbox).status_code == 200
    assert sms_batch(["13800000001", "13900000002"]).send(sandbox).status_code == 500


def test_a_fault_ends_after_its_seconds(sandbox: Running) -> None:
    fault(sandbox, "push", "status", status=500, seconds=0.5)
    assert call(sandbox, "push").status_code == 500
    deadline = time.monotonic() + 5
    while call(sandbox, "push").status_code == 500:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("content", "field", "allowed"),
    [
        ({"kind": "down"}, "channel", "mini_program"),
        ({"channel": "fax", "kind": "down"}, "channel", "sms, email, push"),
        ({"channel": "sms"}, "kind", "recipient_error"),
        ({"channel": "sms", "kind": "explode"}, "kind", "cut_after_accept"),
        ({"channel": "sms", "kind": "down", "shore": 0.5}, "shore", "share"),
        ({"channel": "sms", "kind": "down", "share": 1.5}, "share", "less than or equal to 1"),
        ({"channel": "sms", "kind": "down", "count": 0}, "count", "greater than or equal to 1"),
        ({"channel": "sms", "kind": "down", "match": "1"}, "match", "status"),
        ({"channel": "sms", "kind": "hang", "match": "("}, "match", "regular expression"),
        ({"channel": "sms", "kind": "delay"}, "delay", "late"),
        ({"channel": "sms", "kind": "delay", "delay": -1}, "delay", "greater than 0"),
        ({"channel": "sms", "kind": "hang", "delay": 1}, "delay", "kind delay"),
        ({"channel": "sms", "kind": "status"}, "status", "HTTP status"),
        ({"channel": "sms", "kind": "status", "status": 42}, "status", "200 to 599"),
        ({"channel": "email", "kind": "status", "status": 250}, "status", "400 to 599"),
        ({"channel": "email", "kind": "recipient_error", "code": "mad"}, "code", "5.1.1"),
        ({"channel": "push", "kind": "recipient_error", "code": "isv.X"}, "code", "whole number"),
        ({"channel": "push", "kind": "no_receipt"}, "kind", "sms only"),
        ({"channel": "push", "kind": "hang", "endpoint": "query"}, "endpoint", "send, cid, token"),
        ({"channel": "push", "provider": "jpush", "kind": "hang", "endpoint": "token"}, "endpoint", "send, cid"),
        ({"channel": "push", "provider": "fcm", "kind": "hang", "endpoint": "cid"}, "endpoint", "send, token"),
        ({"channel": "push", "provider": "aliyun", "kind": "hang"}, "provider", "jpush, fcm"),
        ({"channel": "push", "provider": "fcm", "kind": "status", "code": 404}, "code", "UNREGISTERED"),
        ({"channel": "push", "kind": "recipient_error", "endpoint": "cid"}, "endpoint", "send"),
        ({"channel": "push", "kind": "status", "status": 500, "message": "a\r\nb"}, "message", "pattern"),
        ([], "body", "JSON object"),
    ],
)
def test_a_wrong_fault_is_answered_with_the_field_and_what_is_allowed(
    sandbox: Running, content: object, field: str, allowed: str
) -> None:
    answer = requests.post(f"{sandbox.http}/_faults", json=content, timeout=TIMEOUT)
    assert answer.status_code == 400
    assert answer.json()["field"] == field
    assert allowed in answer.json()["allowed"]
    assert requests.get(f"{sandbox.http}/_faults", timeout=TIMEOUT).json() == {"faults": []}


def test_removing_a_fault_that_is_not_there_is_refused(sandbox: Running) -> None:
    answer = requests.delete(f"{sandbox.http}/_faults/999", timeout=TIMEOUT)
    assert (answer.status_code, answer.json()["ids"]) == (404, [])
