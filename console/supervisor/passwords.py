"""A password as PostgreSQL keeps it: a SCRAM-SHA-256 verifier (RFC 5803), so that the password itself is never sent."""

import base64
import hashlib
import hmac
import secrets

_ROUNDS = 4096  # what PostgreSQL uses itself: these passwords are random, and no guess comes near them
_SALT_BYTES = 16


def new_password() -> str:
    return secrets.token_urlsafe(24)


def scram_verifier(password: str, *, salt: bytes | None = None) -> str:
    """For `ALTER ROLE … PASSWORD`. The password must be ASCII: others would need SASLprep."""
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ROUNDS)
    stored = hashlib.sha256(_mac(salted, b"Client Key")).digest()
    return f"SCRAM-SHA-256${_ROUNDS}:{_text(salt)}${_text(stored)}:{_text(_mac(salted, b'Server Key'))}"


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
