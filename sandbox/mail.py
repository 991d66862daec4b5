"""A mail's raw bytes, decoded for a reader of the log."""

from collections.abc import Mapping
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any


def decoded(mail: bytes) -> dict[str, Any]:
    """Subject, text and HTML part, and every header in its order; `raw` alone for what is no mail."""
    try:
        message = message_from_bytes(mail, policy=policy.default)
        return {
            "subject": message.get("subject"),
            "text": _part(message, "plain"),
            "html": _part(message, "html"),
            "headers": [[name, str(value)] for name, value in message.items()],
        }
    except Exception:  # noqa: BLE001 - the parser lets many kinds of errors out, and the log must be readable
        return {"raw": mail.decode("utf-8", "replace")}


def traced(mail: bytes, sender: str, options: Mapping[str, str]) -> bytes:
    """The mail as it lies in a mailbox: with the sender of its envelope, and what the envelope asked to be told."""
    asked = "".join(f"X-Envelope-{name.title()}: {value}\r\n" for name, value in options.items())
    return f"Return-Path: <{sender}>\r\n{asked}".encode() + mail


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    return None if part is None else str(part.get_content())
