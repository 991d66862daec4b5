"""Receipts of Twilio messages: its status callback, one signed form per change of status."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

from channels.callbacks import Callback, CallbackRefused, CallbackUnreadable, Heard, code, word
from channels.message import Receipt, ReceiptKind
from channels.receipts import dedupe_key
from channels.sms.twilio import TERMS as REFUSALS
from channels.sms.twilio_signature import HEADER, SETTINGS_HEADER, is_genuine
from channels.states import ErrorClass

#: The query parameter of a status callback's address that carries our delivery id: Twilio calls it as it was given.
REFERENCE = "delivery"

#: Its statuses in our words.
TERMS: Mapping[str, ReceiptKind] = MappingProxyType(
    {
        "queued": ReceiptKind.ACCEPTED,
        "accepted": ReceiptKind.ACCEPTED,
        "scheduled": ReceiptKind.ACCEPTED,
        "sending": ReceiptKind.ACCEPTED,
        "sent": ReceiptKind.ACCEPTED,
        "partially_delivered": ReceiptKind.ACCEPTED,
        "delivered": ReceiptKind.DELIVERED,
        "read": ReceiptKind.DELIVERED,
        "undelivered": ReceiptKind.FAILED,
        "failed": ReceiptKind.FAILED,
        "canceled": ReceiptKind.FAILED,
    }
)

#: The codes that only a failure has which comes later, in our classes. Any other means what it means when a message is
#: refused at once (a messaging service puts that off), or is `unrecognised`.
FAILURES: Mapping[str, ErrorClass] = MappingProxyType(
    {
        "30005": ErrorClass.BAD_RECIPIENT,
        "30006": ErrorClass.BAD_RECIPIENT,
        "30007": ErrorClass.CONTENT,
        "30034": ErrorClass.CONFIG,
        "30001": ErrorClass.THROTTLED,
        "30022": ErrorClass.THROTTLED,
        "30003": ErrorClass.DOWN,  # the phone is off or out of reach, which may be over tomorrow
        "30008": ErrorClass.DOWN,
        "30036": ErrorClass.DOWN,  # its time ran out before the phone was there
        # No permission for the region, no route to the number: the account's to mend. At once refused they are
        # `unrecognised`, for there `config` would keep all others waiting; a message that is over holds up nobody.
        "21408": ErrorClass.CONFIG,
        "21612": ErrorClass.CONFIG,
    }
)


def class_of(error: str) -> ErrorClass:
    known = FAILURES.get(error)
    if known is None and error.isdecimal():
        known = REFUSALS.get(int(error))
    return known or ErrorClass.UNRECOGNISED


def read(callback: Callback, *, settings: Mapping[str, Any], now: datetime) -> Heard:
    """`settings` has `auth_token`, with which Twilio signs.

    Raises:
        CallbackRefused: the signature is missing or wrong.
        CallbackUnreadable
    """
    fields = _fields(callback.body)
    _require_signature(callback, fields, settings.get("auth_token"))
    receipt = _receipt({name: values[-1] for name, values in fields.items()}, callback.query, now)
    return Heard(receipts=[receipt] if receipt else [], left=0 if receipt else 1)


def _fields(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=200)
    except ValueError:
        raise CallbackUnreadable("the body is no form") from None


def _require_signature(callback: Callback, fields: Mapping[str, list[str]], token: str | None) -> None:
    if not token:
        raise CallbackRefused("the account has no auth_token, so nobody can tell who called")
    given, algorithm = callback.headers.get(HEADER.lower(), ""), callback.headers.get(SETTINGS_HEADER.lower(), "")
    genuine = (is_genuine(given, auth_token=token, url=url, fields=fields, settings=algorithm) for url in callback.urls)
    if not any(genuine):
        raise CallbackRefused(
            f"{HEADER} does not fit: is THEMELINE_CALLBACK_URL what Twilio calls, and the auth token current?"
        )


def _receipt(fields: Mapping[str, str], query: Mapping[str, str], now: datetime) -> Receipt | None:
    status, sid = code(fields, "MessageStatus", "SmsStatus").lower(), code(fields, "MessageSid", "SmsSid")
    kind = TERMS.get(status)
    if kind is None or not sid:
        return None
    error = code(fields, "ErrorCode")
    failed = kind is ReceiptKind.FAILED
    return Receipt(
        kind=kind,
        occurred_at=now,  # Twilio does not say when
        dedupe=dedupe_key(sid, status, error),
        provider_message_id=sid,
        reference=query.get(REFERENCE),
        address=word(fields, "To") or None,
        error=class_of(error) if failed else None,
        code=error or status,
        detail=word(fields, "ErrorMessage", "ChannelStatusMessage"),
    )
