"""`application/x-www-form-urlencoded`, quickly: urllib looks up every single byte, and a batch has ten thousands."""

import re
from collections.abc import Mapping
from string import ascii_letters, digits
from urllib.parse import quote

_SAFE = frozenset(ascii_letters + digits + "_.-~")
#: In this order: what the others are replaced by holds a `%`, and what a blank is replaced by is a `+`.
_FIRST, _LAST = "%+", " "
_OTHERS = "".join(chr(code) for code in range(128) if chr(code) not in _SAFE and chr(code) not in _FIRST + _LAST)
_REPLACED = [*((char, f"%{ord(char):02X}") for char in _FIRST + _OTHERS), (_LAST, "+")]
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")


def form_body(fields: Mapping[str, str]) -> bytes:
    """The same as `urllib.parse.urlencode(fields).encode()`."""
    return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in fields.items()]).encode()


def _quoted(text: str) -> str:
    for char, replacement in _REPLACED:
        if char in text:
            text = text.replace(char, replacement)
    return text if text.isascii() else _BEYOND_ASCII.sub(lambda found: quote(found[0]), text)
