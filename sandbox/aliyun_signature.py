"""ACS3-HMAC-SHA256 as the Aliyun gateway checks it: help.aliyun.com, "V3 request structure and signature"."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from sandbox.credentials import AliyunAccount
from sandbox.http_call import Arrived

SCHEME = "ACS3-HMAC-SHA256"
MAX_AGE = timedelta(minutes=15)
REQUIRED = ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce", "x-acs-content-sha256")


class GatewayRefused(Exception):
    """The gateway turned the call away before the service saw it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def canonical_query(query: str) -> str:
    """Decoded, sorted and encoded again: what stood raw on the wire (`:`) is signed encoded (`%3A`)."""
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{_encode(key)}={_encode(value)}" for key, value in pairs)


def canonical_request(
    *, method: str, path: str, query: str, headers: Mapping[str, str], signed: Sequence[str], body_sha256: str
) -> str:
    lines = "".join(f"{name}:{headers.get(name, '').strip()}\n" for name in signed)
    return "\n".join((method, path, canonical_query(query), lines, ";".join(signed), body_sha256))


def string_to_sign(canonical: str) -> str:
    return f"{SCHEME}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def signature_of(canonical: str, secret: str) -> str:
    return hmac.new(secret.encode(), string_to_sign(canonical).encode(), hashlib.sha256).hexdigest()


class Nonces:
    """Remembers a nonce for at least twice the age that a request may have: the date may lie ahead as well."""

    def __init__(self) -> None:
        self._now: set[str] = set()
        self._before: set[str] = set()
        self._turns_at = datetime.min.replace(tzinfo=UTC)

    def is_fresh(self, nonce: str, now: datetime) -> bool:
        """Whether it is seen for the first time; it counts as seen from then on."""
        if now >= self._turns_at:
            self._before, self._now = self._now, set()
            self._turns_at = now + 2 * MAX_AGE
        if nonce in self._now or nonce in self._before:
            return False
        self._now.add(nonce)
        return True


def verify(arrived: Arrived, account: AliyunAccount, nonces: Nonces, now: datetime) -> None:
    """Raises GatewayRefused unless the call is signed by the account, in time, for the first time."""
    fields = _authorization(arrived.headers.get("authorization", ""))
    signed = fields["SignedHeaders"].split(";")
    _check_presence(arrived, signed)
    if fields["Credential"] != account.access_key_id:
        raise GatewayRefused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    _check_date(arrived.headers["x-acs-date"], now)
    digest = hashlib.sha256(arrived.body).hexdigest()
    if not hmac.compare_digest(digest, arrived.headers["x-acs-content-sha256"].strip()):
        raise GatewayRefused(400, "SignatureDoesNotMatch", "x-acs-content-sha256 is not the SHA-256 of the body.")
    canonical = canonical_request(
        method=arrived.method,
        path=arrived.path,
        query=arrived.query,
        headers=arrived.headers,
        signed=signed,
        body_sha256=digest,
    )
    if not hmac.compare_digest(signature_of(canonical, account.access_key_secret), fields["Signature"]):
        message = (
            f"Specified signature does not match our calculation. server string to sign is:{string_to_sign(canonical)}"
        )
        raise GatewayRefused(400, "SignatureDoesNotMatch", message)
    if not nonces.is_fresh(arrived.headers["x-acs-signature-nonce"], now):
        raise GatewayRefused(400, "SignatureNonceUsed", "Specified signature nonce was used already.")


def _authorization(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    fields = {name.strip(): value.strip() for name, _, value in (part.partition("=") for part in rest.split(","))}
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not fields.get(name)]
    if scheme != SCHEME or missing:
        message = f"Authorization must be {SCHEME} Credential=..,SignedHeaders=..,Signature=.."
        raise GatewayRefused(400, "IncompleteSignature", message)
    return fields


def _check_presence(arrived: Arrived, signed: Sequence[str]) -> None:
    present = {name.lower() for name in arrived.headers}
    for name in REQUIRED:
        if name not in present:
            raise GatewayRefused(400, "MissingParameter", f"The header {name} is missing.")
    must = {name for name in present if name == "host" or name.startswith("x-acs-")}
    # Official clients send an unsigned content type when there is no body; with one, what it means must be signed.
    if arrived.body and "content-type" in present:
        must.add("content-type")
    if list(signed) != sorted(signed) or not must <= set(signed):
        unsigned = ", ".join(sorted(must - set(signed))) or "none, but the list is not sorted"
        raise GatewayRefused(400, "IncompleteSignature", f"Headers that must be signed and are not: {unsigned}.")


def _check_date(text: str, now: datetime) -> None:
    try:
        date = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise GatewayRefused(400, "InvalidTimeStamp.Format", "x-acs-date must be like 2026-01-31T08:00:00Z.") from None
    if abs(now - date) > MAX_AGE:
        raise GatewayRefused(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")


def _encode(text: str) -> str:
    return quote(text, safe="~")
