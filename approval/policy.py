"""The policy file: who must say yes to a theme, to its coupons and to its activities."""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from approval.canonical import canonical_json, sha256_of
from approval.condition import Condition, parse_condition
from approval.errors import ConditionInvalid, PolicyInvalid, Problem, nearest
from approval.quorum import Quorum, QuorumKind
from approval.states import ObjectKind

ROLE_PREFIX = "role:"

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_ALLOWED_DURATION = "a duration such as 90m, 24h or 3d"
_ALLOWED_QUORUM = "any, all, {count: N} with N from 1, or {ratio: p} with p above 0 and at most 1"


def _unfit(found: object, allowed: str, meant: str | None = None) -> PydanticCustomError:
    context = {"found": _shown(found), "allowed": allowed, "nearest": meant or ""}
    return PydanticCustomError("unfit", "{found}; allowed: {allowed}", context)


def parse_duration(value: object) -> timedelta:
    """`90m`, `24h`, `3d` or a sum such as `1d12h`."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.fullmatch(r"(?:[0-9]{1,6}[dhms])+", value):
        raise _unfit(value, _ALLOWED_DURATION)
    parts: list[tuple[str, str]] = re.findall(r"([0-9]+)([dhms])", value)
    duration = sum((int(count) * _UNITS[unit] for count, unit in parts), timedelta())
    if duration <= timedelta():
        raise _unfit(value, _ALLOWED_DURATION)
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
    raise _unfit(value, _ALLOWED_QUORUM, nearest(str(word), QuorumKind) if word not in list(QuorumKind) else None)


def _decimal(written: str) -> Decimal | None:
    try:
        number = Decimal(written)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _parse_when(value: object) -> Condition:
    if isinstance(value, Condition):
        return value
    if not isinstance(value, str):
        raise _unfit(value, 'a condition in quotes, such as "budget >= 10000"')
    try:
        return parse_condition(value)
    except ConditionInvalid as broken:
        found = f"{broken.found} at column {broken.column}"
        context = {"found": found, "allowed": broken.allowed, "nearest": broken.nearest or ""}
        raise PydanticCustomError("unfit", "{found}; allowed: {allowed}", context) from broken


def _levels(value: object) -> object:
    if value == "none":
        return ()
    if isinstance(value, list | tuple) and value:
        return value
    meant = nearest(value, ["none"]) if isinstance(value, str) else None
    raise _unfit(value, "a list of levels, or none for 'approved by rule'", meant)


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Duration = Annotated[timedelta, PlainValidator(parse_duration), PlainSerializer(write_duration)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)


class Remind(_Part):
    every: Duration
    times: Annotated[int, Field(ge=1, le=100)]


class Level(_Part):
    level: Name
    approvers: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]  # logins, or role:<role>
    quorum: Annotated[Quorum, PlainValidator(parse_quorum), PlainSerializer(Quorum.to_plain)]
    veto: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    when: Annotated[Condition | None, PlainValidator(_parse_when), PlainSerializer(lambda when: when and when.text)] = (
        None
    )
    due: Duration | None = None
    remind: Remind | None = None

    @field_validator("approvers", "veto")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise _unfit(f"{', '.join(twice)} more than once", "each name once")
        return names

    @field_validator("approvers")
    @classmethod
    def _roles_have_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any(is_role(name) and not role_of(name) for name in names):
            raise _unfit("role: without a name", "role:<name of the role>")
        return names


def _written_levels(levels: tuple[Level, ...]) -> object:
    return [level.model_dump(mode="json", exclude_none=True) for level in levels] or "none"


Levels = Annotated[tuple[Level, ...], Field(strict=False), BeforeValidator(_levels), PlainSerializer(_written_levels)]


class Policy(_Part):
    """A policy. A kind of object with no levels is approved by rule."""

    policy: Name
    fallback: Name  # whoever is asked where nobody of a level may decide: a login, or role:<role>
    theme: Levels
    coupon: Levels
    activity: Levels
    dedupe: Literal["none", "consecutive", "all"] = "none"
    straight_back: bool = False
    takedown: Annotated[tuple[Name, ...], Field(strict=False)] = ()

    def levels(self, kind: ObjectKind) -> tuple[Level, ...]:
        chains = {ObjectKind.THEME: self.theme, ObjectKind.COUPON: self.coupon, ObjectKind.ACTIVITY: self.activity}
        return chains[kind]

    def canonical(self) -> str:
        """Canonical JSON, which `parse_policy` reads back to an equal policy."""
        return canonical_json(self.model_dump(mode="json", exclude_none=True))

    @property
    def hash(self) -> str:
        return sha256_of(self.canonical())


def is_role(name: str) -> bool:
    return name.startswith(ROLE_PREFIX)


def role_of(name: str) -> str:
    return name.removeprefix(ROLE_PREFIX).strip()


def parse_policy(text: str) -> Policy:
    """Read a policy file.

    Raises:
        PolicyInvalid: with every problem of the file, each with its place, what was found and what is allowed.
    """
    raw, repeated = _read_yaml(text)
    if not isinstance(raw, dict):
        raise PolicyInvalid(
            [Problem(path="policy file", found=_shown(raw), allowed="keys and values: policy, fallback, theme, …")]
        )
    try:
        policy = Policy.model_validate(raw)
    except ValidationError as invalid:
        raise PolicyInvalid([*repeated, *(_problem(error) for error in invalid.errors())]) from invalid
    if problems := [*repeated, *_contradictions(policy)]:
        raise PolicyInvalid(problems)
    return policy


class _Loader(yaml.SafeLoader):
    """Safe YAML that notes a key given twice: plain YAML would silently keep the last."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.repeated: list[Problem] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the signature is PyYAML's
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        line = node.start_mark.line + 1
        self.repeated += [
            Problem(path=f"mapping that starts at line {line}", found=f"{key!r} {count} times", allowed="each key once")
            for key, count in keys.items()
            if count > 1
        ]
        return super().construct_mapping(node, deep)


