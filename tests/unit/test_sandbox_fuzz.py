import itertools
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.aliyun_messages import BusinessRefused, read_batch, read_single
from sandbox.credentials import AliyunAccount, FcmAccount, JPushAccount, SmtpAccount, TwilioAccount, WeChatAccount
from sandbox.fault_form import BadField, as_json, read_fault
from sandbox.faults import Fault, Faults, Kind
from sandbox.fcm import Fcm
from sandbox.google_token import ServiceAccount
from sandbox.http_call import Arrived, json_reply
from sandbox.jpush import JPush
from sandbox.ledger import Ledger
from sandbox.mail import decoded
from sandbox.smtp import SmtpServer
from sandbox.twilio import Twilio
from sandbox.wechat import WeChat
from sandbox.wechat_tokens import Tokens

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these fields, each as it should be or as it should not."""
    return st.fixed_dictionaries({}, optional={name: value | JSON for name, value in fields.items()})


ALERT = some(alert=st.just("Hi"), android=some(alert=st.just("Hi"), title=st.text()))
PUSH = some(
    platform=st.just("all"),
    target=st.sampled_from(["reg-1", "\ud800"]),
    audience=some(registration_id=st.just(["reg-1"])),
    notification=ALERT,
    options=some(sendno=st.integers(), time_to_live=st.integers()),
    cid=st.just("sandboxappkey0000000000-00000000-0000-0000-0000-000000000001"),
)
MESSAGE = some(
    touser=st.just("openid-1"),
    template_id=st.just("t-1"),
    data=some(thing1=some(value=st.text()), time2=some(value=st.text())),
    page=st.text(),
    lang=st.just("zh_CN"),
)


class Bench:
    """The providers around one ledger in memory, with a fault of each kind that needs the recipients."""

    def __init__(self) -> None:
        self.ledger = Ledger(journal=None, keep_content=True, identities={})
        self.faults = Faults()
        for kind in (Kind.RECIPIENT_ERROR, Kind.DELAY):
            self.faults.add(Fault(channel="push", kind=kind, endpoint="send", share=0.5))
        self.tokens = Tokens(account=WeChatAccount(), ledger=self.ledger)

    def push(self, path: str, body: object) -> tuple[int, Any]:
        account = JPushAccount()
        provider = JPush(account=account, log=self.ledger.logs["push"], faults=self.faults)
        headers: Mapping[str, str] = {"authorization": provider._basic}
        reply = provider.answer(Arrived("POST", path, headers, json.dumps(body).encode(), 1), "send")
        return reply.status, json.loads(reply.body)

    def subscribe(self, body: object) -> tuple[int, Any]:
        log = self.ledger.logs["mini_program"]
        provider = WeChat(account=WeChatAccount(), log=log, faults=self.faults, tokens=self.tokens)
        target = f"/cgi-bin/message/subscribe/send?access_token={self.tokens.current(1e12)[0]}"
        text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        reply = provider.answer(Arrived("POST", target, {}, text, 1), "send")
        return reply.status, json.loads(reply.body)


FORM = st.dictionaries(
    st.sampled_from(["To", "From", "Body", "ContentSid", "ContentVariables", "ValidityPeriod", "StatusCallback"]),
    st.text() | st.sampled_from(["+14155550100", "http://[", "{}", "1"]),
)
DEVICE = some(
    token=st.just("device-token-1"),
    fid=st.just("cInstallation"),
    notification=some(title=st.text(), body=st.text()),
    data=some(theme=st.text()),
    android=some(ttl=st.just("1s"), notification=some(tag=st.text())),
    apns=some(headers=JSON),
)


@given(FORM)
def test_whatever_form_arrives_is_answered_in_twilio_s_words(form: dict[str, str]) -> None:
    bench = Bench()
    provider = Twilio(account=TwilioAccount(), log=bench.ledger.logs["sms"], faults=bench.faults)
    headers = {"authorization": next(iter(provider._logins))}
    target = f"/2010-04-01/Accounts/{TwilioAccount().account_sid}/Messages.json"
    body = urlencode(form).encode()
    reply = provider.answer(Arrived("POST", target, headers, body, 1), "send")
    answer = json.loads(reply.body)
    assert ("sid" in answer) == (reply.status == 201)
    assert ("code" in answer) == (reply.status >= 400)


@given(some(message=DEVICE) | JSON)
def test_whatever_message_arrives_is_answered_in_fcm_s_words(body: object) -> None:
    bench = Bench()
    bench.ledger.keep_bearer("ya29.x", 1e12)
    service = ServiceAccount(account=FcmAccount(), ledger=bench.ledger)
    provider = Fcm(account=FcmAccount(), log=bench.ledger.logs["push"], faults=bench.faults, service=service)
    headers = {"authorization": "Bearer ya29.x"}
    text = json.dumps(body).encode()
    reply = provider.answer(Arrived("POST", "/v1/projects/sandbox-project/messages:send", headers, text, 1), "send")
    answer = json.loads(reply.body)
    assert ("name" in answer) == (reply.status == 200)
    assert ("error" in answer) == (reply.status >= 400)


@given(PUSH | JSON)
def test_whatever_push_arrives_is_answered_in_jpush_s_words(body: object) -> None:
    status, answer = Bench().push("/v3/push", body)
    assert (status == 200 and answer["msg_id"]) or (status == 400 and answer["error"]["code"] in (1002, 1003, 1011))


@given(some(pushlist=st.dictionaries(st.just("a-cid") | st.text(), PUSH | JSON, max_size=3)) | JSON)
def test_whatever_batch_arrives_is_answered_cid_by_cid(body: Any) -> None:
    status, answer = Bench().push("/v3/push/batch/regid/single", body)
    if status == 200:
        assert len(answer) == len(body["pushlist"])
        assert all(("msg_id" in result) != ("error" in result) for result in answer.values())
    else:
        assert (status, answer["error"]["code"]) == (400, 1003)


@given(MESSAGE | JSON)
def test_whatever_message_arrives_is_answered_with_an_errcode(body: object) -> None:
    status, answer = Bench().subscribe(body)
    assert status == 200
    assert answer["errcode"] in (0, 40003, 40037, 41030, 47001, 47003)


@given(
    some(
        PhoneNumbers=st.just("13800000001"),
        SignName=st.just("Shop"),
        TemplateParam=JSON.map(json.dumps),
        PhoneNumberJson=JSON.map(json.dumps) | st.just('["13800000001"]'),
        SignNameJson=JSON.map(json.dumps) | st.just('["Shop"]'),
        TemplateParamJson=JSON.map(json.dumps) | st.just("[{}]"),
        TemplateCode=st.just("SMS_1"),
    )
)
def test_whatever_sms_arrives_is_taken_or_refused_with_a_code(fields: dict[str, Any]) -> None:
    parameters = {name: value if isinstance(value, str) else urlencode({"v": value}) for name, value in fields.items()}
    for read in (read_single, read_batch):
        code = "isv."
        try:
            assert read(parameters, AliyunAccount(templates={"SMS_1": "Hello ${name}"})).messages
        except BusinessRefused as refusal:
            code = refusal.code
        assert code.startswith(("isv.", "Missing"))


@given(
    some(
        channel=st.sampled_from(["sms", "email", "push", "mini_program"]),
        kind=st.sampled_from(list(Kind)),
        endpoint=st.sampled_from(["send", "query", "mail", "token"]),
        code=st.integers() | st.text(),
        status=st.integers(),
        match=st.text(),
        share=st.floats(),
        count=st.integers(),
        delay=st.floats(),
    )
    | JSON
)
def test_whatever_fault_is_posted_is_taken_or_refused_by_field(content: object) -> None:
    try:
        shown = as_json(read_fault(content))
    except BadField as problem:
        shown = {"channel": problem.field, "kind": problem.allowed, "found": problem.found}
    assert shown["channel"]
    assert shown["kind"]
    assert json_reply(200, shown).body


@given(
    st.binary(max_size=300)
    | st.text().map(
        lambda text: f"Subject: {text}\r\nContent-Type: text/x; charset=y\r\n\r\n{text}".encode("utf-8", "replace")
    )
)
def test_whatever_mail_was_taken_can_be_read_in_the_log(mail: bytes) -> None:
    assert json_reply(200, decoded(mail)).status == 200


class Wire:
    """What a connection writes, without a socket."""

    def __init__(self) -> None:
        self.written = b""
        self._is_closing = False

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self._is_closing = True

    abort = close

    def is_closing(self) -> bool:
        return self._is_closing


COMMANDS = st.sampled_from(
    [
        b"EHLO s\r\n",
        b"MAIL FROM:<s@s.example>\r\n",
        b"RCPT TO:<a@example.com>\r\n",
        b"DATA\r\n",
        b"..\r\n",
        b".\r\n",
        b"Hi\r\n",
        b"RSET\r\n",
        b"AUTH LOGIN\r\n",
        b"\r\n",
    ]
)


def talk(data: bytes, sizes: list[int], **account: int) -> tuple[list[bytes], list[bytes]]:
    """Feed the bytes in pieces of these sizes, over and over; the reply codes, and the mails on record."""
    bench = Bench()
    log = bench.ledger.logs["email"]
    connection = SmtpServer(account=SmtpAccount(**account), log=log, faults=bench.faults)()
    wire: Any = Wire()
    connection.connection_made(wire)
    pieces = itertools.cycle(sizes)
    while data:
        size = next(pieces)
        connection.data_received(data[:size])
        data = data[size:]
    codes = [line[:3] for line in wire.written.split(b"\r\n") if line[3:4] == b" "]
    kept = [record.message.content for record in log.records if isinstance(record.message.content, bytes)]
    return codes, [mail.partition(b"\r\n")[2] for mail in kept]  # without the Return-Path that the sandbox adds


ENVELOPE = b"MAIL FROM:<s@s.example>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n"


@given(st.lists(COMMANDS | st.binary(max_size=20), max_size=30), st.lists(st.integers(1, 40), min_size=1))
@settings(deadline=None)
def test_smtp_does_the_same_however_the_bytes_are_cut(commands: list[bytes], cuts: list[int]) -> None:
    for start in (b"", ENVELOPE):
        data = start + b"".join(commands)
        assert talk(data, [len(data) or 1]) == talk(data, cuts)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 1000])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b".\r\n", b""),
        (b"Hi\r\n.\r\n", b"Hi\r\n"),
        # A dot at the start of a line is doubled on the wire.
        (b"..x\r\n..\r\n...y\r\n.\r\n", b".x\r\n.\r\n..y\r\n"),
        # Only CR LF . CR LF is the end.
        (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n"),
    ],
)
def test_a_mail_is_kept_as_it_was_meant(sent: bytes, kept: bytes, size: int) -> None:
    codes, mails = talk(ENVELOPE + sent + b"NOOP\r\n", [size])
    assert codes == [b"220", b"250", b"250", b"354", b"250", b"250"]
    assert mails == [kept]


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("length", [*range(1015, 1032), 5000])
def test_the_end_of_a_mail_over_the_limit_is_found_however_it_is_cut(length: int, size: int) -> None:
    codes, mails = talk(ENVELOPE + b"x" * length + b"\r\n.\r\nNOOP\r\n", [size], max_message_bytes=1024)
    is_over = length + len("\r\n") > 1024
    assert codes == [b"220", b"250", b"250", b"354", b"552" if is_over else b"250", b"250"]
    assert len(mails) == (not is_over)
