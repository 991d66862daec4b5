"""The bytes of a personal e-mail, written by hand: the generator of the stdlib takes twenty times as long.

RFC 5322 for the header, RFC 2047 for words that are not ASCII, RFC 2046 for `multipart/alternative`.
"""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from uuid import UUID

from channels.message import EmailContent

CRLF = "\r\n"
#: Of these there is one, and it is ours.
RESERVED = frozenset(
    {"from", "to", "cc", "bcc", "sender", "subject", "date", "message-id", "mime-version", "return-path"}
)
_NAME = re.compile(r"[!-9;-~]{1,76}")
_BREAK = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LINE = 76  # characters of base64 per line
_LONGEST_LINE = 998
_WORD = 45  # bytes in an encoded word, which makes 60 characters of base64 and stays under 75 with its frame


class HeaderInvalid(ValueError):
    """A header that may not be sent."""

    def __init__(self, *, name: str, problem: str) -> None:
        self.name, self.problem = name, problem
        super().__init__(f"header {name!r} {problem}")


def message_id(delivery_id: UUID, domain: str) -> str:
    """The same for every try of a delivery, so that whoever receives it twice can tell."""
    return f"<{delivery_id}@{domain}>"


def build(*, sender: str, recipient: str, content: EmailContent, delivery_id: UUID, domain: str) -> bytes:
    """`sender` is a complete From value in ASCII; every line ends in CRLF and has at most 998 characters.

    Raises:
        HeaderInvalid: a header of the content is ours, is no header name, or holds a line break.
    """
    head = [
        f"From: {sender}",
        f"To: {recipient}",
        f"Subject: {encoded(content.subject, 'Subject')}",
        f"Date: {formatdate(usegmt=True)}",
        f"Message-ID: {message_id(delivery_id, domain)}",
        "MIME-Version: 1.0",
        *_extra(content.headers),
    ]
    lines = [*head, *_body(content, f"=_{delivery_id.hex}"), ""]
    return CRLF.join(lines).encode("ascii")


def encoded(value: str, name: str) -> str:
    if _CONTROL.search(value):
        raise HeaderInvalid(name=name, problem="holds a line break or another control character")
    if value.isascii() and len(name) + 2 + len(value) <= _LONGEST_LINE and "=?" not in value:
        return value
    words = (f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in _chunks(value))
    return f"{CRLF} ".join(words)


def _chunks(value: str) -> Iterator[bytes]:
    """Pieces of at most 45 bytes that never cut a character."""
    chunk = b""
    for character in value:
        more = character.encode()
        if len(chunk) + len(more) > _WORD:
            yield chunk
            chunk = b""
        chunk += more
    yield chunk


def _extra(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise HeaderInvalid(name=name, problem="is no header name")
        if name.lower() in RESERVED or name.lower().startswith("content-"):
            raise HeaderInvalid(name=name, problem="is set by the sender, not by the content")
        yield f"{name}: {encoded(value, name)}"


def _body(content: EmailContent, boundary: str) -> Iterator[str]:
    if not content.html:
        yield from _part("plain", content.text)
        return
    yield f'Content-Type: multipart/alternative; boundary="{boundary}"'
    yield ""
    for kind, text in (("plain", content.text), ("html", content.html)):
        yield f"--{boundary}"
        yield from _part(kind, text)
    yield f"--{boundary}--"


def _part(kind: str, text: str) -> Iterator[str]:
    lines = _BREAK.split(text)
    plain = text.isascii() and all(len(line) <= _LONGEST_LINE for line in lines)
    yield f'Content-Type: text/{kind}; charset="{"us-ascii" if plain else "utf-8"}"'
    yield f"Content-Transfer-Encoding: {'7bit' if plain else 'base64'}"
    yield ""
    if plain:
        yield from lines
        return
    data = b64encode(CRLF.join(lines).encode()).decode()
    yield from (data[start : start + _LINE] for start in range(0, len(data), _LINE))
