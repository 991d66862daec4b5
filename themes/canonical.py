"""Canonical JSON: one text for one content, whatever the order and notation it came in.

Sorted keys, no blanks, UTF-8, text composed (NFC), decimals without trailing zeros, times in UTC. Binary fractions have
no place in it, since they have more than one notation.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any


class NotCanonical(ValueError):
    """A value has no canonical form."""

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path or 'the content'}: {reason}")


def canonical_json(content: object) -> str:
    """Raises NotCanonical for floats, naive times, keys that are not text, and other types."""
    values = normalised_values(content)
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_hex(content: object) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def normalised_values(value: object, path: str = "") -> Any:  # noqa: ANN401 - JSON is of many types
    """The same content in the types of JSON, each value in its one form."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, Mapping):
        return _mapping(value, path)
    if isinstance(value, list | tuple):
        return [normalised_values(item, f"{path}[{at}]") for at, item in enumerate(value)]
    return _scalar(value, path)


def _scalar(value: object, path: str) -> str:
    if isinstance(value, Decimal) and value.is_finite():
        plain = f"{value:f}"
        text = plain.rstrip("0").rstrip(".") if "." in plain else plain
        return "0" if text in {"-0", ""} else text
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, datetime):
        raise NotCanonical(path=path, reason="a time without a zone means no instant")
    raise NotCanonical(path=path, reason=f"a {type(value).__name__} has no canonical form")


def _text(value: str, path: str) -> str:
    text = unicodedata.normalize("NFC", value)
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise NotCanonical(path=path, reason="contains half a character (a lone surrogate)")
    return text


def _mapping(values: Mapping[Any, object], path: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise NotCanonical(path=path, reason=f"the key {key!r} is not text")
        name = _text(key.value if isinstance(key, Enum) else key, path)
        if name in result:
            raise NotCanonical(path=path, reason=f"the key {name!r} is there in two notations")
        result[name] = normalised_values(value, f"{path}.{name}" if path else name)
    return result
