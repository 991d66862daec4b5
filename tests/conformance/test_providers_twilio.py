"""What only Twilio does: a template in place of a text, an address for receipts, several messages to one number."""

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from channels.message import Fate, Found, Inquirer, Inquiry, Message, Outcome, Provider, SmsContent
from tests.conformance.provider_case import TWILIO, Sandbox

TEMPLATE = "HX00000000000000000000000000000001"


def send(sandbox: Sandbox, *messages: Message, **settings: object) -> list[Outcome]:
    async def within(provider: Provider) -> list[Outcome]:
        return [outcome for message in messages for outcome in await provider.send([message])]

    found: list[Outcome] = TWILIO.run(sandbox, within, **settings)
    return found


def test_text_goes_as_it_is_and_a_template_with_its_variables(sandbox: Sandbox) -> None:
    plain, own = TWILIO.messages(2)
    own = replace(own, content=SmsContent(template=TEMPLATE, params={"1": "安", "2": "A 1&2"}))
    assert [outcome.error for outcome in send(sandbox, plain, own)] == [None, None]
    text, template = (record["content"] for record in sandbox.records(TWILIO))
    assert (text["body"], text["content_sid"], text["from"]) == (TWILIO.content.text, None, "+14155550100")  # type: ignore[union-attr]
    assert (template["body"], template["content_sid"]) == (None, TEMPLATE)
    assert template["content_variables"] == '{"1":"安","2":"A 1&2"}'


def test_receipts_are_asked_for_at_an_address_that_names_the_delivery_and_nothing_secret(sandbox: Sandbox) -> None:
    (message,) = TWILIO.messages(1)
    send(sandbox, message, status_callback="https://shop.example/callbacks/sms-abroad")
    (record,) = sandbox.records(TWILIO)
    asked = urlsplit(record["content"]["status_callback"])
    assert asked.path == "/callbacks/sms-abroad"
    assert parse_qs(asked.query) == {"delivery": [str(message.delivery_id)]}


def test_messaging_service_and_api_key_take_the_place_of_number_and_account(sandbox: Sandbox) -> None:
    service = "MG00000000000000000000000000000001"
    (outcome,) = send(sandbox, *TWILIO.messages(1), sender=None, messaging_service_sid=service, validity_seconds=3600)
    assert outcome.error is None
    (record,) = sandbox.records(TWILIO)
    assert record["content"]["messaging_service_sid"] == service
    assert (record["content"]["from"], record["content"]["validity_period"]) == (None, "3600")


@pytest.mark.parametrize("secret", ["sandbox-twilio-key", "another"])
def test_api_key_signs_in(sandbox: Sandbox, secret: str) -> None:
    case = replace(TWILIO, secrets=lambda _: {"auth_token": "unused", "api_key_secret": secret})

    async def within(provider: Provider) -> list[Outcome]:
        return list(await provider.send(case.messages(1)))

    (outcome,) = case.run(sandbox, within, api_key="SK00000000000000000000000000000000")
    assert outcome.code == ("" if secret == "sandbox-twilio-key" else "20003")


def test_what_is_wrong_with_one_number_is_no_trouble_of_the_account(sandbox: Sandbox) -> None:
    for code in (21211, 21408, 21610, 21617):
        sandbox.reset()
        sandbox.fault(TWILIO, kind="recipient_error", code=code)
        (outcome,) = TWILIO.deliver(sandbox, 1)
        assert outcome.about_recipient, code
        assert (outcome.request_id or "").startswith("RQ")


def inquire(sandbox: Sandbox, message: Message, began_at: datetime) -> Found:
    async def within(provider: Provider) -> list[Found]:
        inquirer: Inquirer = provider  # type: ignore[assignment]
        question = Inquiry(delivery_id=message.delivery_id, address=message.address, began_at=began_at)
        return list(await inquirer.inquire([question]))

    (found,) = TWILIO.run(sandbox, within)
    assert isinstance(found, Found)
    return found


def test_one_message_to_the_number_is_named_and_of_several_none_is(sandbox: Sandbox) -> None:
    (message,) = TWILIO.messages(1)
    began_at = datetime.now(UTC)
    (outcome,) = send(sandbox, message)
    one = inquire(sandbox, message, began_at)
    assert (one.fate, one.provider_message_id) == (Fate.DELIVERED, outcome.provider_message_id)
    send(sandbox, message)
    several = inquire(sandbox, message, began_at)
    assert (several.fate, several.provider_message_id) == (Fate.DELIVERED, None)
    assert "2 messages" in several.detail


def test_every_page_of_the_list_is_read(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("channels.sms.twilio._PAGE", 2)
    (message,) = TWILIO.messages(1)
    began_at = datetime.now(UTC)
    send(sandbox, *[message] * 5)
    assert "5 messages" in inquire(sandbox, message, began_at).detail