def _read_yaml(text: str) -> tuple[object, list[Problem]]:
    try:
        loader = _Loader(text)
        return loader.get_single_data(), loader.repeated
    except (yaml.YAMLError, ValueError, RecursionError) as broken:
        mark = getattr(broken, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "policy file"
        words = getattr(broken, "problem", None) or str(broken).partition("\n")[0]
        raise PolicyInvalid([Problem(path=place, found=words, allowed="well-formed YAML")]) from broken


def path_of(location: Iterable[int | str]) -> str:
    """`theme[1].quorum`: where in the file something stands, list items counted from 0."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".") or "policy file"


_KEYS: dict[str, tuple[str, ...]] = {
    "": tuple(Policy.model_fields),
    "level": tuple(Level.model_fields),
    "remind": tuple(Remind.model_fields),
}


def _keys_at(location: Sequence[int | str]) -> tuple[str, ...]:
    if not location:
        return _KEYS[""]
    return _KEYS["remind" if location[-1] == "remind" else "level"]


def _problem(error: ErrorDetails) -> Problem:
    location, context = error["loc"], error.get("ctx", {})
    path = path_of(location)
    match error["type"]:
        case "unfit":
            return Problem(
                path=path, found=context["found"], allowed=context["allowed"], nearest=context["nearest"] or None
            )
        case "extra_forbidden":
            key, keys = str(location[-1]), _keys_at(location[:-1])
            return Problem(path=path, found=f"unknown key {key!r}", allowed=", ".join(keys), nearest=nearest(key, keys))
        case "missing":
            return Problem(path=path, found="nothing", allowed="a value: this key is required")
        case "literal_error":
            words = re.findall(r"'([^']*)'", context["expected"])
            meant = nearest(str(error["input"]), words)
            return Problem(path=path, found=_shown(error["input"]), allowed=context["expected"], nearest=meant)
    return Problem(path=path, found=_shown(error["input"]), allowed=_ALLOWED.get(error["type"], error["msg"]))


_ALLOWED: dict[str, str] = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "tuple_type": "a list",
    "too_short": "a list with one entry or more",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "model_type": "keys and values",
}


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) and " " in value else repr(value)
    return text if len(text) <= 80 else text[:79] + "…"  # noqa: PLR2004 - one line of a terminal


def _contradictions(policy: Policy) -> list[Problem]:
    problems: list[Problem] = []
    for kind in ObjectKind:
        levels = policy.levels(kind)
        names = [level.level for level in levels]
        for index, level in enumerate(levels):
            place = f"{kind}[{index}]"
            if level.level in names[:index]:
                problems.append(
                    Problem(path=f"{place}.level", found=f"{level.level!r} again", allowed="a name of its own")
                )
            problems += _contradictions_of_level(place, level)
    return problems


def _contradictions_of_level(place: str, level: Level) -> list[Problem]:
    if any(is_role(name) for name in level.approvers):
        return []  # how many a role has is known when the policy is applied
    problems = [
        Problem(
            path=f"{place}.veto",
            found=repr(login),
            allowed=f"one of the approvers: {', '.join(level.approvers)}",
            nearest=nearest(login, level.approvers),
        )
        for login in level.veto
        if login not in level.approvers
    ]
    listed, needed = len(level.approvers), level.quorum.needed(len(level.approvers))
    if needed > listed:
        found, allowed = f"count {needed}", f"at most {listed}, the number of approvers"
        problems.append(Problem(path=f"{place}.quorum", found=found, allowed=allowed))
    return problems
