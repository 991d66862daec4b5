"""What only WeChat does: an access token that all calls share."""

import asyncio
from collections.abc import Sequence

from channels.message import Outcome, Provider
from channels.states import ErrorClass
from tests.conformance.provider_case import WECHAT, Sandbox, deliver


def token_calls(sandbox: Sandbox) -> int:
    found: int = sandbox.summary(WECHAT)["token_calls"]
    return found


def test_many_concurrent_sends_fetch_one_token(sandbox: Sandbox) -> None:
    before = token_calls(sandbox)
    outcomes = WECHAT.deliver(sandbox, 200)
    assert {outcome.error for outcome in outcomes} == {None}
    assert token_calls(sandbox) - before == 1


def test_token_that_ends_under_many_concurrent_sends_is_fetched_once(sandbox: Sandbox) -> None:
    async def send(provider: Provider) -> list[Outcome]:
        first = await deliver(provider, WECHAT.messages(50))
        sandbox.expire_tokens()
        return [*first, *await deliver(provider, WECHAT.messages(200))]

    before = token_calls(sandbox)
    outcomes = WECHAT.run(sandbox, send)
    assert {outcome.error for outcome in outcomes} == {None}
    assert token_calls(sandbox) - before == 2
    assert sandbox.summary(WECHAT)["accepted"] == 250


def test_token_server_that_hangs_leaves_nothing_unknown(sandbox: Sandbox) -> None:
    sandbox.fault(WECHAT, kind="hang", endpoint="token")
    outcomes = WECHAT.deliver(sandbox, 5, timeout=0.4)
    assert {outcome.error for outcome in outcomes} == {ErrorClass.DOWN}
    assert sandbox.summary(WECHAT)["accepted"] == 0


def test_token_that_stays_refused_is_not_fetched_again_and_again(sandbox: Sandbox) -> None:
    sandbox.fault(WECHAT, kind="status", code=40001)

    async def send(provider: Provider) -> Sequence[Outcome]:
        return [(await provider.send([message]))[0] for message in WECHAT.messages(10)]

    before = token_calls(sandbox)
    assert {outcome.error for outcome in WECHAT.run(sandbox, send)} == {ErrorClass.TOKEN}
    assert token_calls(sandbox) - before == 2


def test_cancelled_send_does_not_take_the_token_from_the_others(sandbox: Sandbox) -> None:
    sandbox.fault(WECHAT, kind="delay", endpoint="token", delay=0.2)

    async def send(provider: Provider) -> Sequence[Outcome]:
        one, other = WECHAT.messages(2)
        doomed = asyncio.create_task(provider.send([one]))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(provider.send([other]))
        await asyncio.sleep(0.05)
        doomed.cancel()
        return await waiting

    assert [outcome.error for outcome in WECHAT.run(sandbox, send)] == [None]


def test_chinese_arrives_as_chinese(sandbox: Sandbox) -> None:
    WECHAT.deliver(sandbox, 1)
    (record,) = sandbox.records(WECHAT)
    assert record["content"]["data"]["thing1"]["value"] == "女神节"
    assert record["content"]["page"] == "pages/index"
