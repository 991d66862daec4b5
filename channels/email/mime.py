"""The bytes of a personal e-mail, written by hand: the generator of the stdlib takes twenty times as long.

RFC 5322 for the header, RFC 2047 for words that are not ASCII, RFC 2046 for `multipart/alternative`.
"""

import re
import time
from binascii import b2a_base64
from collections.abc import Iterator
from email.utils import formatdate
from functools import lru_cache

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


def build(*, sender: str, recipient: str, content: EmailContent, message_id: str, boundary: str) -> bytes:
    """`sender` is a complete From value in ASCII; every line ends in CRLF and has at most 998 characters.

    Raises:
        HeaderInvalid: a header of the content is ours, is no header name, or holds a line break.
    """
    head = (
        f"From: {sender}\r\n"
        f"To: {recipient}\r\n"
        f"Subject: {encoded(content.subject, 'Subject')}\r\n"
        f"Date: {_date(int(time.time()))}\r\n"
        f"Message-ID: {message_id}\r\n"
        "MIME-Version: 1.0\r\n"
    )
    extra = "".join([f"{_own_name(name)}: {encoded(value, name)}\r\n" for name, value in content.headers.items()])
    return f"{head}{extra}{_body(content, boundary)}\r\n".encode("ascii")


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def encoded(value: str, name: str) -> str:
    if _CONTROL.search(value):
        raise HeaderInvalid(name=name, problem="holds a line break or another control character")
    if value.isascii() and len(name) + 2 + len(value) <= _LONGEST_LINE and "=?" not in value:
        return value
    return _words(value)


@lru_cache(maxsize=64)
def _words(value: str) -> str:
    """A subject is often the same for everybody."""
    return f"{CRLF} ".join(f"=?utf-8?b?{_base64(chunk)}?=" for chunk in _chunks(value))


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


@lru_cache(maxsize=64)
def _own_name(name: str) -> str:
    """The name of a header that the content may set."""
    if not _NAME.fullmatch(name):
        raise HeaderInvalid(name=name, problem="is no header name")
    if name.lower() in RESERVED or name.lower().startswith("content-"):
        raise HeaderInvalid(name=name, problem="is set by the sender, not by the content")
    return name


def _body(content: EmailContent, boundary: str) -> str:
    text = _part("plain", content.text)
    if not content.html:
        return text
    return (
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'
        f"--{boundary}\r\n{text}\r\n--{boundary}\r\n{_part('html', content.html)}\r\n--{boundary}--"
    )


def _part(kind: str, text: str) -> str:
    whole = _BREAK.sub(CRLF, text) if "\r" in text else text.replace("\n", CRLF)
    if whole.isascii() and _lines_fit(whole):
        return f'Content-Type: text/{kind}; charset="us-ascii"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n{whole}'
    return (
        f'Content-Type: text/{kind}; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        f"{_wrapped(_base64(whole.encode()))}"
    )


def _lines_fit(text: str) -> bool:
    """In strides of a longest line: a few looks instead of one a line."""
    start = 0
    while len(text) - start > _LONGEST_LINE:
        end = text.rfind(CRLF, start, start + _LONGEST_LINE + len(CRLF))
        if end < 0:
            return False
        start = end + len(CRLF)
    return True


def _wrapped(data: str) -> str:
    return CRLF.join([data[start : start + _LINE] for start in range(0, len(data), _LINE)])


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")
