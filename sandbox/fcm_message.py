"""The shape of an FCM v1 message, checked against the limits of the API."""

import json
import re
from collections.abc import Mapping
from typing import Any

_TARGETS = ("token", "fid", "topic", "condition")
_PARTS = frozenset({*_TARGETS, "name", "data", "notification", "android", "webpush", "apns", "fcm_options"})
_MAX_PAYLOAD = 4096
_TTL = re.compile(r"\d{1,7}(\.\d{1,9})?s")
_MAX_TTL = 28 * 86_400
_TOKEN = re.compile(r"[\w:%.-]{8,4096}", re.ASCII)
_FID = re.compile(r"[\w-]{8,64}", re.ASCII)
_APNS_COLLAPSE = 64


class MessageRefused(Exception):
    """FCM answers INVALID_ARGUMENT; `field` is at fault, and `is_target` tells that it is the address."""

    def __init__(self, field: str, message: str, *, is_target: bool = False) -> None:
        super().__init__(message)
        self.field = field
        self.is_target = is_target


def read_message(asked: Mapping[str, Any] | None) -> tuple[str, str, dict[str, Any]]:
    """The kind of address, the address, and the whole message. Raises MessageRefused."""
    message = (asked or {}).get("message")
    if not isinstance(message, dict):
        raise MessageRefused("message", "Invalid JSON payload received: message is missing")
    for name in message:
        if name not in _PARTS:
            raise MessageRefused(f"message.{name}", f"Unknown name \"{name}\" at 'message': Cannot find field.")
    kind, address = _target(message)
    _check_text(message)
    _check_data(message)
    _check_platforms(message)
    shown = {name: part for name, part in message.items() if name not in _TARGETS}
    if len(json.dumps(shown, ensure_ascii=False).encode("utf-8", "replace")) > _MAX_PAYLOAD:
        raise MessageRefused("message.data", "Message is too big")
    return kind, address, message


def reference_of(message: Mapping[str, Any]) -> str | None:
    """What a phone knows the message by, so that a second one replaces the first."""
    headers = _part(_part(message, "apns"), "headers")
    android = _part(message, "android")
    found = headers.get("apns-collapse-id") or _part(android, "notification").get("tag") or android.get("collapse_key")
    return None if found is None else str(found)


def _target(message: Mapping[str, Any]) -> tuple[str, str]:
    given = [name for name in _TARGETS if name in message]
    if len(given) != 1:
        raise MessageRefused("message", "Exactly one of fid, token, topic or condition must be specified")
    kind, address = given[0], message[given[0]]
    if kind not in ("token", "fid"):
        raise MessageRefused(f"message.{kind}", "The sandbox takes messages to one device only")
    pattern, words = (_TOKEN, "FCM registration token") if kind == "token" else (_FID, "Firebase installation ID")
    if not isinstance(address, str) or not pattern.fullmatch(address):
        raise MessageRefused(f"message.{kind}", f"The {words} is not a valid {words}", is_target=True)
    return kind, address


def _check_text(message: Mapping[str, Any]) -> None:
    notification = message.get("notification", {})
    if not isinstance(notification, dict) or not all(isinstance(value, str) for value in notification.values()):
        raise MessageRefused("message.notification", "title, body and image are strings")
    if not notification and not message.get("data"):
        raise MessageRefused("message", "There is nothing to show: notification and data are empty")


def _check_data(message: Mapping[str, Any]) -> None:
    data = message.get("data", {})
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise MessageRefused("message.data", "Invalid value at 'message.data': every value is a string")
    if any(name in ("from", "message_type") or name.startswith(("google.", "gcm.")) for name in data):
        raise MessageRefused("message.data", "Invalid data payload key: it is reserved")


def _check_platforms(message: Mapping[str, Any]) -> None:
    ttl = _part(message, "android").get("ttl", "0s")
    if not isinstance(ttl, str) or not _TTL.fullmatch(ttl) or float(ttl[:-1]) > _MAX_TTL:
        raise MessageRefused("message.android.ttl", "ttl is seconds like 3600s, and at most four weeks")
    headers = _part(_part(message, "apns"), "headers")
    if any(not isinstance(value, str) for value in headers.values()):
        raise MessageRefused("message.apns.headers", "the headers of APNs are strings")
    if len(str(headers.get("apns-collapse-id", "")).encode()) > _APNS_COLLAPSE:
        raise MessageRefused("message.apns.headers", "apns-collapse-id takes 64 bytes")


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = whole.get(name, {})
    if not isinstance(found, dict):
        raise MessageRefused(f"message.{name}", f"{name} is an object")
    return found
