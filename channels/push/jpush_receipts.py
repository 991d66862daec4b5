"""Receipts of JPush, which VIP accounts get: arrays of events, authorised as our own calls are.

Their fields are handed out by JPush's support; these are the ones that its sister service documents, under all names
that are in use for them.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from channels.callbacks import (
    Callback,
    CallbackRefused,
    CallbackUnreadable,
    Heard,
    code,
    json_items,
    unix_time,
    word,
)
from channels.message import Receipt, ReceiptKind
from channels.receipts import dedupe_key
from channels.states import ErrorClass

#: Its types of event, by number or by word. Recalled messages (7, 8) are nothing that we asked for.
TERMS: Mapping[str, ReceiptKind] = MappingProxyType(
    {
        "0": ReceiptKind.ACCEPTED,
        "1": ReceiptKind.FAILED,
        "2": ReceiptKind.ACCEPTED,
        "3": ReceiptKind.FAILED,
        "4": ReceiptKind.DELIVERED,
        "5": ReceiptKind.FAILED,
        "6": ReceiptKind.OPENED,
        "received": ReceiptKind.DELIVERED,
        "not_received": ReceiptKind.FAILED,
        "click": ReceiptKind.OPENED,
    }
)
_TARGET_INVALID = "1"


def read(callback: Callback, *, settings: Mapping[str, Any], now: datetime) -> Heard:
    """`settings` has `app_key` and `master_secret`.

    Raises:
        CallbackRefused: it does not carry the credentials of the account.
        CallbackUnreadable
    """
    expected = b64encode(f"{settings.get('app_key', '')}:{settings.get('master_secret', '')}".encode())
    given = callback.headers.get("authorization", "").removeprefix("Basic ").strip()
    if not hmac.compare_digest(given.encode(), expected):
        raise CallbackRefused("the Authorization header is not that of the account")
    if callback.method == "GET":
        return _address_check(callback)
    found = json_items(callback.body)
    items = found[0]["data"] if len(found) == 1 and _is_wrapped(found[0]) else found
    receipts = [receipt for item in items if (receipt := _receipt(item, now)) is not None]
    return Heard(receipts=receipts, left=len(items) - len(receipts))


def _address_check(callback: Callback) -> Heard:
    echo = callback.query.get("echostr", "")
    if not echo:
        raise CallbackUnreadable("there is no echostr")
    return Heard(answer=echo.encode())


def _is_wrapped(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("data"), list)


def _receipt(item: object, now: datetime) -> Receipt | None:
    if not isinstance(item, dict):
        return None
    event = code(item, "type", "event", "status").lower()
    kind, message_id = TERMS.get(event), code(item, "msg_id", "msgid")
    device = word(item, "registration_id", "rid", "target", "sender_id")
    if kind is None or not message_id or not device:
        return None
    failed = kind is ReceiptKind.FAILED
    stamp = code(item, "itime", "time", "timestamp")
    return Receipt(
        kind=kind,
        occurred_at=unix_time(stamp, now=now),
        dedupe=dedupe_key(event, message_id, device, stamp),
        provider_message_id=message_id,
        address=device,
        error=_class_of(event) if failed else None,
        code=code(item, "code", "errcode") or (event if failed else ""),
        detail=word(item, "desc", "errmsg", "reason"),
    )


def _class_of(event: str) -> ErrorClass:
    return ErrorClass.BAD_RECIPIENT if event == _TARGET_INVALID else ErrorClass.UNRECOGNISED
