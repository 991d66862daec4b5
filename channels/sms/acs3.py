"""The signature ACS3-HMAC-SHA256 of Aliyun's API gateway (request structure and signature, version 3)."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Sorted, RFC 3986 encoded; this very string is also what must go over the wire."""
    return "&".join(f"{quote(name, safe='')}={quote(parameters[name], safe='')}" for name in sorted(parameters))


def canonical_request(*, query: str, headers: Mapping[str, str], body_hash: str) -> str:
    """A POST to `/`; `headers` are all that are signed, names in lower case and sorted."""
    lines = "".join(f"{name}:{value.strip()}\n" for name, value in headers.items())
    return f"POST\n/\n{query}\n{lines}\n{';'.join(headers)}\n{body_hash}"


def signed_headers(
    *,
    access_key_id: str,
    access_key_secret: str,
    host: str,
    action: str,
    version: str,
    query: str,
    body: bytes,
    at: datetime,
    nonce: str,
    content_type: str | None = None,
) -> dict[str, str]:
    """All headers of the call, Authorization among them."""
    body_hash = hashlib.sha256(body).hexdigest()
    headers = {"content-type": content_type} if content_type else {}
    headers |= {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": body_hash,
        "x-acs-date": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    request = canonical_request(query=query, headers=headers, body_hash=body_hash)
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = hmac.new(access_key_secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={access_key_id},SignedHeaders={';'.join(headers)},Signature={signature}"
    headers["authorization"] = f"{ALGORITHM} {credential}"
    return headers
