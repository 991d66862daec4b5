"""Answers of providers as they are documented, given by a transport that plays them."""

import asyncio
import json
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import pytest

from channels.message import Content, Message, MiniProgramContent, Outcome, PushContent, SmsContent
from channels.registry import build_provider
from channels.states import Channel, ErrorClass
from channels.transport import HttpResponse

DELIVERY = UUID(int=1)
TOKEN = {"access_token": "very-secret-token", "expires_in": 7200}


class Play:
    """Stands in for HTTP: answers one after the other, and keeps what was asked."""

    def __init__(self, *answers: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.answers, self.status, self.headers = list(answers), status, headers or {}
        self.asked: list[tuple[str, bytes]] = []
        self.told: list[Mapping[str, str]] = []

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ARG002, ASYNC109 - the transport's signature
        http2: bool = False,  # noqa: ARG002 - the same
    ) -> HttpResponse:
        self.asked.append((url, body))
        self.told.append(headers)
        answer = self.answers.pop(0)
        return HttpResponse(self.status, self.headers, answer if isinstance(answer, bytes) else encoded(answer))

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: float) -> HttpResponse:  # noqa: ASYNC109 - the same
        return await self.post(url, headers=headers, body=b"", timeout=timeout)

    async def close(self) -> None: ...


def encoded(answer: object) -> bytes:
    return json.dumps(answer).encode()


ACCOUNTS: Mapping[Channel, tuple[str, dict[str, object], dict[str, object], Content]] = {
    Channel.SMS: (
        "aliyun",
        {"access_key_id": "a", "sign_name": "s", "template_code": "t"},
        {"access_key_secret": "b"},
        SmsContent(text="hi"),
    ),
    Channel.PUSH: ("jpush", {"app_key": "a"}, {"master_secret": "b"}, PushContent(title="t", body="b")),
    Channel.MINI_PROGRAM: (
        "wechat",
        {"app_id": "a"},
        {"app_secret": "top-secret"},
        MiniProgramContent(template="t", data={"thing1": "女"}),
    ),
}


def send(channel: Channel, play: Play, count: int = 1) -> list[Outcome]:
    name, settings, secrets, content = ACCOUNTS[channel]
    provider = build_provider(
        account="main", channel=channel, provider=name, settings=settings, secrets=secrets, transport=play
    )
    messages = [
        Message(delivery_id=UUID(int=n), address=f"1390000000{n}", content=content, key=f"cid-{n}")
        for n in range(1, count + 1)
    ]
    return list(asyncio.run(provider.send(messages)))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("isv.MOBILE_NUMBER_ILLEGAL", ErrorClass.BAD_RECIPIENT),
        ("isv.SMS_SIGNATURE_ILLEGAL", ErrorClass.CONFIG),
        ("InvalidAccessKeyId.NotFound", ErrorClass.CONFIG),
        ("InvalidTimeStamp.Expired", ErrorClass.CONFIG),
        ("Throttling.User", ErrorClass.THROTTLED),
        ("Throttling", ErrorClass.THROTTLED),
        ("isv.MONTH_LIMIT_CONTROL", ErrorClass.QUOTA),
        ("isp.GATEWAY_ERROR", ErrorClass.DOWN),
        ("isv.TEMPLATE_MISSING_PARAMETERS", ErrorClass.CONTENT),
        ("isv.MOBILE_COUNT_OVER_LIMIT", ErrorClass.UNRECOGNISED),  # would be a fault of ours
    ],
)
def test_aliyun_code_is_the_class(code: str, expected: ErrorClass) -> None:
    (outcome,) = send(Channel.SMS, Play({"Code": code, "Message": "m", "RequestId": "r"}))
    assert (outcome.error, outcome.code, outcome.detail, outcome.request_id) == (expected, code, "m", "r")


def test_frequency_limit_of_a_phone_is_waited_out_for_a_day_and_is_no_trouble_of_the_account() -> None:
    (outcome,) = send(Channel.SMS, Play({"Code": "isv.BUSINESS_LIMIT_CONTROL", "Message": "m"}))
    assert (outcome.retry_after, outcome.about_recipient) == (timedelta(days=1), True)


def test_plus_of_a_number_is_left_out_for_aliyun() -> None:
    play = Play({"Code": "OK", "BizId": "9^0", "RequestId": "r"})
    (outcome,) = send(Channel.SMS, play)
    assert outcome.provider_message_id == "9^0"
    assert b"PhoneNumberJson=%5B%2213900000001%22%5D" in play.asked[0][1]


def test_jpush_answers_each_message_for_itself() -> None:
    answer = {
        "cid-1": {"msg_id": 42},
        "cid-2": {"error": {"code": 1011, "message": "cannot find user by this audience"}},
        "cid-4": {"error": {"code": 9999, "message": "new"}},
    }
    outcomes = send(Channel.PUSH, Play(answer), count=4)
    assert [outcome.error for outcome in outcomes] == [
        None,
        ErrorClass.BAD_RECIPIENT,
        ErrorClass.UNKNOWN_OUTCOME,  # the answer does not mention it
        ErrorClass.UNRECOGNISED,
    ]
    assert outcomes[0].provider_message_id == "42"


