"""A mail from anybody, taken apart: as much of MIME as reports need, in a time that grows with its size alone.

The parser of the stdlib takes seconds for some headers of a few hundred kilobytes, and whoever knows a return path may
send us such a one.
"""

import binascii
import quopri
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

LONGEST_MAIL = 1_000_000
_MOST_PARTS, _DEEPEST, _MOST_FIELDS = 50, 5, 500
_LONGEST_VALUE = 4_000
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOUNDARY = re.compile(r'\bboundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)

Fields = Mapping[str, Sequence[str]]  # name in lower case -> its values


@dataclass(frozen=True, slots=True)
class Part:
    """A leaf of a mail; `headers` are those of the part."""

    content_type: str
    headers: Fields
    body: bytes

    @property
    def content(self) -> bytes:
        """The body, decoded. Postfix writes even the header of a returned mail in quoted-printable."""
        return _decoded(self.body, first(self.headers, "content-transfer-encoding").lower())

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


def first(fields: Fields, name: str) -> str:
    return fields.get(name, ("",))[0]


def take_apart(mail: bytes) -> tuple[Fields, Sequence[Part]]:
    """The header of the mail, and its leaves in their order. What is cut off or garbled gives what there is."""
    headers, body = _head_and_body(mail[:LONGEST_MAIL])
    parts: list[Part] = []
    for part in _leaves(headers, body, _DEEPEST):
        parts.append(part)
        if len(parts) == _MOST_PARTS:
            break
    return headers, parts


def fields_of(block: bytes) -> Fields:
    """`Name: value` lines; folded ones are put together, others are passed over."""
    found: dict[str, list[str]] = {}
    for line in _LINE_END.split(_FOLD.sub(b" ", block))[:_MOST_FIELDS]:
        name, colon, value = line[: _LONGEST_VALUE + 100].partition(b":")
        if colon and name.strip():
            key = name.strip().decode("ascii", "replace").lower()
            found.setdefault(key, []).append(value.strip()[:_LONGEST_VALUE].decode("utf-8", "replace"))
    return found


def groups_of(body: bytes) -> Sequence[Fields]:
    """Blocks of fields with empty lines between them, as in `message/delivery-status`."""
    return [fields for block in _HEAD_END.split(body)[:_MOST_PARTS] if (fields := fields_of(block.strip(b"\r\n")))]


def _head_and_body(raw: bytes) -> tuple[Fields, bytes]:
    if raw[:1] in {b"\r", b"\n"}:
        return {}, raw  # a part without a header of its own
    end = _HEAD_END.search(raw)
    return (fields_of(raw), b"") if end is None else (fields_of(raw[: end.start()]), raw[end.end() :])


def _leaves(headers: Fields, body: bytes, depth: int) -> Iterator[Part]:
    given = first(headers, "content-type")
    kind = given.partition(";")[0].strip().lower() or "text/plain"
    boundary = _BOUNDARY.search(given) if kind.startswith("multipart/") and depth else None
    if boundary is None:
        yield Part(kind, headers, body)
        return
    mark = re.escape((boundary[1] or boundary[2]).encode("utf-8", "replace"))
    pieces = re.split(rb"(?:\A|\r?\n)--" + mark + rb"(?:--)?[ \t]*(?=\r?\n|\Z)", body, maxsplit=_MOST_PARTS)
    for piece in pieces[1:]:
        yield from _leaves(*_head_and_body(re.sub(rb"\A\r?\n", b"", piece)), depth - 1)


def _decoded(body: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return quopri.decodestring(body)
    if encoding == "base64":
        try:
            return binascii.a2b_base64(body)
        except binascii.Error:
            return body
    return body
