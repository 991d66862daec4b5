"""OpenAPI 3.1 of the API, made of the table from which it is served."""

from collections.abc import Iterator, Mapping, Sequence
from inspect import getdoc
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from console.http.api.endpoint import Endpoint, Parameter, Place
from console.http.api.problems import CONTENT_TYPE, KINDS, Problem

_ABOUT = (
    "Live offers for a shop: quotes, claims, a customer's coupons, redemptions, cancellations and refunds. Amounts are"
    " integer minor units. A key sees one product line, and its claims and redemptions are of one channel."
)
_REFS = "#/components/schemas/{model}"
_ALWAYS, _OF_A_BODY = (401, 422, 429, 500, 503), (400, 408, 413, 415)
_REFUSALS: Mapping[int, str] = {
    404: "there is nothing of that name or number in this product line",
    409: "refused: `type` and `why` say what stands against it",
}
_SECONDS = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}
_HEADERS: Mapping[int, Mapping[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: _SECONDS,
    503: _SECONDS,
}


def document(endpoints: Sequence[Endpoint], *, prefix: str) -> dict[str, Any]:
    references, schemas = models_json_schema(list(_models(endpoints)), ref_template=_REFS)
    paths: dict[str, dict[str, Any]] = {}
    for one in endpoints:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, references)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Themeline", "version": "1", "description": _ABOUT},
        "servers": [{"url": prefix}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key of `themeline api-keys create`."}
            },
        },
    }


References = Mapping[Any, Mapping[str, Any]]  # by model and mode


def _models(endpoints: Sequence[Endpoint]) -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
    for one in endpoints:
        models[one.answer, "serialization"] = None
        if one.body:
            models[one.body, "validation"] = None
    return iter(models)


def _operation(one: Endpoint, references: References) -> dict[str, Any]:
    summary, _, more = (getdoc(one.do) or "").partition("\n\n")
    told = {
        "operationId": one.do.__name__,
        "summary": summary.replace("\n", " "),
        "description": more.replace("\n", " "),
        "tags": [one.tag],
        "parameters": [_parameter(parameter) for parameter in one.parameters],
        "responses": dict(_responses(one, references)),
    }
    if one.body:
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": references[one.body, "validation"]}},
        }
    return told


def _parameter(one: Parameter) -> dict[str, Any]:
    schema = one.adapter.json_schema(ref_template=_REFS)
    return {
        "name": one.name,
        "in": one.place.value,
        "required": one.place is not Place.QUERY,
        "schema": {name: value for name, value in schema.items() if name != "$defs"},  # they are among the components
    }


def _responses(one: Endpoint, references: References) -> Iterator[tuple[str, dict[str, Any]]]:
    good = references[one.answer, "serialization"]
    described = {"description": one.status.phrase, "content": {"application/json": {"schema": good}}}
    yield str(one.status.value), described
    for status in sorted({*_ALWAYS, *one.refusals, *(_OF_A_BODY if one.body else ())}):
        yield str(int(status)), _problem(status, references, named=status in one.refusals)


def _problem(status: int, references: References, *, named: bool) -> dict[str, Any]:
    schema = references[Problem, "serialization"]
    told = {
        "description": _REFUSALS[status] if named else KINDS[status][1],
        "content": {CONTENT_TYPE: {"schema": schema}},
    }
    return {**told, "headers": _HEADERS[status]} if status in _HEADERS else told
