"""A mail goes to the sandbox, and what a mail server would send back about it is read: does it find its delivery?"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from channels.callbacks import Callback
from channels.email.bounces import read
from channels.message import Receipt, ReceiptKind
from channels.states import ErrorClass
from channels.transport import HttpTransport
from sandbox.mail_reports import complaint, formless, notification
from tests.conformance.provider_case import SMTP, Sandbox
from tests.conformance.smtp_script import one_after_the_other

KEY = "a key of sixteen or more"
SIGNS = {"sender": "news@shop.example", "bounce_address": "bounces@shop.example"}
DOES_NOT = {"sender": "news@shop.example"}


def mailed(sandbox: Sandbox, settings: Mapping[str, str]) -> Mapping[str, str]:
    """The header of a mail as it lies in the mailbox."""

    async def send() -> None:
        provider = SMTP.build(
            sandbox,
            HttpTransport(),
            settings={**settings, "username": None},
            secrets={"bounce_key": KEY} if "bounce_address" in settings else {},
        )
        (outcome,) = await one_after_the_other(provider, SMTP.messages(1))
        assert outcome.error is None
        await provider.close()

    asyncio.run(send())
    (record,) = sandbox.records(SMTP)
    return dict(record["content"]["headers"])


def come_back(mail: bytes, settings: Mapping[str, str]) -> Receipt:
    heard = read(Callback(method="POST", body=mail), settings={**settings, "bounce_key": KEY}, now=datetime.now(UTC))
    (receipt,) = heard.receipts
    return receipt


@pytest.mark.parametrize("settings", [SIGNS, DOES_NOT])
@pytest.mark.parametrize(("report", "kind"), [(notification, ReceiptKind.FAILED), (complaint, ReceiptKind.COMPLAINED)])
def test_report_on_a_mail_finds_its_delivery(
    sandbox: Sandbox, settings: Mapping[str, str], report: Callable[..., bytes], kind: ReceiptKind
) -> None:
    receipt = come_back(report(mailed(sandbox, settings), recipient="p0@home.example"), settings)
    assert (receipt.kind, receipt.reference) == (kind, str(SMTP.messages(1)[0].delivery_id))
    assert receipt.address == "p0@home.example"


def test_bounce_in_no_format_finds_its_delivery_by_the_return_path(sandbox: Sandbox) -> None:
    receipt = come_back(formless(mailed(sandbox, SIGNS), recipient="p0@home.example"), SIGNS)
    assert (receipt.kind, receipt.error) == (ReceiptKind.FAILED, ErrorClass.BAD_RECIPIENT)
    assert receipt.reference == str(SMTP.messages(1)[0].delivery_id)


def test_notification_finds_its_delivery_though_nothing_of_the_mail_came_back(sandbox: Sandbox) -> None:
    headers = mailed(sandbox, DOES_NOT)
    kept = {name: headers[name] for name in ("Return-Path", "X-Envelope-Envid", "X-Envelope-Orcpt")}
    receipt = come_back(notification(kept, recipient="ann@inner.example", action="delayed"), DOES_NOT)
    assert (receipt.kind, receipt.address) == (ReceiptKind.DELAYED, "p0@home.example")
    assert receipt.reference == str(SMTP.messages(1)[0].delivery_id)
