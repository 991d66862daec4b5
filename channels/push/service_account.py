"""A service account of Google: the file that its console hands out, and the assertion that is traded for a token."""

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from channels.transport import json_bytes

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SECONDS = 3600  # that an assertion is good for, at most
_NEEDED = ("project_id", "client_email", "private_key", "token_uri")


class ServiceAccountUnreadable(Exception):
    """The text is not the JSON file of a service account. The message never quotes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    project_id: str
    client_email: str
    token_uri: str
    key_id: str | None
    key: RSAPrivateKey = field(repr=False)

    def assertion(self, *, scope: str, audience: str, now: int) -> str:
        """A JWT signed with RS256 (RFC 7523); `now` in seconds since 1970."""
        header = {"alg": "RS256", "typ": "JWT", **({"kid": self.key_id} if self.key_id else {})}
        claims = {"iss": self.client_email, "scope": scope, "aud": audience, "iat": now, "exp": now + _SECONDS}
        signed = f"{_packed(json_bytes(header))}.{_packed(json_bytes(claims))}"
        return f"{signed}.{_packed(self.key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def read_service_account(text: str) -> ServiceAccount:
    """Raises ServiceAccountUnreadable."""
    found = _object(text)
    missing = [name for name in _NEEDED if not isinstance(found.get(name), str) or not found[name]]
    if missing:
        raise ServiceAccountUnreadable(f"is not the JSON of a service account: {', '.join(missing)} missing")
    if urlsplit(str(found["token_uri"])).scheme not in {"http", "https"}:
        raise ServiceAccountUnreadable("token_uri is no address")
    key_id = found.get("private_key_id")
    return ServiceAccount(
        project_id=str(found["project_id"]),
        client_email=str(found["client_email"]),
        token_uri=str(found["token_uri"]),
        key_id=str(key_id) if key_id else None,
        key=_key(str(found["private_key"])),
    )


def _object(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ServiceAccountUnreadable("is not JSON: give the whole file of the service account, not its path")
    return found


def _key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        raise ServiceAccountUnreadable("its private_key is no PEM key without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ServiceAccountUnreadable("its private_key is no RSA key")
    return key


def _packed(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
