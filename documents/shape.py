"""Reading a part of the file against its model, field by field, so that one wrong field hides no other."""

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import ErrorDetails, PydanticCustomError

from documents.problem import Problem, did_you_mean, listed, shown
from documents.source import join_path

_UNFIT = "unfit"

_WORDS = {
    "missing": "is missing",
    "string_type": "has to be text",
    "int_type": "has to be a whole number",
    "bool_type": "has to be true or false",
    "model_type": "has to be a mapping of keys",
    "model_attributes_type": "has to be a mapping of keys",
    "mapping_type": "has to be a mapping of keys",
    "dict_type": "has to be a mapping of keys",
    "tuple_type": "has to be a list",
    "list_type": "has to be a list",
    "enum": "is not one of those allowed",
    "literal_error": "is not one of those allowed",
}
_ALLOWED = {
    "bool_type": "true, false",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length}",
    "too_long": "exactly {max_length}",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "{le} or less",
    "enum": "{expected}",
    "literal_error": "{expected}",
}


def refuse(message: str, *, allowed: str = "") -> PydanticCustomError:
    """What a model's own check raises: an error that brings its words, and is reported with just these."""
    return PydanticCustomError(_UNFIT, "{message}", {"message": message, "allowed": allowed})


@dataclass(slots=True)
class Findings:
    """The problems of one file, in the order of its lines."""

    lines: Mapping[str, int] = field(default_factory=dict)
    unread: Sequence[Problem] = ()
    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, message: str, *, found: object = None, allowed: str = "", line: int | None = None) -> None:
        found_text = "" if found is None else shown(found)
        self.problems.append(
            Problem(path=path, message=message, found=found_text, allowed=allowed, line=line or self._line(path))
        )

    def in_order(self) -> list[Problem]:
        """What could not even be read is told as such, and not once more as a wrong value."""
        unread = {problem.path for problem in self.unread}
        distinct = dict.fromkeys([*self.unread, *(problem for problem in self.problems if problem.path not in unread)])
        return sorted(distinct, key=lambda problem: self._line(problem.path) or problem.line or 0)

    def _line(self, path: str) -> int | None:
        """The line of the place, or of the nearest place around it that is in the file."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path)


def read_fields(
    model: type[BaseModel], values: object, *, at: str, context: object, findings: Findings
) -> dict[str, Any]:
    """The fields that are right; of the others the findings tell."""
    if not isinstance(values, Mapping):
        findings.add(at, "has to be a mapping of keys", found=values)
        return {}
    for name in values.keys() - model.model_fields.keys():
        unknown_key(name, model.model_fields, at=at, findings=findings)
    good: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if name in values:
            good.update(_read_field(model, name, values[name], at=at, context=context, findings=findings))
        elif info.is_required():
            findings.add(join_path(at, name), "is missing")
        else:
            good[name] = info.get_default(call_default_factory=True, validated_data={})
    return good


def _read_field(
    model: type[BaseModel], name: str, value: object, *, at: str, context: object, findings: Findings
) -> dict[str, Any]:
    try:
        read = _alone(model, name).model_validate({name: value}, context=context)
    except ValidationError as error:
        for detail in _telling(error.errors(include_url=False)):
            _report(model, detail, at=at, findings=findings)
        return {}
    return {name: getattr(read, name)}


@lru_cache(maxsize=2_048)
def _alone(model: type[BaseModel], name: str) -> type[BaseModel]:
    """One field of the model as a model of its own."""
    info = model.model_fields[name]
    fields: dict[str, Any] = {name: (info.annotation, info)}
    return create_model(f"{model.__name__}_{name}", **fields)


def _telling(details: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Without "too short" of a list whose items are wrong: pydantic counts only those that are right."""
    for detail in details:
        depth = len(detail["loc"])
        inside = any(len(other["loc"]) > depth and other["loc"][:depth] == detail["loc"] for other in details)
        if detail["type"] != "too_short" or not inside:
            yield detail


def _report(model: type[BaseModel], detail: ErrorDetails, *, at: str, findings: Findings) -> None:
    path = at
    for step in detail["loc"]:
        path = join_path(path, step)
    kind, facts = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        name = str(detail["loc"][-1])
        unknown_key(name, _keys_at(model, detail["loc"][:-1]), at=path.removesuffix(f".{name}"), findings=findings)
    elif kind == "missing":
        findings.add(path, "is missing")
    elif kind == _UNFIT:
        findings.add(path, facts["message"], found=detail["input"], allowed=facts["allowed"])
    else:
        message = _WORDS.get(kind, detail["msg"][:1].lower() + detail["msg"][1:])
        allowed = _ALLOWED.get(kind, "").format_map(facts)
        findings.add(path, message, found=detail["input"], allowed=allowed)


def unknown_key(name: str, known: typing.Collection[str], *, at: str, findings: Findings) -> None:
    findings.add(join_path(at, name), f"is not a known key{did_you_mean(name, known)}", allowed=listed(known))


def _keys_at(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """The keys that the model at a place inside another knows."""
    current: object = model
    for step in loc:
        if isinstance(step, str):
            found = next(_models_in(current), None)
            fields = found.model_fields.items() if found else ()
            current = next((info.annotation for name, info in fields if step in (name, info.alias)), None)
    inner = next(_models_in(current), None)
    return [info.alias or name for name, info in inner.model_fields.items()] if inner else []


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, BaseModel)
    ):
        yield annotation
    elif get_origin(annotation) is not None:
        for argument in get_args(annotation):
            yield from _models_in(argument)
