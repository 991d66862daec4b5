"""Mail that comes back: delivery status notifications (RFC 3464), complaints (ARF, RFC 5965), and bounces in no format.

Anybody can write to where bounces go. Where the account signs its return paths, only a mail that bears such a signature
says anything of a delivery; the others are on record, and change nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from types import MappingProxyType
from typing import Any
from uuid import UUID

from channels.callbacks import DETAIL_LENGTH, Callback, CallbackUnreadable, Heard
from channels.email.mail_parts import Fields, Part, fields_of, first, groups_of, take_apart
from channels.email.replies import Stage, class_of
from channels.email.verp import ReturnPath
from channels.message import Receipt, ReceiptKind
from channels.receipts import dedupe_key
from channels.states import ErrorClass

#: The actions of RFC 3464 in our words.
ACTIONS: Mapping[str, ReceiptKind] = MappingProxyType(
    {
        "failed": ReceiptKind.FAILED,
        "delayed": ReceiptKind.DELAYED,
        "delivered": ReceiptKind.DELIVERED,
        "relayed": ReceiptKind.ACCEPTED,  # to a system that will not report any more
        "expanded": ReceiptKind.ACCEPTED,
    }
)
#: The types of feedback that say something of the person's will; RFC 5965 has us take others for `other`.
FEEDBACK: Mapping[str, ReceiptKind | None] = MappingProxyType(
    {
        "opt-out": ReceiptKind.UNSUBSCRIBED,
        "opt-out-list": ReceiptKind.UNSUBSCRIBED,
        "not-spam": None,
        "auth-failure": None,  # about our DKIM or SPF, not about the person
        "dmarc": None,
    }
)
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_REPLY = re.compile(r"(?<![\d.])([45]\d\d)(?![\d.])")
_UNSPECIFIC = re.compile(r"[45]\.\d{1,3}\.0|")
#: Words with which servers refuse a mail rather than a person, under a code that says neither.
_ABOUT_THE_MAIL = re.compile(r"spam|polic|block|blacklist|reputation|virus|content|dmarc|垃圾|拦截", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>,;:\"()]{1,64}@[^\s<>,;:\"()]{1,255}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_BOUNCE_SUBJECT = re.compile(
    r"undeliver|not deliver|delivery (status|fail|problem)|failure notice|returned mail|mail delivery|退信|投递失败",
    re.IGNORECASE,
)
_SERVER = re.compile(r"mailer-daemon|postmaster", re.IGNORECASE)
_DELAY = re.compile(r"delay|will (be )?retr|still (being )?tr|warning", re.IGNORECASE)
#: Where a server that takes mail writes down whom it was for.
_WHOM_FOR = ("to", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "cc")
_HEADERS_RETURNED = frozenset({"text/rfc822-headers", "message/rfc822", "message/rfc822-headers"})
_RETRY_LATER = 450


@dataclass(frozen=True, slots=True)
class _Mail:
    headers: Fields
    parts: Sequence[Part]
    returned: Fields  # the header of the mail that it is about, as far as it came back
    identity: str

    def part(self, content_type: str) -> Part | None:
        return next((part for part in self.parts if part.content_type == content_type), None)


@dataclass(frozen=True, slots=True)
class _Account:
    return_path: ReturnPath | None
    domain: str  # of our Message-IDs


def read(callback: Callback, *, settings: Mapping[str, Any], now: datetime) -> Heard:
    """`callback.body` is a mail as it came (message/rfc822); `settings` are those of the account, with its secrets.

    Raises:
        CallbackUnreadable: it is no mail at all.
    """
    mail = _mail(callback.body)
    account = _account(settings)
    occurred_at = _occurred_at(mail.headers, now)
    receipts = tuple(_receipts(mail, account, occurred_at))
    return Heard(receipts=receipts, left=0 if receipts else 1)


def _mail(raw: bytes) -> _Mail:
    headers, parts = take_apart(raw)
    if not headers:
        raise CallbackUnreadable("this is no mail: it has no header")
    returned = next((_header_in(part) for part in parts if part.content_type in _HEADERS_RETURNED), {})
    identity = first(headers, "message-id") or blake2b(raw, digest_size=16).hexdigest()
    return _Mail(headers, parts, returned, identity)


def _header_in(part: Part) -> Fields:
    return fields_of(re.split(rb"\r?\n\r?\n", part.content.lstrip(b"\r\n"), maxsplit=1)[0])


def _account(settings: Mapping[str, Any]) -> _Account:
    sender = str(settings.get("sender", ""))
    address, key = settings.get("bounce_address"), settings.get("bounce_key")
    return _Account(
        return_path=ReturnPath(address=str(address), key=str(key).encode()) if address and key else None,
        domain=str(settings.get("message_id_domain") or sender.rpartition("@")[2]).lower(),
    )


def _receipts(mail: _Mail, account: _Account, occurred_at: datetime) -> Iterator[Receipt]:
    if (feedback := mail.part("message/feedback-report")) is not None:
        yield from _complaint(mail, feedback, account, occurred_at)
    elif (status := mail.part("message/delivery-status")) is not None:
        yield from _notifications(mail, groups_of(status.content), account, occurred_at)
    else:
        yield from _formless(mail, account, occurred_at)


# Complaints.


def _complaint(mail: _Mail, part: Part, account: _Account, occurred_at: datetime) -> Iterator[Receipt]:
    fields = fields_of(part.content)
    given = first(fields, "feedback-type").lower()
    kind = FEEDBACK.get(given, ReceiptKind.COMPLAINED)
    if kind is None:
        return
    yield Receipt(
        kind=kind,
        occurred_at=occurred_at,
        dedupe=dedupe_key("arf", mail.identity, given),
        reference=_reference(mail, fields, account),
        address=_bare(first(fields, "original-rcpt-to")),
        code=given,
        detail=first(fields, "user-agent")[:DETAIL_LENGTH],
    )


# Notifications.


def _notifications(
    mail: _Mail, groups: Sequence[Fields], account: _Account, occurred_at: datetime
) -> Iterator[Receipt]:
    about_all: Fields = groups[0] if groups else {}
    reference = _reference(mail, about_all, account)
    for fields in groups:
        kind = ACTIONS.get(first(fields, "action").lower())
        if kind is None:
            continue  # the group about the whole mail has none
        final = _bare(first(fields, "final-recipient"))
        status = _status(first(fields, "status"))
        diagnostic = first(fields, "diagnostic-code").partition(";")[2].strip()
        yield Receipt(
            kind=kind,
            occurred_at=occurred_at,
            dedupe=dedupe_key("dsn", mail.identity, final, kind, status),
            reference=reference,
            address=_bare(first(fields, "original-recipient")) or final,
            **_reason(kind, status, diagnostic),
        )


def _formless(mail: _Mail, account: _Account, occurred_at: datetime) -> Iterator[Receipt]:
    """What comes back to a signed return path and calls itself a failure is one, in whatever form."""
    reference = _signed_reference(mail, {}, account)
    subject = _words(first(mail.headers, "subject"))
    if reference is None or not _is_bounce(mail.headers, subject):
        return
    text = next((part.text for part in mail.parts if part.content_type.startswith("text/")), "")
    text = re.split(r"(?i)-+ *(?:original message|below this line)", text, maxsplit=1)[0][:20_000]
    kind = ReceiptKind.DELAYED if _DELAY.search(subject) else ReceiptKind.FAILED
    yield Receipt(
        kind=kind,
        occurred_at=occurred_at,
        dedupe=dedupe_key("bounce", mail.identity),
        reference=reference,
        **_reason(kind, "", _telling_line(text) or subject),
    )


def _is_bounce(headers: Fields, subject: str) -> bool:
    """Somebody who is on holiday has the mail, and her program answers from nobody, too."""
    by_server = bool(_SERVER.search(first(headers, "from")))
    from_nobody = first(headers, "return-path") == "<>"
    if not _BOUNCE_SUBJECT.search(subject):
        return by_server and from_nobody
    return by_server or (from_nobody and not first(headers, "auto-submitted").lower().startswith("auto-replied"))


def _words(value: str) -> str:
    """A header in RFC 2047 words as a person reads it; as it stands if it cannot be read."""
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value


def _telling_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in lines if _STATUS.search(line)), "") or next(
        (line for line in lines if _REPLY.search(line)), ""
    )


# What it says.


def _reason(kind: ReceiptKind, status: str, diagnostic: str) -> Mapping[str, Any]:
    reply = _REPLY.search(diagnostic)
    if _UNSPECIFIC.fullmatch(status):
        status = _status(diagnostic) or status
    code = f"{reply[1] if reply else ''} {status}".strip()
    failed = kind is ReceiptKind.FAILED
    return {
        "error": _class(int(reply[1]) if reply else 0, status, diagnostic) if failed else None,
        "code": code,
        "detail": diagnostic[:DETAIL_LENGTH],
    }


def _class(reply: int, status: str, diagnostic: str) -> ErrorClass:
    """As if the server had said so to us, when we named the recipient; given up after days is `down`."""
    if not reply and not status:
        return ErrorClass.UNRECOGNISED
    found = class_of(Stage.RCPT, reply or (_RETRY_LATER if status.startswith("4") else 500), status)
    if found is ErrorClass.BAD_RECIPIENT and _UNSPECIFIC.fullmatch(status) and _ABOUT_THE_MAIL.search(diagnostic):
        return ErrorClass.CONTENT
    return found


def _status(text: str) -> str:
    found = _STATUS.search(text[:2_000])
    return found.group() if found else ""


# Whom it is about.


def _reference(mail: _Mail, fields: Fields, account: _Account) -> str | None:
    if account.return_path is not None:
        return _signed_reference(mail, fields, account)
    envelope_id = _UUID.search(first(fields, "original-envelope-id"))
    if envelope_id is not None:
        return envelope_id.group().lower()
    local, _, domain = first(mail.returned, "message-id").strip("<> ").rpartition("@")
    return local.lower() if domain.lower() == account.domain and _UUID.fullmatch(local) else None


def _signed_reference(mail: _Mail, fields: Fields, account: _Account) -> str | None:
    if account.return_path is None:
        return None
    for address in _places(mail, fields):
        found: UUID | None = account.return_path.delivery_of(address)
        if found is not None:
            return str(found)
    return None


def _places(mail: _Mail, fields: Fields) -> Iterator[str]:
    """Where our return path may stand: whom the mail was for, and whom it says the other one was from."""
    values = [value for name in _WHOM_FOR for value in mail.headers.get(name, ())]
    values += [first(fields, "original-mail-from"), first(mail.returned, "return-path")]
    for value in values:
        yield from _ADDRESS.findall(value)


def _bare(typed: str) -> str | None:
    """`rfc822; <ann@home.example>` without its type and brackets."""
    found = _ADDRESS.search(typed.rpartition(";")[2])
    return found.group().lower() if found else None


def _occurred_at(headers: Fields, now: datetime) -> datetime:
    """The stamp of our own server at the top, else what the other wrote; what is no time, or lies ahead, is `now`."""
    received = first(headers, "received").rpartition(";")[2]
    for text in (received, first(headers, "date")):
        try:
            moment = parsedate_to_datetime(text.strip()[:100])
            return min(moment if moment.tzinfo else moment.replace(tzinfo=UTC), now)
        except (ValueError, OverflowError, TypeError):
            continue
    return now
