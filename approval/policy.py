"""The policy file: who must say yes to a theme, to its coupons and to its activities."""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError
from pydantic_core import ErrorDetails

from approval.canonical import canonical_json, sha256_of
from approval.errors import PolicyInvalid, Problem, nearest
from approval.notation import Duration, Name, QuorumValue, When, shown, unfit, write_duration
from approval.states import ObjectKind

ROLE_PREFIX = "role:"

#: Keys that came after the first release. Unused they are not written, so that a policy without them keeps its hash.
_LATER_KEYS = frozenset({"in_turn", "product_lines", "keep_on_decrease", "override", "recall"})


def is_role(name: str) -> bool:
    return name.startswith(ROLE_PREFIX)


def role_of(name: str) -> str:
    return name.removeprefix(ROLE_PREFIX).strip()


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise unfit(f"{', '.join(twice)} more than once", "each name once")
    return names


def _roles_have_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if any(is_role(name) and not role_of(name) for name in names):
        raise unfit("role: without a name", "role:<name of the role>")
    return names


def _levels(value: object) -> object:
    if value == "none":
        return ()
    if isinstance(value, list | tuple) and value:
        return value
    meant = nearest(value, ["none"]) if isinstance(value, str) else None
    raise unfit(value, "a list of levels, or none for 'approved by rule'", meant)


Names = Annotated[tuple[Name, ...], Field(strict=False), AfterValidator(_each_once)]
People = Annotated[Names, AfterValidator(_roles_have_names)]  # logins, or role:<role>


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True)

    def to_plain(self) -> dict[str, Any]:
        """As a policy file writes it."""
        fields = type(self).model_fields
        unused = {name for name in _LATER_KEYS & fields.keys() if getattr(self, name) == fields[name].default}
        return self.model_dump(mode="json", exclude_none=True, exclude=unused)


class Remind(_Part):
    every: Duration
    times: Annotated[int, Field(ge=1, le=100)]


class Level(_Part):
    level: Name
    approvers: Annotated[People, Field(min_length=1)]
    quorum: QuorumValue
    veto: People = ()
    in_turn: bool = False  # asked one after another, in the order written; those of a role in alphabetical order
    when: When = None  # the level applies where this holds, or cannot be told
    skip_when: When = None  # it is left out where this holds; what cannot be told never skips
    due: Duration | None = None
    remind: Remind | None = None
    escalate: Duration | None = None  # after its opening: the manager of whoever has not answered is asked too
    on_due: Literal["approve", "reject", "return to drafter"] | None = None  # done in the name of `system:timeout`


def _written_levels(levels: tuple[Level, ...]) -> object:
    return [level.to_plain() for level in levels] or "none"


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
    product_lines: Names = ()  # that themes under it may belong to; empty: all
    keep_on_decrease: bool = False  # a chain stands where an edit did nothing but lower amounts
    override: People = ()  # who may settle a level over the heads of those asked
    recall: People = ()  # who may recall beside the author and the approvers of the last level

    def levels(self, kind: ObjectKind) -> tuple[Level, ...]:
        chains = {ObjectKind.THEME: self.theme, ObjectKind.COUPON: self.coupon, ObjectKind.ACTIVITY: self.activity}
        return chains[kind]

    def canonical(self) -> str:
        """Canonical JSON, which `parse_policy` reads back to an equal policy."""
        return canonical_json(self.to_plain())

    @property
    def hash(self) -> str:
        return sha256_of(self.canonical())


def parse_policy(text: str) -> Policy:
    """Read a policy file.

    Raises:
        PolicyInvalid: with every problem of the file, each with its place, what was found and what is allowed.
    """
    raw, repeated = _read_yaml(text)
    if not isinstance(raw, dict):
        raise PolicyInvalid(
            [Problem(path="policy file", found=shown(raw), allowed="keys and values: policy, fallback, theme, …")]
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
            return Problem(path=path, found=shown(error["input"]), allowed=context["expected"], nearest=meant)
    return Problem(path=path, found=shown(error["input"]), allowed=_ALLOWED.get(error["type"], error["msg"]))


_ALLOWED: dict[str, str] = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "tuple_type": "a list",
    "too_short": "a list with one entry or more",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "model_type": "keys and values",
}


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
    return [*_contradictions_of_people(place, level), *_contradictions_of_rules(place, level), *_idle(place, level)]


def _contradictions_of_people(place: str, level: Level) -> list[Problem]:
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


def _contradictions_of_rules(place: str, level: Level) -> list[Problem]:
    if level.skip_when is None:
        return []
    path, text = f"{place}.skip_when", level.skip_when.text
    if not level.skip_when.facts:
        return [Problem(path=path, found=f"{text}, which asks for no fact", allowed="a condition on facts")]
    if level.skip_when == level.when:
        found = f"{text}, the same as when: this level would ask only where facts are not available"
        return [Problem(path=path, found=found, allowed="another condition than that of when")]
    return []


def _idle(place: str, level: Level) -> list[Problem]:
    """What time would never come to do, because the level is settled when it is due."""
    if level.on_due is None:
        return []
    if level.due is None:
        found = f"{level.on_due!r} without a due time"
        return [Problem(path=f"{place}.on_due", found=found, allowed="due: beside it, such as due: 24h")]
    due, acts = level.due, f"when on_due acts ({write_duration(level.due)})"
    early = {"escalate": level.escalate, "remind.every": None if level.remind is None else level.remind.every}
    return [
        Problem(path=f"{place}.{key}", found=write_duration(after), allowed=f"less than the time due, {acts}")
        for key, after in early.items()
        if after is not None and after >= due
    ]
