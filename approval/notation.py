"""How the values of a policy file are written: names, durations, quorums and conditions."""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, StringConstraints
from pydantic_core import PydanticCustomError

from approval.condition import Condition, parse_condition
from approval.errors import ConditionInvalid, nearest
from approval.quorum import Quorum, QuorumKind

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_ALLOWED_DURATION = "a duration such as 90m, 24h or 3d, at most 3650d"
_LONGEST = timedelta(days=3650)
_ALLOWED_QUORUM = "any, all, {count: N} with N from 1, or {ratio: p} with p above 0 and at most 1"


def shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) and " " in value else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"  # noqa: PLR2004 - one line of a terminal


def unfit(found: object, allowed: str, meant: str | None = None) -> PydanticCustomError:
    context = {"found": shown(found), "allowed": allowed, "nearest": meant or ""}
    return PydanticCustomError("unfit", "{found}; allowed: {allowed}", context)


def parse_duration(value: object) -> timedelta:
    """`90m`, `24h`, `3d` or a sum such as `1d12h`."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"(?:[0-9]{1,9}[dhms]){1,4}", value):
        raise unfit(value, _ALLOWED_DURATION)
    # a day written in seconds has to be readable too: that is how `write_duration` writes 11d13h46m41s
    parts: list[tuple[str, str]] = re.findall(r"([0-9]+)([dhms])", value)
    duration = sum((int(count) * _UNITS[unit] for count, unit in parts), timedelta())
    if not timedelta() < duration <= _LONGEST:
        raise unfit(value, _ALLOWED_DURATION)
    return duration


def write_duration(duration: timedelta) -> str:
    """In the largest unit that leaves no rest: one duration is always written in one way."""
    for letter, unit in _UNITS.items():
        if not duration % unit:
            return f"{duration // unit}{letter}"
    raise ValueError(f"{duration!r} has parts of a second")


def parse_quorum(value: object) -> Quorum:
    match value:
        case Quorum():
            return value
        case "any" | "all":
            return Quorum(kind=QuorumKind(value))
        case {"count": int(count), **rest} if not rest and count >= 1 and not isinstance(count, bool):
            return Quorum(kind=QuorumKind.COUNT, count=count)
        case {"ratio": int() | float() | str() as written, **rest} if not rest and not isinstance(written, bool):
            ratio = _decimal(str(written))
            if ratio is not None and 0 < ratio <= 1:
                return Quorum(kind=QuorumKind.RATIO, ratio=ratio.normalize())
    word = next(iter(value), None) if isinstance(value, Mapping) else value
    raise unfit(value, _ALLOWED_QUORUM, nearest(str(word), QuorumKind) if word not in list(QuorumKind) else None)


def _decimal(written: str) -> Decimal | None:
    try:
        number = Decimal(written)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def parse_when(value: object) -> Condition:
    if isinstance(value, Condition):
        return value
    if not isinstance(value, str):
        raise unfit(value, 'a condition in quotes, such as "budget >= 10000"')
    try:
        return parse_condition(value)
    except ConditionInvalid as broken:
        found = f"{broken.found} at column {broken.column}"
        context = {"found": found, "allowed": broken.allowed, "nearest": broken.nearest or ""}
        raise PydanticCustomError("unfit", "{found}; allowed: {allowed}", context) from broken


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Duration = Annotated[timedelta, PlainValidator(parse_duration), PlainSerializer(write_duration)]
QuorumValue = Annotated[Quorum, PlainValidator(parse_quorum), PlainSerializer(Quorum.to_plain)]
When = Annotated[
    Condition | None, PlainValidator(parse_when), PlainSerializer(lambda condition: condition and condition.text)
]
