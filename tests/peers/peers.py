"""The providers' own libraries as peers: what they send arrives like ours, and what they are told is what we are told.

Both send to the same stand-in. `make test-peers` runs this; the libraries live in an environment of their own.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.message import Fate, Found, Inquirer, Inquiry, Message, Outcome, Provider, PushContent, SmsContent
from channels.sms.aliyun_details import CHINA
from sandbox.process import started
from tests.conformance.provider_case import ALIYUN, FCM, JPUSH, TWILIO, Case, Sandbox, deliver

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
CALLBACK = "https://shop.example/callbacks/sms"
Results = list[dict[str, Any]]


@dataclass(frozen=True)
class Official:
    """One of the libraries, in a process of its own."""

    process: subprocess.Popen[str]

    def do(self, verb: str, **job: object) -> Results:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"verb": verb, **job}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the process with the official libraries has ended: its words are above"
        found: Results = json.loads(line)
        return found


@contextmanager
def library(name: str) -> Iterator[Official]:
    assert PYTHON.exists(), "the official libraries are not installed: run `make peers`"
    command = [str(PYTHON), "-m", f"tests.peers.official_{name}"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Official(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=10) == 0


@pytest.fixture(scope="module")
def twilio() -> Iterator[Official]:
    with library("twilio") as found:
        yield found


@pytest.fixture(scope="module")
def firebase() -> Iterator[Official]:
    with library("firebase") as found:
        yield found


@pytest.fixture(scope="module")
def jpush() -> Iterator[Official]:
    with library("jpush") as found:
        yield found


@pytest.fixture(scope="module")
def aliyun() -> Iterator[Official]:
    with library("aliyun") as found:
        yield found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with started(folder=tmp_path_factory.mktemp("sandbox")) as found:
        yield Sandbox(http=found.http, smtp_host=found.smtp_host, smtp_port=found.smtp_port)


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.reset()
    return running


def ours(case: Case, sandbox: Sandbox, messages: Sequence[Message], **settings: object) -> Sequence[Outcome]:
    async def send(provider: Provider) -> list[Outcome]:
        return await deliver(provider, messages)

    found: list[Outcome] = case.run(sandbox, send, **settings)
    return found


def arrived(case: Case, sandbox: Sandbox) -> list[dict[str, Any]]:
    """What the stand-in took, without what is new each time; and it is forgotten."""
    records = [_lasting(record) for record in sandbox.records(case)]
    sandbox._call("DELETE", "/_log")
    return sorted(records, key=lambda record: str(record["recipient"]))


def _lasting(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in {"message_id", "call", "at"}}


def codes(results: Results) -> list[str]:
    return [result["code"] for result in results]


def fault(case: Case, sandbox: Sandbox, scripted: Mapping[str, object] | None) -> None:
    if scripted is not None:
        sandbox.fault(case, **scripted)


# Twilio.


def twilio_job(sandbox: Sandbox, messages: Sequence[Message]) -> dict[str, Any]:
    texts = [message.content.text for message in messages if isinstance(message.content, SmsContent)]
    return {
        **_twilio_account(sandbox),
        "sender": "+14155550100",
        "messages": [
            {
                "address": message.address,
                "text": text,
                "status_callback": f"{CALLBACK}?delivery={message.delivery_id}",
            }
            for message, text in zip(messages, texts, strict=True)
        ],
    }


def _twilio_account(sandbox: Sandbox) -> dict[str, str]:
    sid = str(TWILIO.settings(sandbox)["account_sid"])
    return {"origin": sandbox.http, "account_sid": sid, "auth_token": "sandbox-twilio"}


@pytest.mark.parametrize(
    "scripted",
    [
        None,
        {"kind": "recipient_error", "code": 21211, "match": "[37]$"},
        {"kind": "recipient_error", "code": 21610},
        {"kind": "status", "code": 21606, "status": 400},
        {"kind": "throttle", "retry_after": 1},
        {"kind": "status", "status": 503},
    ],
    ids=str,
)
def test_twilio_s_library_sends_and_hears_the_same(
    scripted: Mapping[str, object] | None, sandbox: Sandbox, twilio: Official
) -> None:
    messages = TWILIO.messages(10)
    fault(TWILIO, sandbox, scripted)
    mine = ours(TWILIO, sandbox, messages, status_callback=CALLBACK)
    ours_arrived = arrived(TWILIO, sandbox)
    theirs = twilio.do("send", **twilio_job(sandbox, messages))
    assert [outcome.code for outcome in mine] == codes(theirs)
    assert ours_arrived == arrived(TWILIO, sandbox)
    assert [len(outcome.provider_message_id or "") for outcome in mine] == [len(found["id"] or "") for found in theirs]


def test_twilio_s_library_finds_the_message_that_we_find(sandbox: Sandbox, twilio: Official) -> None:
    (message,) = TWILIO.messages(1)
    began_at = datetime.now(UTC)
    sandbox.fault(TWILIO, kind="cut_after_accept", count=1)
    ours(TWILIO, sandbox, [message])
    sandbox.fault(TWILIO, kind="recipient_error", endpoint="query", code=30005)
    found = asked(TWILIO, sandbox, message, began_at)
    (theirs,) = twilio.do("listed", **_twilio_account(sandbox), address=message.address)
    assert (found.provider_message_id, found.code) == (theirs["id"], theirs["code"])
    assert (found.fate, theirs["status"]) == (Fate.FAILED, "undelivered")


def asked(case: Case, sandbox: Sandbox, message: Message, began_at: datetime) -> Found:
    question = Inquiry(delivery_id=message.delivery_id, address=message.address, began_at=began_at)

    async def inquire(provider: Provider) -> Sequence[Found]:
        inquirer: Inquirer = provider  # type: ignore[assignment]
        return await inquirer.inquire([question])

    (found,) = case.run(sandbox, inquire)
    assert isinstance(found, Found)
    return found


# FCM.


def fcm_job(sandbox: Sandbox, messages: Sequence[Message], name: str, kind: str = "token") -> dict[str, Any]:
    content = FCM.content
    assert isinstance(content, PushContent)
    return {
        "origin": sandbox.http,
        "name": name,
        "service_account": json.loads(sandbox.service_account()),
        "messages": [
            {
                "kind": kind,
                "address": message.address.removeprefix("fid:"),
                "title": content.title,
                "body": content.body,
                "data": dict(content.extras),
                "reference": str(message.delivery_id),
                "apns_headers": {"apns-collapse-id": str(message.delivery_id), "apns-expiration": "0"},
            }
            for message in messages
        ],
    }


def fcm_arrived(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Without the instant at which a message expires: the two are not built at the same one."""
    records = arrived(FCM, sandbox)
    for record in records:
        assert record["content"]["apns"]["headers"].pop("apns-expiration").isdecimal()
    return records


