"""Google's token endpoint for service accounts: an assertion signed with RS256 in, an access token out.

The key pair is made when it is first asked for, and lives as long as the journal. Tokens are many: each call makes one.
"""

import base64
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from sandbox.credentials import FcmAccount
from sandbox.ledger import Ledger

#: Either lets messages through; Google's own library asks for the wider one.
SCOPES: Final = frozenset(
    {"https://www.googleapis.com/auth/firebase.messaging", "https://www.googleapis.com/auth/cloud-platform"}
)
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PREFIX: Final = "ya29."
_GOOGLE: Final = "https://oauth2.googleapis.com/token"  # what Google's own library writes, wherever it posts to
_LONGEST: Final = 3600
_SKEW: Final = 300


class GrantRefused(Exception):
    """The token endpoint answers with an OAuth error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ServiceAccount:
    """The account with its key; who holds the key gets tokens for the project."""

    def __init__(self, *, account: FcmAccount, ledger: Ledger) -> None:
        self._account = account
        self._ledger = ledger

    def as_downloaded(self, origin: str) -> dict[str, str]:
        """The file that Google's console hands out, for a token endpoint at `origin`."""
        account = self._account
        return {
            "type": "service_account",
            "project_id": account.project_id,
            "private_key_id": account.key_id,
            "private_key": self._pem(),
            "client_email": account.client_email,
            "client_id": "100000000000000000000",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": f"{origin}/token",
            "universe_domain": "googleapis.com",
        }

    def grant(self, body: bytes, host: str) -> tuple[str, int]:
        """A new token and its seconds. Raises GrantRefused."""
        form = parse_qs(body.decode("utf-8", "replace"))
        if form.get("grant_type") != [GRANT]:
            raise GrantRefused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type')}")
        self._check(form.get("assertion", [""])[0], host, time.time())
        token, seconds = f"{PREFIX}{secrets.token_urlsafe(96)}", self._account.token_seconds
        self._ledger.keep_bearer(token, time.time() + seconds)
        return token, max(int(seconds), 1)

    def is_good(self, token: str) -> bool:
        return self._ledger.bearers.get(token, 0.0) > time.time()

    def expire(self, now: float) -> int:
        """End every token that is still good; the number of them."""
        good = [token for token, expires_at in self._ledger.bearers.items() if expires_at > now]
        for token in good:
            self._ledger.keep_bearer(token, now)
        return len(good)

    def _check(self, assertion: str, host: str, now: float) -> None:
        signed, _, signature = assertion.rpartition(".")
        head, _, payload = signed.partition(".")
        header, claims = _decoded(head), _decoded(payload)
        if header.get("alg") != "RS256" or header.get("kid") not in (None, self._account.key_id):
            raise GrantRefused("invalid_grant", "Invalid JWT: no such key.")
        try:
            self._key().public_key().verify(_bytes(signature), signed.encode(), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            raise GrantRefused("invalid_grant", "Invalid JWT Signature.") from None
        self._check_claims(claims, host, now)

    def _check_claims(self, claims: Mapping[str, Any], host: str, now: float) -> None:
        if claims.get("iss") != self._account.client_email:
            raise GrantRefused("invalid_grant", "Invalid grant: account not found")
        if claims.get("aud") not in (_GOOGLE, f"http://{host}/token", f"https://{host}/token"):
            raise GrantRefused("invalid_grant", "Invalid JWT: failed audience check.")
        if SCOPES.isdisjoint(str(claims.get("scope", "")).split()):
            raise GrantRefused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or not isinstance(expires, int):
            raise GrantRefused("invalid_grant", "Invalid JWT: iat and exp are seconds.")
        if issued > now + _SKEW or expires < now - _SKEW or not 0 < expires - issued <= _LONGEST:
            raise GrantRefused(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.",
            )

    def _key(self) -> rsa.RSAPrivateKey:
        key = load_pem_private_key(self._pem().encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - it was made as such
        return key

    def _pem(self) -> str:
        if self._ledger.service_key is None:
            key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
            self._ledger.keep_service_key(pem)
            return pem
        return self._ledger.service_key


def oauth_error(refusal: GrantRefused) -> dict[str, str]:
    return {"error": refusal.code, "error_description": str(refusal), "trace": uuid.uuid4().hex}


def _decoded(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_bytes(part))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise GrantRefused("invalid_grant", "Invalid JWT: it does not decode.")
    return found


def _bytes(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise GrantRefused("invalid_grant", "Invalid JWT: it is not base64url.") from None
