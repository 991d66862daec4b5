"""The form that creates a message at Twilio, checked against the limits of its API."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_MAX_BODY = 1600
_MAX_VALIDITY = 36_000
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_TEMPLATE = re.compile(r"HX[0-9a-fA-F]{32}")
_SENDER = re.compile(r"\+?\w[\w \-&.+]{0,15}")
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("|^€{}[]~\\")


class TwilioRefused(Exception):
    """Twilio answers with an error code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def read_message(form: Mapping[str, str]) -> dict[str, Any]:
    """What is kept of the message. Raises TwilioRefused."""
    to = form.get("To", "")
    if not to:
        raise TwilioRefused(400, 21604, "A 'To' phone number is required.")
    if not _NUMBER.fullmatch(to):
        raise TwilioRefused(400, 21211, f"The 'To' number {to} is not a valid phone number.")
    _check_sender(form)
    body = _check_content(form)
    _check_rest(form)
    return {
        "to": to,
        "from": form.get("From"),
        "messaging_service_sid": form.get("MessagingServiceSid"),
        "body": body,
        "text": body,
        "content_sid": form.get("ContentSid"),
        "content_variables": form.get("ContentVariables"),
        "validity_period": form.get("ValidityPeriod"),
        "status_callback": form.get("StatusCallback"),
        "num_segments": segments(body or ""),
    }


def segments(text: str) -> int:
    """GSM-7 if every character is in it, in parts of 160 or 153; else UCS-2 in parts of 70 or 67."""
    if all(sign in _BASIC or sign in _EXTENDED for sign in text):
        length, one, part = len(text) + sum(sign in _EXTENDED for sign in text), 160, 153
    else:
        length, one, part = len(text.encode("utf-16-le", "replace")) // 2, 70, 67
    return 1 if length <= one else -(-length // part)


def _check_sender(form: Mapping[str, str]) -> None:
    sender, service = form.get("From"), form.get("MessagingServiceSid")
    if not sender and not service:
        raise TwilioRefused(400, 21603, "A 'From' phone number is required.")
    if sender and not _SENDER.fullmatch(sender):
        raise TwilioRefused(400, 21212, f"The 'From' number {sender} is not a valid phone number.")
    if service and not _SERVICE.fullmatch(service):
        raise TwilioRefused(404, 21701, "The Messaging Service does not exist.")


def _check_content(form: Mapping[str, str]) -> str | None:
    body, template = form.get("Body"), form.get("ContentSid")
    if not body and not template:
        raise TwilioRefused(400, 21602, "Message body is required.")
    if body and len(body) > _MAX_BODY:
        raise TwilioRefused(400, 21617, "The concatenated message body exceeds the 1600 character limit.")
    if template and not _TEMPLATE.fullmatch(template):
        raise TwilioRefused(400, 21655, "The ContentSid is invalid.")
    try:
        variables = json.loads(form.get("ContentVariables") or "{}")
    except ValueError:
        variables = None
    if not isinstance(variables, dict) or not all(isinstance(value, str) for value in variables.values()):
        raise TwilioRefused(400, 21656, "The ContentVariables Parameter is invalid.")
    return body


def _check_rest(form: Mapping[str, str]) -> None:
    validity = form.get("ValidityPeriod", "1")
    if not validity.isdecimal() or not 0 < int(validity[:9]) <= _MAX_VALIDITY:
        raise TwilioRefused(400, 90007, "ValidityPeriod is from 1 to 36000 seconds.")
    callback = form.get("StatusCallback")
    if callback and (urlsplit(callback).scheme not in ("http", "https") or not urlsplit(callback).netloc):
        raise TwilioRefused(400, 21609, f"The StatusCallback URL {callback} is not a valid URL.")
