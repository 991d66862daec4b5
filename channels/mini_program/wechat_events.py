"""What WeChat pushes: subscriptions given and withdrawn, what became of a message. XML or JSON, plain or encrypted."""

import hashlib
import hmac
import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from channels.callbacks import (
    Callback,
    CallbackRefused,
    CallbackUnreadable,
    Heard,
    SubscriptionWord,
    code,
    unix_time,
    word,
)
from channels.message import Receipt, ReceiptKind
from channels.mini_program.wechat import TERMS
from channels.receipts import dedupe_key
from channels.states import ErrorClass

_ANSWER = b"success"
_BLOCK = 32  # of the padding, not of the cipher
_RANDOM, _LENGTH = 16, 4  # bytes in front of the message
_DEEPEST = 8  # of the elements of an event
#: Event -> the element that holds its items in XML; in JSON they are under `List`.
_PARTS = {
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
    "subscribe_msg_sent_event": "SubscribeMsgSentEvent",
}
_DELIVERED = "0"
_STATUSES = frozenset({"accept", "reject"})
#: What a person's answer means: one message more, or none at all any more. A no to the question alone changes nothing.
_COUNTS = {("subscribe_msg_popup_event", "accept"): True, ("subscribe_msg_change_event", "reject"): False}
#: What its ErrorStatus says where the code says nothing.
_WORDS = {"user block": ErrorClass.UNSUBSCRIBED, "user refuse": ErrorClass.UNSUBSCRIBED}


def read(callback: Callback, *, settings: Mapping[str, Any], now: datetime) -> Heard:
    """`settings` has `push_token` and, for encrypted pushes, `push_aes_key` and `app_id`.

    Raises:
        CallbackRefused: it is not signed with the token.
        CallbackUnreadable
    """
    token = settings.get("push_token")
    if callback.method == "GET":
        return _address_check(callback, token)
    event = _parsed(callback.body)
    if "Encrypt" in event:
        event = _parsed(_opened(str(event["Encrypt"]), callback, settings))
    elif token:
        _require_signature(callback.query, "signature", str(token))
    return _heard(event, now)


def signature(*parts: str) -> str:
    """Of the sorted parts, as the platform makes it."""
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324 - the platform's own scheme


def decrypt(text: str, *, aes_key: str, app_id: str) -> bytes:
    """The message in an `Encrypt` field. `aes_key` has 43 characters, as the platform shows it.

    Raises:
        CallbackRefused: the key does not open it, or it is meant for another app.
    """
    try:
        key = b64decode(aes_key + "=", validate=True)
        opener = Cipher(algorithms.AES(key), modes.CBC(key[:16])).decryptor()
        padded = opener.update(b64decode(text, validate=True)) + opener.finalize()
    except ValueError:
        raise CallbackRefused("the message cannot be decrypted: is push_aes_key the EncodingAESKey?") from None
    padding = padded[-1] if padded else 0
    plain = padded[_RANDOM : len(padded) - padding] if 1 <= padding <= _BLOCK else b""
    length = int.from_bytes(plain[:_LENGTH], "big")
    message, app = plain[_LENGTH : _LENGTH + length], plain[_LENGTH + length :]
    if len(message) != length or not hmac.compare_digest(app, app_id.encode()):
        raise CallbackRefused("the message is not for this app")
    return message


def _address_check(callback: Callback, token: object) -> Heard:
    """When the address is entered at the platform, it asks once, and wants its own word back."""
    if token:
        _require_signature(callback.query, "signature", str(token))
    echo = callback.query.get("echostr", "")
    if not echo:
        raise CallbackUnreadable("there is no echostr")
    return Heard(answer=echo.encode())


def _require_signature(query: Mapping[str, str], name: str, token: str, *more: str) -> None:
    expected = signature(token, query.get("timestamp", ""), query.get("nonce", ""), *more)
    if not hmac.compare_digest(expected.encode(), query.get(name, "").encode()):
        raise CallbackRefused(f"{name} does not fit push_token")


