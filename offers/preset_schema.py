"""The JSON Schema (2020-12) of a preset's parameters, as a theme file writes them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from offers.preset import Parameter, ParameterType, Preset

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

_KEY: Schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^/\\]+$"}
_KEYS: Schema = {"type": "array", "items": _KEY}
_ITEMS: Schema = dict.fromkeys(("product", "shop", "category", "brand"), _KEYS)
_SCOPE: Schema = {
    "type": "object",
    "properties": {
        "all": {"type": "boolean"},
        **_ITEMS,
        "except": {"type": "object", "properties": _ITEMS, "additionalProperties": False},
    },
    "minProperties": 1,
    "additionalProperties": False,
}
_TYPES: Mapping[ParameterType, Schema] = MappingProxyType(
    {
        ParameterType.MONEY: {"type": "string", "pattern": r"^[0-9]{1,13}(\.[0-9]+)?$"},
        ParameterType.PERCENT: {
            "anyOf": [
                {"type": "number", "minimum": 0.01, "maximum": 100},
                {"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,2})?$"},
            ]
        },
        ParameterType.COUNT: {"type": "integer", "maximum": 1_000_000_000},
        ParameterType.FLAG: {"type": "boolean"},
        ParameterType.TEXT: {"type": "string", "minLength": 1, "maxLength": 20_000},
        ParameterType.CHOICE: {},
        ParameterType.PRODUCTS: {**_KEYS, "minItems": 1},
        ParameterType.COUPONS: {**_KEYS, "minItems": 1},
        ParameterType.SCOPE: _SCOPE,
    }
)


def json_schema(preset: Preset) -> Schema:
    """What the parameters of an offer have to look like; the common keys of offers are not among them."""
    schema = _record(preset.parameters)
    if preset.either:
        schema["oneOf"] = [_only(group, preset.either) for group in preset.either]
    return {
        "$schema": DIALECT,
        "title": preset.title.en,
        "description": f"{preset.preset}, version {preset.version}: {preset.title.zh}",
        **schema,
    }


def _record(parameters: Mapping[str, Parameter]) -> Schema:
    return {
        "type": "object",
        "properties": {name: _property(parameter) for name, parameter in parameters.items()},
        "required": [name for name, parameter in parameters.items() if parameter.must_be_given],
        "additionalProperties": False,
    }


def _property(parameter: Parameter) -> Schema:
    schema = dict(_TYPES[parameter.type]) if parameter.type is not ParameterType.STEPS else _steps(parameter)
    if parameter.type is ParameterType.CHOICE:
        schema["enum"] = list(parameter.choices)
    if parameter.type is ParameterType.COUNT:
        schema["minimum"] = parameter.min
    if parameter.about:
        schema["description"] = parameter.about
    if parameter.default is not None:
        schema["default"] = parameter.default
    return schema


def _steps(parameter: Parameter) -> Schema:
    return {"type": "array", "items": _record(parameter.fields), "minItems": 1}


def _only(group: tuple[str, ...], groups: tuple[tuple[str, ...], ...]) -> Schema:
    """All of one group, and nothing of the others."""
    others = sorted({name for other in groups for name in other} - set(group))
    return {"required": list(group), "not": {"anyOf": [{"required": [name]} for name in others]}}
