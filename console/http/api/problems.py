"""What a request is told that gets nothing: `application/problem+json` (RFC 9457), always.

Nothing of what was sent is repeated in it but the names of places: it may hold a key or a code.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from documents.source import join_path

CONTENT_TYPE = "application/problem+json"
TYPES = "/problems/"
_MOST_OF_A_PLACE = 200

#: Problems that have nothing to do with offers: status -> name, and what it says.
KINDS: Mapping[int, tuple[str, str]] = {
    400: ("unreadable", "the request cannot be read"),
    401: ("no-key", "no key is shown that is valid here: send one in `Authorization: Bearer`"),
    404: ("not-found", "there is nothing at this address"),
    405: ("method-not-allowed", "the address is there, but not for this method: see the header Allow"),
    408: ("too-slow", "the body did not come within ten seconds"),
    413: ("too-large", "the body is larger than 1 MiB"),
    415: ("no-json", "the body has to be JSON: send it with `Content-Type: application/json`"),
    422: ("invalid", "the request is not as it has to be: `problems` has every place"),
    429: ("too-many-requests", "the key asks more often than it may: come back after the seconds in Retry-After"),
    500: ("unforeseen", "something went wrong here: nothing was changed"),
    503: (
        "unavailable",
        "the database does not answer, or too much is asked: come back after the seconds in Retry-After",
    ),
}


class PlaceAndMessage(BaseModel):
    model_config = ConfigDict(extra="forbid")

    place: str = Field(description="Such as `cart.lines[0].qty`, or `header Idempotency-Key`.")
    message: str


class Problem(BaseModel):
    """RFC 9457. Programs go by `type` and `why`; `detail` is for people, and may change. Facts stand beside them."""

    type: str = Field(pattern=r"^/problems/[a-z-]+$")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    why: str | None = Field(default=None, description="Of a refusal: why, in one word.")
    problems: list[PlaceAndMessage] | None = Field(
        default=None, description="Of a request that is not as it has to be: all that is wrong."
    )


class Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - whatever JSON can say
        return orjson.dumps(content)


class ProblemJson(Json):
    media_type = CONTENT_TYPE


class Invalid(Exception):
    """A request is not as it has to be; `problems` are all that could be seen at once: place and message."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{place}: {message}" for place, message in problems))


class Unreadable(Exception):
    """A body is no JSON."""

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the body is no JSON: {reason}")


def problem(status: int, name: str, detail: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    """`more` with a value of None is left out."""
    told = {key: value for key, value in more.items() if value is not None}
    title = name.replace("-", " ").capitalize()
    return {"type": TYPES + name, "title": title, "status": status, "detail": detail, **told}


def general(status: int, *, headers: Mapping[str, str] | None = None, problems: Iterable[tuple[str, str]] = ()) -> Json:
    name, detail = KINDS[status]
    listed = [{"place": place, "message": message} for place, message in problems]
    body = problem(status, name, detail, problems=listed or None)
    return ProblemJson(body, status_code=status, headers=dict(headers or {}))


def unreadable(error: Unreadable) -> Json:
    return general(HTTPStatus.BAD_REQUEST, problems=[("the body", f"is no JSON: {error.reason}")])


def invalid(error: Invalid) -> Json:
    return general(HTTPStatus.UNPROCESSABLE_ENTITY, problems=error.problems)


def problems_of(error: ValidationError) -> list[tuple[str, str]]:
    """Without what was found there: it may be secret.

    Raises:
        Unreadable
    """
    details = error.errors(include_url=False, include_input=False)
    if broken := next((one for one in details if one["type"] == "json_invalid"), None):
        raise Unreadable(reason=str(broken["ctx"]["error"]))
    return [(_place(one["loc"]), one["msg"]) for one in details if not _follows(one, details)]


def _follows(one: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Whether a list is too short only because items of it are wrong: pydantic counts those that are right."""
    depth = len(one["loc"])
    return one["type"] == "too_short" and any(
        len(other["loc"]) > depth and other["loc"][:depth] == one["loc"] for other in details
    )


def _place(loc: Sequence[int | str]) -> str:
    path = ""
    for step in loc:
        path = join_path(path, step)
    return path[:_MOST_OF_A_PLACE] or "the body"
