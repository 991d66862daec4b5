"""The links of a letter that lead back to us, signed: nobody can make one up, or have one lead elsewhere.

A link names the delivery it went out with and carries a signature (HMAC-SHA256, cut to 16 bytes) over that and over
what it is for. The address that a click leads to is signed as well: only what a letter itself held is redirected to.
"""

import hmac
import re
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from hashlib import sha256
from html import escape, unescape
from urllib.parse import quote
from uuid import UUID

from channels.message import EmailContent

#: What keys for these are made for, of the installation's secret key.
PURPOSE = "links, 1"
_SIGNATURE_BYTES = 16
_TOKEN_LENGTH = 43  # 32 bytes in base64, without its padding
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_HREF = re.compile(r"""(<a\b[^>]*?\shref\s*=\s*)("([^"]*)"|'([^']*)')""", re.IGNORECASE)
_BODY_END = re.compile(r"</body\s*>", re.IGNORECASE)


class LinkKind(StrEnum):
    """What a link is for; the value is the first part of its path."""

    UNSUBSCRIBE = "u"
    OPENED = "o"
    CLICKED = "c"


class _Hmac:
    """HMAC-SHA256 (RFC 2104) whose key is worked in once: half of what `hmac.digest` costs for each message."""

    def __init__(self, key: bytes, prefix: bytes) -> None:
        block = key.ljust(sha256().block_size, b"\0")  # keys here are no longer than a block
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block) + prefix)
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def signature(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()[:_SIGNATURE_BYTES]


class LinkSigner:
    """Makes and reads the signed parts of links. Safe to share between threads."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Sign with the first key; read what any of them has signed. A key has 32 bytes."""
        self._prepared = {kind: [_Hmac(key, f"{kind.value}\0".encode()) for key in keys] for kind in LinkKind}

    def token(self, kind: LinkKind, delivery_id: UUID, target: str = "") -> str:
        named = delivery_id.bytes
        raw = named + self._prepared[kind][0].signature(named + target.encode())
        return b2a_base64(raw, newline=False).translate(_URL_SAFE)[:_TOKEN_LENGTH].decode()

    def delivery_of(self, kind: LinkKind, token: str, target: str = "") -> UUID | None:
        """The delivery that a link went out with; None if the link is not ours."""
        if len(token) != _TOKEN_LENGTH or not token.isascii():
            return None
        try:
            raw = urlsafe_b64decode(f"{token}=")
        except ValueError:
            return None
        delivery_id, given = raw[:16], raw[16:]
        genuine = False
        for prepared in self._prepared[kind]:
            genuine |= hmac.compare_digest(prepared.signature(delivery_id + target.encode()), given)
        return UUID(bytes=delivery_id) if genuine else None


class Tracking:
    """Puts into a letter what tells that it was opened, and which of its links were followed."""

    def __init__(self, *, signer: LinkSigner, public_url: str, opens: bool, clicks: bool) -> None:
        self._signer = signer
        self._opened = f"{public_url}/{LinkKind.OPENED.value}"
        self._clicked = f"{public_url}/{LinkKind.CLICKED.value}"
        self._ours = tuple(f"{public_url}/{kind.value}/" for kind in LinkKind)
        self._opens, self._clicks = opens, clicks

    def tracked(self, content: EmailContent, delivery_id: UUID) -> EmailContent:
        """The letter with its links signed and an image at its end; one without HTML stays as it is."""
        if not content.html or not (self._opens or self._clicks):
            return content
        html = content.html
        if self._clicks:
            html = _HREF.sub(lambda found: self._followed(found, delivery_id), html)
        if self._opens:
            html = self._with_image(html, delivery_id)
        return replace(content, html=html)

    def _followed(self, found: re.Match[str], delivery_id: UUID) -> str:
        written = found[3] if found[3] is not None else found[4]
        target = unescape(written).strip()
        if not target.lower().startswith(("https://", "http://")) or target.startswith(self._ours):
            return found[0]  # a mail address, a place in the letter, or a link of ours: unsubscribing is no click
        token = self._signer.token(LinkKind.CLICKED, delivery_id, target)
        address = f"{self._clicked}/{token}?to={quote(target, safe='')}"
        return f'{found[1]}"{escape(address)}"'

    def _with_image(self, html: str, delivery_id: UUID) -> str:
        token = self._signer.token(LinkKind.OPENED, delivery_id)
        image = f'<img src="{escape(self._opened)}/{token}.gif" width="1" height="1" alt="" style="display:none">'
        ends = list(_BODY_END.finditer(html))
        place = ends[-1].start() if ends else len(html)
        return f"{html[:place]}{image}{html[place:]}"