def test_jpush_call_refused_for_one_bad_address_condemns_nobody_s() -> None:
    refusal = {"error": {"code": 1003, "message": "a registration_id is invalid"}}
    outcomes = send(Channel.PUSH, Play(refusal, status=400), count=2)
    assert {outcome.error for outcome in outcomes} == {ErrorClass.UNRECOGNISED}


def test_jpush_rate_limit_says_when_it_ends() -> None:
    refusal = {"error": {"code": 2002, "message": "rate limit"}}
    (outcome,) = send(Channel.PUSH, Play(refusal, status=429, headers={"X-Rate-Limit-Reset": "23"}))
    assert (outcome.error, outcome.retry_after) == (ErrorClass.THROTTLED, timedelta(seconds=23))


def test_message_without_a_key_is_not_pushed() -> None:
    provider = build_provider(
        account="main",
        channel=Channel.PUSH,
        provider="jpush",
        settings={"app_key": "a"},
        secrets={"master_secret": "b"},
        transport=Play(),
    )
    message = Message(delivery_id=DELIVERY, address="r", content=PushContent(title="t", body="b"))
    with pytest.raises(ValueError, match="allocate_keys"):
        asyncio.run(provider.send([message]))


def test_content_of_another_channel_is_a_mistake_of_the_caller() -> None:
    provider = build_provider(
        account="main",
        channel=Channel.MINI_PROGRAM,
        provider="wechat",
        settings={"app_id": "a"},
        secrets={"app_secret": "b"},
        transport=Play(),
    )
    message = Message(delivery_id=DELIVERY, address="o", content=SmsContent(text="hi"))
    with pytest.raises(TypeError, match="SmsContent, not MiniProgramContent"):
        asyncio.run(provider.send([message]))


@pytest.mark.parametrize(
    ("errcode", "expected"),
    [
        (43101, ErrorClass.UNSUBSCRIBED),
        (40003, ErrorClass.BAD_RECIPIENT),
        (47003, ErrorClass.CONTENT),
        (45009, ErrorClass.QUOTA),
        (45011, ErrorClass.THROTTLED),
        (-1, ErrorClass.DOWN),
        (48001, ErrorClass.CONFIG),
        (45047, ErrorClass.UNRECOGNISED),  # not documented for subscribe messages
    ],
)
def test_wechat_errcode_is_the_class(errcode: int, expected: ErrorClass) -> None:
    (outcome,) = send(Channel.MINI_PROGRAM, Play(TOKEN, {"errcode": errcode, "errmsg": "m"}))
    assert (outcome.error, outcome.code) == (expected, str(errcode))


def test_wechat_answer_that_says_nothing_is_not_taken_for_acceptance() -> None:
    (outcome,) = send(Channel.MINI_PROGRAM, Play(TOKEN, {}))
    assert outcome.error is ErrorClass.UNKNOWN_OUTCOME


def test_wechat_token_is_renewed_once_and_without_force() -> None:
    refused = {"errcode": 42001, "errmsg": "access_token expired"}
    play = Play(TOKEN, refused, {**TOKEN, "access_token": "next"}, {"errcode": 0, "errmsg": "ok", "msgid": 7})
    (outcome,) = send(Channel.MINI_PROGRAM, play)
    assert (outcome.error, outcome.provider_message_id) == (None, "7")
    assert [url.partition("?")[2] for url, _ in play.asked[1::2]] == [
        "access_token=very-secret-token",
        "access_token=next",
    ]
    assert json.loads(play.asked[2][1])["force_refresh"] is False


def test_wechat_second_refusal_of_a_token_is_left_to_the_engine() -> None:
    refused = {"errcode": 40001, "errmsg": "invalid credential very-secret-token"}
    play = Play(TOKEN, refused, TOKEN, refused)
    (outcome,) = send(Channel.MINI_PROGRAM, play)
    assert outcome.error is ErrorClass.TOKEN
    assert "very-secret-token" not in repr(outcome)
    assert len(play.asked) == 4


@pytest.mark.parametrize("errcode", [40001, 40125, 40013, 40164])
def test_wechat_account_that_gets_no_token_is_configured_wrongly(errcode: int) -> None:
    play = Play({"errcode": errcode, "errmsg": "invalid appsecret top-secret"})
    (outcome,) = send(Channel.MINI_PROGRAM, play)
    assert (outcome.error, outcome.code) == (ErrorClass.CONFIG, str(errcode))
    assert "top-secret" not in outcome.detail


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"access_token": "x"}'])
def test_wechat_token_answer_that_cannot_be_read_leaves_nothing_unknown(answer: bytes) -> None:
    (outcome,) = send(Channel.MINI_PROGRAM, Play(answer))
    assert outcome.error is ErrorClass.DOWN


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.PUSH])
def test_success_that_cannot_be_read_may_be_an_acceptance(channel: Channel) -> None:
    (outcome,) = send(channel, Play(b"<html>ok</html>"))
    assert outcome.error is ErrorClass.UNKNOWN_OUTCOME
