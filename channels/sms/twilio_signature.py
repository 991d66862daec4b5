"""How Twilio signs what it posts to us: an HMAC over the address it calls and the fields of the form.

An application of ours that is asked through a proxy must sign the address that Twilio knows, not the one it hears.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1, sha256
from urllib.parse import SplitResult, urlsplit, urlunsplit

HEADER = "X-Twilio-Signature"
#: Says `key=…,algorithm=HMAC_SHA256` for an account that has chosen it; without it the signature is by SHA-1.
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"

_DIGESTS = {"HMAC_SHA1": sha1, "HMAC_SHA256": sha256}
_PORTS = {"http": 80, "https": 443}


def signature(*, auth_token: str, url: str, fields: Mapping[str, Sequence[str]], algorithm: str = "HMAC_SHA1") -> str:
    """The signature of one form posted to `url` (as it is called, its query with it).

    Each distinct value of a field counts once, in the order of the values (twilio 9.13.0, `RequestValidator`).

    Raises:
        KeyError: no such algorithm; HMAC_SHA1 and HMAC_SHA256 are known.
    """
    text = url + "".join(name + value for name in sorted(fields) for value in sorted(set(fields[name])))
    return b64encode(hmac.new(auth_token.encode(), text.encode(), _DIGESTS[algorithm]).digest()).decode()


def is_genuine(
    given: str,
    *,
    auth_token: str,
    url: str,
    fields: Mapping[str, Sequence[str]],
    settings: str = "",
) -> bool:
    """Whether the form comes from Twilio. `given` is the header `HEADER`, `settings` that of SETTINGS_HEADER.

    Twilio signs the address with its port or without, whatever is written; both count.
    """
    algorithm = algorithm_of(settings)
    if algorithm not in _DIGESTS:
        return False
    return any(
        hmac.compare_digest(
            given.encode(), signature(auth_token=auth_token, url=spelled, fields=fields, algorithm=algorithm).encode()
        )
        for spelled in _spellings(url)
    )


def algorithm_of(settings: str) -> str:
    """What the header SETTINGS_HEADER asks for."""
    pairs = (part.strip().partition("=") for part in settings.split(","))
    return {name: value for name, _, value in pairs}.get("algorithm", "HMAC_SHA1")


def _spellings(url: str) -> Iterable[str]:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    bare = host if parts.port is None else host.rpartition(":")[0]
    ported = host if parts.port is not None else f"{host}:{_PORTS.get(parts.scheme, 443)}"
    return {url, _with_host(parts, bare), _with_host(parts, ported)}


def _with_host(parts: SplitResult, host: str) -> str:
    return urlunsplit(parts._replace(netloc=host))
