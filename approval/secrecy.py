"""Secrets at rest: encrypted with a key from the settings, readable with older keys while one is being replaced."""

import base64
import binascii
import hmac
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from approval.errors import SecretKeyMissing, SecretKeyTooShort, SecretUnreadable

SHORTEST_PASSPHRASE = 16
_KEY_BYTES = 32
# A passphrase must lead to the same key on every machine, so the salt is part of the scheme, not of an installation.
_SALT = b"themeline secrets at rest, 1"


def new_key() -> str:
    return Fernet.generate_key().decode()


class Cipher:
    """Encrypts with the first key, decrypts with any of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take Fernet keys or passphrases, the newest first.

        Raises:
            SecretKeyMissing: there is none.
            SecretKeyTooShort: a passphrase is shorter than 16 characters.
        """
        kept = [key.strip() for key in keys if key.strip()]
        if not kept:
            raise SecretKeyMissing
        self._count = len(kept)
        self._keys = [_fernet_key(key, position) for position, key in enumerate(kept, start=1)]
        fernets = [Fernet(key) for key in self._keys]
        self._newest, self._fernet = fernets[0], MultiFernet(fernets)

    @classmethod
    def from_setting(cls, value: str | None) -> "Cipher":
        """Keys as the settings hold them: separated by commas, the newest first."""
        return cls((value or "").split(","))

    def encrypt(self, secret: str) -> bytes:
        return self._fernet.encrypt(secret.encode())

    def decrypt(self, token: bytes) -> str:
        """Raises SecretUnreadable: none of the keys opens it."""
        try:
            return self._fernet.decrypt(bytes(token)).decode()
        except InvalidToken as refused:
            raise SecretUnreadable from refused

    def is_current(self, token: bytes) -> bool:
        """Whether the first key alone opens it."""
        try:
            self._newest.decrypt(bytes(token))
        except InvalidToken:
            return False
        return True

    def reencrypt(self, token: bytes) -> bytes:
        """The same secret under the first key, so that older keys can be dropped."""
        return self.encrypt(self.decrypt(token))

    def keys_for(self, purpose: str) -> tuple[bytes, ...]:
        """A key of 32 bytes made from each of ours for one purpose alone, such as signing links; the newest first."""
        return tuple(
            hmac.digest(base64.urlsafe_b64decode(key), f"themeline {purpose}".encode(), "sha256") for key in self._keys
        )

    def __repr__(self) -> str:
        return f"Cipher(<{self._count} keys>)"


def _fernet_key(key: str, position: int) -> bytes:
    if _is_fernet_key(key):
        return key.encode()
    if len(key) < SHORTEST_PASSPHRASE:
        raise SecretKeyTooShort(position=position, least=SHORTEST_PASSPHRASE)
    derived = Scrypt(salt=_SALT, length=_KEY_BYTES, n=2**14, r=8, p=1).derive(key.encode())
    return base64.urlsafe_b64encode(derived)


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key.encode(), altchars=b"-_", validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False
