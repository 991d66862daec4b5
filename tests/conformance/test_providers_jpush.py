"""What only JPush does: idempotency keys."""

from collections.abc import Sequence

import pytest

from channels.errors import KeysRefused
from channels.message import Outcome, Provider
from channels.states import ErrorClass
from tests.conformance.provider_case import JPUSH, Sandbox, with_keys


def test_same_keys_twice_reach_everybody_once(sandbox: Sandbox) -> None:
    async def send(provider: Provider) -> list[Outcome]:
        keyed = await with_keys(provider, JPUSH.messages(20))
        first, second = await provider.send(keyed), await provider.send(keyed)
        assert [o.provider_message_id for o in first] == [o.provider_message_id for o in second]
        return [*first, *second]

    assert {outcome.error for outcome in JPUSH.run(sandbox, send)} == {None}
    assert sandbox.summary(JPUSH)["accepted"] == 20


def test_lost_answer_is_settled_by_sending_the_same_keys_again(sandbox: Sandbox) -> None:
    sandbox.fault(JPUSH, kind="cut_after_accept", count=1)

    async def send(provider: Provider) -> tuple[Sequence[Outcome], Sequence[Outcome]]:
        keyed = await with_keys(provider, JPUSH.messages(20))
        return await provider.send(keyed), await provider.send(keyed)

    lost, settled = JPUSH.run(sandbox, send)
    assert {outcome.error for outcome in lost} == {ErrorClass.UNKNOWN_OUTCOME}
    assert {outcome.error for outcome in settled} == {None}
    assert sandbox.summary(JPUSH)["accepted"] == 20


def test_more_keys_than_one_call_gives_are_fetched_in_several(sandbox: Sandbox) -> None:
    keys = JPUSH.run(sandbox, lambda provider: provider.allocate_keys(2500))
    assert len(set(keys)) == len(keys) == 2500
    assert sandbox.summary(JPUSH)["token_calls"] >= 3


def test_free_account_gets_its_keys_ten_at_a_time(sandbox: Sandbox) -> None:
    keys = JPUSH.run(sandbox, lambda provider: provider.allocate_keys(25), keys_per_call=10)
    assert len(set(keys)) == 25


def test_refused_keys_tell_the_class_and_the_wait(sandbox: Sandbox) -> None:
    sandbox.fault(JPUSH, kind="throttle", endpoint="cid", retry_after=9)
    with pytest.raises(KeysRefused) as refused:
        JPUSH.run(sandbox, lambda provider: provider.allocate_keys(1))
    assert refused.value.error is ErrorClass.THROTTLED
    assert refused.value.retry_after is not None


def test_title_body_and_extras_arrive(sandbox: Sandbox) -> None:
    JPUSH.deliver(sandbox, 1)
    (record,) = sandbox.records(JPUSH)
    assert (record["content"]["title"], record["content"]["body"]) == ("女神节", "逛吃喝，我们买单")
    assert record["content"]["notification"]["android"]["extras"] == {"theme": "womens-day"}
