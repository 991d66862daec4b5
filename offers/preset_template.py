"""The templates in a preset: `$name` in rules, and `{name}` in words, stand for parameters."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

Values = Mapping[str, Any]

_PLACE = re.compile(r"\{([^{}|]*)(?:\|([^{}]*))?\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter stands in words."""

    name: str
    form: str  # "" for the usual one
    optional: bool  # in a part that may be left out


def parameter_of(template: object) -> str | None:
    """The parameter that a template is; None: it is itself."""
    return template[1:] if isinstance(template, str) and template.startswith("$") else None


def filled(template: Any, values: Values) -> Any:  # noqa: ANN401 - as plain as its parameters
    """A template with its parameters' values; a key whose parameter has none is left out."""
    if (name := parameter_of(template)) is not None:
        return values.get(name)
    if isinstance(template, Mapping) and "each" in template:
        step = {key: inner for key, inner in template.items() if key != "each"}
        return tuple(filled(step, one) for one in filled(template["each"], values) or ())
    if isinstance(template, Mapping):
        inner = {key: filled(one, values) for key, one in template.items()}
        return {key: value for key, value in inner.items() if value is not None}
    if isinstance(template, list | tuple):
        return tuple(filled(one, values) for one in template)
    return template


def places(text: str) -> Iterator[Place]:
    whole = _OPTIONAL.sub("", text)
    for optional, part in ((False, whole), *((True, found) for found in _OPTIONAL.findall(text))):
        for name, form in _PLACE.findall(part):
            yield Place(name, form, optional)


def told(text: str, values: Mapping[str, Callable[[str], str]]) -> str:
    """Words with their places filled. `values` tells each parameter that is given, in a form."""

    def part(found: re.Match[str]) -> str:
        there = all(name in values for name, _ in _PLACE.findall(found[1]))
        return found[1] if there else ""

    return _PLACE.sub(lambda found: values[found[1]](found[2] or ""), _OPTIONAL.sub(part, text))


def percent(basis_points: int) -> str:
    """`12.5 %`."""
    return f"{_decimal(basis_points, 100)} %"


def fold(basis_points: int) -> str:
    """What is left of the price in tenths, as Chinese tells a discount: 20 % off is 8."""
    return _decimal(10_000 - basis_points, 1_000)


#: Ways to tell a percentage besides the usual one.
FORMS: Mapping[str, Callable[[int], str]] = MappingProxyType({"fold": fold})


def _decimal(number: int, unit: int) -> str:
    whole, rest = divmod(number, unit)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0").rstrip(".")