def _opened(text: str, callback: Callback, settings: Mapping[str, Any]) -> bytes:
    token, aes_key = settings.get("push_token"), settings.get("push_aes_key")
    if not token or not aes_key:
        raise CallbackRefused("the message is encrypted: the account needs the secrets push_token and push_aes_key")
    _require_signature(callback.query, "msg_signature", str(token), text)
    return decrypt(text, aes_key=str(aes_key), app_id=str(settings.get("app_id", "")))


def _parsed(body: bytes) -> dict[str, Any]:
    """Raises CallbackUnreadable."""
    text = body.strip()
    try:
        found = _from_xml(text) if text.startswith(b"<") else json.loads(text)
    except (ValueError, RecursionError, ET.ParseError):
        raise CallbackUnreadable("the body is neither the XML nor the JSON of an event") from None
    if not isinstance(found, dict):
        raise CallbackUnreadable("the body is no event")
    return found


def _from_xml(text: bytes) -> dict[str, Any]:
    if b"<!" in text.replace(b"<![CDATA[", b""):
        raise ValueError("declarations have no place in an event")
    found = _element(ET.fromstring(text), _DEEPEST)  # noqa: S314 - without declarations nothing can be expanded
    return found if isinstance(found, dict) else {}


def _element(element: ET.Element, depth: int) -> str | dict[str, Any]:
    if not len(element):
        return element.text or ""
    if not depth:
        raise ValueError("no event is so deep")
    found: dict[str, Any] = {}
    for child in element:
        value = _element(child, depth - 1)
        if child.tag in found:
            known = found[child.tag]
            found[child.tag] = [*known, value] if isinstance(known, list) else [known, value]
        else:
            found[child.tag] = value
    return found


def _heard(event: Mapping[str, Any], now: datetime) -> Heard:
    name, openid = word(event, "Event"), word(event, "FromUserName")
    if name not in _PARTS or not openid:
        return Heard(left=1, answer=_ANSWER)
    at, items = unix_time(event.get("CreateTime"), now=now), list(_items(event, _PARTS[name]))
    stamp = word(event, "CreateTime")
    if name == "subscribe_msg_sent_event":
        receipts = [receipt for item in items if (receipt := _receipt(openid, item, at, stamp)) is not None]
        return Heard(receipts=receipts, left=len(items) - len(receipts), answer=_ANSWER)
    said = [(word(item, "TemplateId"), word(item, "SubscribeStatusString").lower()) for item in items]
    words = [
        SubscriptionWord(
            openid=openid,
            template=template,
            accepted=_COUNTS[name, status],
            occurred_at=at,
            dedupe=dedupe_key(name, openid, template, status, stamp),
        )
        for template, status in said
        if template and (name, status) in _COUNTS
    ]
    unknown = sum(not template or status not in _STATUSES for template, status in said)
    return Heard(subscriptions=words, left=unknown, answer=_ANSWER)


def _items(event: Mapping[str, Any], part: str) -> Iterator[Mapping[str, Any]]:
    """One item is an object, several are an array; in XML they lie one deeper."""
    inside = event.get(part)
    holder: Mapping[str, Any] = inside if isinstance(inside, dict) else event
    listed = holder.get("List", holder if holder is inside else [])
    for item in listed if isinstance(listed, list) else [listed]:
        if isinstance(item, dict):
            yield item


def _receipt(openid: str, item: Mapping[str, Any], at: datetime, stamp: str) -> Receipt | None:
    message_id, error = code(item, "MsgID", "MsgId"), code(item, "ErrorCode")
    said = word(item, "ErrorStatus")
    if not message_id or not error:
        return None
    delivered = error == _DELIVERED
    return Receipt(
        kind=ReceiptKind.DELIVERED if delivered else ReceiptKind.FAILED,
        occurred_at=at,
        dedupe=dedupe_key(openid, message_id, error, stamp),
        provider_message_id=message_id,
        address=openid,
        error=None if delivered else _class_of(error, said),
        code="" if delivered else error,
        detail=said,
    )


def _class_of(error: str, said: str) -> ErrorClass:
    known = TERMS.get(int(error)) if error.lstrip("-").isdecimal() else None
    return known or _WORDS.get(said.lower(), ErrorClass.UNRECOGNISED)
