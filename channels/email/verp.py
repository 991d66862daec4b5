"""A return path that says which mail came back: `bounces+<delivery>=<signature>@shop.example`.

Whatever an autoresponder or an old mail server sends there is known to be about that delivery, whatever its text says;
and the signature keeps others from having addresses suppressed by made-up bounces.
"""

import hmac
import re
from hashlib import blake2s, sha256
from uuid import UUID

_SIGNATURE_BYTES = 8
_SIGNED = re.compile(r"([0-9a-f]{32})=([0-9a-f]{16})")
#: RFC 5321 grants 64 characters before the @, and these are ours.
LONGEST_LOCAL = 64 - len("+") - 32 - len("=") - 16


class ReturnPath:
    def __init__(self, *, address: str, key: bytes) -> None:
        self._local, _, self._domain = address.rpartition("@")
        self._key = sha256(b"themeline return path\0" + key).digest()  # whatever its length was

    def of(self, delivery_id: UUID) -> str:
        return f"{self._local}+{delivery_id.hex}={self._signature(delivery_id)}@{self._domain}"

    def delivery_of(self, address: str) -> UUID | None:
        """The delivery that a bounce to `address` is about; None if we never wrote such an address."""
        local, _, domain = address.strip().strip("<>").lower().rpartition("@")
        ours, _, signed = local.rpartition("+")
        found = _SIGNED.fullmatch(signed)
        if found is None or ours != self._local.lower() or domain != self._domain.lower():
            return None
        delivery_id = UUID(hex=found[1])
        return delivery_id if hmac.compare_digest(found[2], self._signature(delivery_id)) else None

    def _signature(self, delivery_id: UUID) -> str:
        return blake2s(delivery_id.bytes, key=self._key, digest_size=_SIGNATURE_BYTES).hexdigest()
