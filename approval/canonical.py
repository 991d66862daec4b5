"""One way only to write a value down, so that its hash means its content."""

import json
from collections.abc import Mapping
from hashlib import sha256


def canonical_json(value: Mapping[str, object]) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def sha256_of(text: str) -> str:
    # `surrogatepass`: a lone surrogate in a comment must not keep an act out of the record
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
