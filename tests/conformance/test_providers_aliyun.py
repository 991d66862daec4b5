"""What only Aliyun does: a refusal of the whole batch for one number, the query of what became of a message."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from channels.errors import QueryRefused
from channels.message import Message, Outcome, Provider, SmsContent
from channels.sms import aliyun
from channels.sms.aliyun_details import SendDetail
from channels.states import ErrorClass
from channels.transport import HttpTransport
from tests.conformance.provider_case import ALIYUN, Sandbox

CHINA = timezone(timedelta(hours=8))


def test_text_goes_into_the_default_template_and_a_template_goes_as_it_is(sandbox: Sandbox) -> None:
    plain, own = ALIYUN.messages(2)
    own = replace(own, content=SmsContent(template="SMS_2", params={"name": "安", "code": "A 1&2"}))

    async def send(provider: Provider) -> list[Outcome]:
        return list(await provider.send([plain, own]))

    outcomes = ALIYUN.run(sandbox, send)
    assert [outcome.error for outcome in outcomes] == [None, None]
    contents = {record["content"]["template_code"]: record["content"] for record in sandbox.records(ALIYUN)}
    assert contents["SMS_1"]["template_param"] == {"content": "女神节：逛吃喝，我们买单"}
    assert contents["SMS_2"]["template_param"] == {"name": "安", "code": "A 1&2"}
    assert contents["SMS_1"]["sign_name"] == "逛吃"


def test_call_carries_the_delivery_that_leads_it(sandbox: Sandbox) -> None:
    ALIYUN.deliver(sandbox, 3)
    leading = str(ALIYUN.messages(1)[0].delivery_id)
    assert {record["reference"] for record in sandbox.records(ALIYUN)} == {leading}


def test_one_person_s_parameters_do_not_refuse_everybody(sandbox: Sandbox) -> None:
    """The sandbox refuses the batch for content; the texts differ, so the one to blame is looked for."""
    sandbox.fault(ALIYUN, kind="recipient_error", code="isv.PARAM_LENGTH_LIMIT", match="000002$")
    messages = [replace(message, content=SmsContent(text=f"hello {message.address}")) for message in ALIYUN.messages(8)]

    async def send(provider: Provider) -> list[Outcome]:
        return list(await provider.send(messages))

    outcomes = ALIYUN.run(sandbox, send)
    assert [n for n, outcome in enumerate(outcomes) if outcome.error] == [2]
    assert outcomes[2].error is ErrorClass.CONTENT


def test_same_text_refused_for_content_is_refused_in_one_call(sandbox: Sandbox) -> None:
    sandbox.fault(ALIYUN, kind="recipient_error", code="isv.SMS_CONTENT_ILLEGAL")
    outcomes = ALIYUN.deliver(sandbox, 50)
    assert {outcome.error for outcome in outcomes} == {ErrorClass.CONTENT}
    assert sandbox.summary(ALIYUN)["calls"] == 1


def test_lost_answer_in_the_middle_of_a_search_dooms_only_its_own_part(sandbox: Sandbox) -> None:
    """Each recipient that is not unknown was told the truth: accepted ones are on record, unsent ones are not."""
    sandbox.fault(ALIYUN, kind="recipient_error", code="isv.MOBILE_NUMBER_ILLEGAL", match="000007$")
    sandbox.fault(ALIYUN, kind="cut_after_accept", match="000005$", count=2)
    messages = ALIYUN.messages(8)
    outcomes = ALIYUN.deliver(sandbox, 8)
    on_record = set(sandbox.recipients(ALIYUN))
    for message, outcome in zip(messages, outcomes, strict=True):
        if outcome.error is None:
            assert message.address.removeprefix("+") in on_record
        elif outcome.error is ErrorClass.DOWN:
            assert message.address.removeprefix("+") not in on_record
    assert [outcome.error for outcome in outcomes][:4] == [None] * 4
    assert ErrorClass.UNKNOWN_OUTCOME in {outcome.error for outcome in outcomes}
    assert len(on_record) == len(sandbox.recipients(ALIYUN))


def test_used_nonce_is_replaced_and_tried_once_more(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    nonces = iter(["same", "same", "fresh"])
    monkeypatch.setattr("channels.sms.aliyun.randomness.token_hex", lambda _: next(nonces))
    assert [outcome.error for outcome in ALIYUN.deliver(sandbox, 1)] == [None]
    assert [outcome.error for outcome in ALIYUN.deliver(sandbox, 1)] == [None]
    assert sandbox.summary(ALIYUN)["accepted"] == 2


@pytest.mark.parametrize(("fault", "status"), [(None, 3), ("no_receipt", 1), ("recipient_error", 2)])
def test_query_tells_what_became_of_a_message(sandbox: Sandbox, fault: str | None, status: int) -> None:
    if fault is not None:
        sandbox.fault(ALIYUN, kind=fault, endpoint="query")
    message = ALIYUN.messages(1)[0]
    ALIYUN.deliver(sandbox, 1)
    (detail,) = query(sandbox, message, datetime.now(CHINA).date())
    assert (detail.status, detail.reference) == (status, str(message.delivery_id))


def test_query_of_a_message_that_never_arrived_finds_nothing(sandbox: Sandbox) -> None:
    assert query(sandbox, ALIYUN.messages(1)[0], datetime.now(CHINA).date()) == []


def test_query_reads_every_page(sandbox: Sandbox) -> None:
    message = ALIYUN.messages(1)[0]
    ALIYUN.run(sandbox, lambda provider: provider.send([message] * 51))
    assert len(query(sandbox, message, datetime.now(CHINA).date())) == 51


def test_refused_query_leaves_the_question_open(sandbox: Sandbox) -> None:
    sandbox.fault(ALIYUN, kind="status", status=503, endpoint="query")
    with pytest.raises(QueryRefused, match="ServiceUnavailable"):
        query(sandbox, ALIYUN.messages(1)[0], datetime.now(UTC).date())


def query(sandbox: Sandbox, message: Message, day: date) -> list[SendDetail]:
    async def ask() -> Any:
        transport = HttpTransport()
        provider = ALIYUN.build(sandbox, transport, settings={})
        assert isinstance(provider, aliyun.AliyunSms)
        try:
            return list(await provider.query(address=message.address, sent_on=day))
        finally:
            await transport.close()

    found: list[SendDetail] = asyncio.run(ask())
    return found