@pytest.mark.parametrize(
    "scripted",
    [
        None,
        {"kind": "recipient_error", "code": "UNREGISTERED", "match": "[37]$"},
        {"kind": "recipient_error", "code": "SENDER_ID_MISMATCH"},
        {"kind": "recipient_error", "code": "INVALID_ARGUMENT"},
        {"kind": "status", "code": "THIRD_PARTY_AUTH_ERROR"},
        {"kind": "status", "status": 403},
        {"kind": "throttle"},
        {"kind": "status", "code": "UNAVAILABLE"},
        {"kind": "status", "code": "INTERNAL"},
    ],
    ids=str,
)
def test_firebase_s_library_sends_and_hears_the_same(
    scripted: Mapping[str, object] | None,
    sandbox: Sandbox,
    firebase: Official,
    request: pytest.FixtureRequest,
) -> None:
    messages = FCM.messages(10)
    fault(FCM, sandbox, scripted)
    mine = ours(FCM, sandbox, messages)
    ours_arrived = fcm_arrived(sandbox)
    theirs = firebase.do("send", **fcm_job(sandbox, messages, request.node.name))
    assert [outcome.code for outcome in mine] == codes(theirs)
    assert ours_arrived == fcm_arrived(sandbox)


def test_firebase_s_library_addresses_an_installation_as_we_do(sandbox: Sandbox, firebase: Official) -> None:
    messages = [replace(FCM.messages(1)[0], address="fid:cInstallation_id-00000")]
    ours(FCM, sandbox, messages)
    ours_arrived = fcm_arrived(sandbox)
    assert codes(firebase.do("send", **fcm_job(sandbox, messages, "fid", kind="fid"))) == [""]
    assert ours_arrived == fcm_arrived(sandbox)


# JPush.


def jpush_job(sandbox: Sandbox, messages: Sequence[Message], keys: Sequence[str | None]) -> dict[str, Any]:
    content = JPUSH.content
    assert isinstance(content, PushContent)
    extras = dict(content.extras)
    android = {"alert": content.body, "title": content.title, "extras": extras}
    ios = {"alert": {"title": content.title, "body": content.body}, "extras": extras}
    notification = {"alert": content.body, "android": android, "ios": ios}
    options = {"time_to_live": 86_400, "apns_production": True}
    return {
        "origin": sandbox.http,
        "app_key": "sandboxappkey0000000000",
        "master_secret": "sandbox-master",
        "messages": [
            {
                "key": key,
                "address": message.address,
                "push": {
                    "platform": "all",
                    "target": message.address,
                    "notification": notification,
                    "options": options,
                },
            }
            for message, key in zip(messages, keys, strict=True)
        ],
    }


@pytest.mark.parametrize(
    "scripted",
    [None, {"kind": "recipient_error", "code": 1011, "match": "[37]$"}, {"kind": "recipient_error", "code": 1003}],
    ids=str,
)
def test_jpush_s_library_sends_and_hears_the_same(
    scripted: Mapping[str, object] | None, sandbox: Sandbox, jpush: Official
) -> None:
    messages = JPUSH.messages(10)
    fault(JPUSH, sandbox, scripted)
    mine = ours(JPUSH, sandbox, messages)
    ours_arrived = [{**record, "reference": None} for record in arrived(JPUSH, sandbox)]
    theirs = jpush.do("send", **jpush_job(sandbox, messages, [None] * 10))
    assert [outcome.code for outcome in mine] == codes(theirs)
    assert ours_arrived == [{**record, "reference": None} for record in arrived(JPUSH, sandbox)]


def test_jpush_s_library_gets_our_first_result_for_our_keys(sandbox: Sandbox, jpush: Official) -> None:
    """The same cid from another client is the same message: nobody gets it twice."""
    messages = JPUSH.messages(5)
    keyed: list[Message] = []

    async def send(provider: Provider) -> Sequence[Outcome]:
        keys = await provider.allocate_keys(5)
        keyed.extend(replace(message, key=key) for message, key in zip(messages, keys, strict=True))
        return await provider.send(keyed)

    mine = JPUSH.run(sandbox, send)
    theirs = jpush.do("send_keyed", **jpush_job(sandbox, keyed, [message.key for message in keyed]))
    assert [outcome.provider_message_id for outcome in mine] == [found["id"] for found in theirs]
    assert sandbox.summary(JPUSH)["accepted"] == 5


@pytest.mark.parametrize(
    "scripted",
    [
        {"kind": "status", "code": 2003, "status": 403},
        {"kind": "throttle"},
        {"kind": "status", "code": 1030, "status": 503},
    ],
    ids=str,
)
def test_jpush_s_library_is_refused_with_the_same_code(
    scripted: Mapping[str, object], sandbox: Sandbox, jpush: Official
) -> None:
    messages = JPUSH.messages(1)
    fault(JPUSH, sandbox, scripted)
    mine = ours(JPUSH, sandbox, messages)
    theirs = jpush.do("send_keyed", **jpush_job(sandbox, messages, [None]))
    assert [outcome.code for outcome in mine] == codes(theirs)


# Aliyun.


def aliyun_account(sandbox: Sandbox) -> dict[str, str]:
    return {"origin": sandbox.http, "access_key_id": "sandbox-ak", "access_key_secret": "sandbox-secret"}


def aliyun_job(sandbox: Sandbox, messages: Sequence[Message]) -> dict[str, Any]:
    content = ALIYUN.content
    assert isinstance(content, SmsContent)
    return {
        **aliyun_account(sandbox),
        "sign_name": "逛吃",
        "template_code": "SMS_1",
        "messages": [
            {
                "address": message.address.removeprefix("+"),
                "params": {"content": content.text},
                "reference": str(message.delivery_id),
            }
            for message in messages
        ],
    }


@pytest.mark.parametrize(
    "scripted",
    [
        None,
        {"kind": "status", "code": "isv.AMOUNT_NOT_ENOUGH"},
        {"kind": "status", "code": "isv.SMS_CONTENT_ILLEGAL"},
        {"kind": "throttle"},
        {"kind": "status", "code": "ServiceUnavailable", "status": 503},
    ],
    ids=str,
)
def test_aliyun_s_library_sends_and_hears_the_same(
    scripted: Mapping[str, object] | None, sandbox: Sandbox, aliyun: Official
) -> None:
    messages = ALIYUN.messages(10)
    fault(ALIYUN, sandbox, scripted)
    mine = ours(ALIYUN, sandbox, messages)
    ours_arrived = arrived(ALIYUN, sandbox)
    theirs = aliyun.do("send", **aliyun_job(sandbox, messages))
    assert [outcome.code for outcome in mine] == codes(theirs)
    assert ours_arrived == arrived(ALIYUN, sandbox)


def test_aliyun_s_library_reads_the_same_of_a_message(sandbox: Sandbox, aliyun: Official) -> None:
    messages = ALIYUN.messages(2)
    began_at = datetime.now(UTC)
    sandbox.fault(ALIYUN, kind="cut_after_accept")
    ours(ALIYUN, sandbox, messages)
    found = asked(ALIYUN, sandbox, messages[1], began_at)
    (theirs,) = aliyun.do(
        "details",
        **aliyun_account(sandbox),
        address=messages[1].address.removeprefix("+"),
        day=began_at.astimezone(CHINA).strftime("%Y%m%d"),
    )
    assert (found.references, found.code) == ((theirs["reference"],), theirs["code"])
    assert (found.fate, theirs["status"]) == (Fate.DELIVERED, 3)
