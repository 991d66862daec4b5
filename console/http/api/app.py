"""The API as an application of its own, which the HTTP service serves at `/v1`. What it refuses it tells as a problem.

It is served from its table of endpoints without a framework in between: a claim costs a fraction of a millisecond, and
a framework's own way to a function several times that.
"""

import logging
import re
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException, Request
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from console.http.api import claims, coupons, quotes, redemptions
from console.http.api.desk import Desk
from console.http.api.endpoint import Call, Endpoint, Parameter, Place
from console.http.api.openapi import document
from console.http.api.problems import Invalid, Json, Unreadable, general, invalid, problems_of, unreadable
from console.http.api.refused import refused
from console.http.bodies import body_of
from console.http.services import Services
from offers.errors import OfferError

log = logging.getLogger("themeline.api")

PREFIX = "/v1"
ENDPOINTS: tuple[Endpoint, ...] = (*quotes.ENDPOINTS, *claims.ENDPOINTS, *coupons.ENDPOINTS, *redemptions.ENDPOINTS)
MOST_BYTES = 1024 * 1024
#: Requests under way: a second's work and more. Whoever comes then does better to come back than to wait behind them.
MOST_AT_ONCE = 1_000
_DOCUMENT = "/openapi.json"
_JSON = "application/json"
_BUSY = general(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "1"})
_VALUE = re.compile(r"\{(\w+)\}")


class ApiFirst:
    """Hands on to the API what is asked of it, whatever characters an address has; the rest goes to the service."""

    def __init__(self, app: ASGIApp, *, api: "Api") -> None:
        self._app, self.api = app, api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked_of_api = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{PREFIX}/")
        await (self.api if asked_of_api else self._app)(scope, receive, send)


class Api:
    def __init__(self, services: Services) -> None:
        self.desk = Desk(services=services)
        self._document = Json(document(ENDPOINTS, prefix=PREFIX))
        self._routes = [(re.compile(_VALUE.sub(r"(?P<\1>[^/]+)", one.path)), one) for one in ENDPOINTS]
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._under_way += 1
        try:
            too_many = self._under_way > MOST_AT_ONCE
            answer = _BUSY if too_many else await self._answer(Request(scope, receive))
        finally:
            self._under_way -= 1
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Json:
        """Whatever comes of it, the shop is told in the form that it knows."""
        try:
            path = request.scope["path"].removeprefix(PREFIX)
            return self._described(request) if path == _DOCUMENT else await self._served(request, path)
        except Exception as error:  # noqa: BLE001 - the unforeseen as well
            return _told(error, request)

    def _described(self, request: Request) -> Json:
        if request.method != "GET":
            raise HTTPException(405, headers={"Allow": "GET"})
        return self._document

    def _found(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        fitting = [(one, match.groupdict()) for pattern, one in self._routes if (match := pattern.fullmatch(path))]
        for endpoint, values in fitting:
            if endpoint.method == method:
                return endpoint, values
        if not fitting:
            raise HTTPException(404)
        raise HTTPException(405, headers={"Allow": ", ".join(sorted(one.method.value for one, _ in fitting))})

    async def _served(self, request: Request, path: str) -> Json:
        """The key is asked for before anything that was sent is looked at."""
        endpoint, in_path = self._found(request.method, path)
        caller = await self.desk.keys.admitted(request)
        sent = await _body(request) if endpoint.body else b""
        values, problems = _values(request, endpoint, in_path)
        body = None
        try:
            body = endpoint.body.model_validate_json(sent) if endpoint.body else None
        except ValidationError as error:
            problems += problems_of(error)
        if problems:
            raise Invalid(problems)
        return await endpoint.do(Call(desk=self.desk, caller=caller, values=values, body=body))


def _told(error: Exception, request: Request) -> Json:
    match error:
        case HTTPException():
            return general(error.status_code, headers=error.headers)
        case Unreadable():
            return unreadable(error)
        case Invalid():
            return invalid(error)
        case OfferError():
            return refused(error)
    _log(request, error)
    return general(HTTPStatus.INTERNAL_SERVER_ERROR)


def _values(
    request: Request, endpoint: Endpoint, in_path: Mapping[str, str]
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The parameters that are right, and what is wrong with the others."""
    values, problems = dict[str, Any](), list[tuple[str, str]]()
    for one in endpoint.parameters:
        given = _given(request, one, in_path)
        if given is None:
            problems.append((f"{one.place} {one.name}", "is missing"))
            continue
        try:
            values[one.name] = one.adapter.validate_python(given)
        except ValidationError as error:
            problems += [(f"{one.place} {one.name}", message) for _, message in problems_of(error)]
    return values, problems


def _given(request: Request, one: Parameter, in_path: Mapping[str, str]) -> object:
    if one.place is Place.PATH:
        return in_path[one.name]
    if one.place is Place.HEADER:
        return request.headers.get(one.name)
    return request.query_params.getlist(one.name)


async def _body(request: Request) -> bytes:
    body = await body_of(request, most=MOST_BYTES)
    if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise HTTPException(415)
    return body


def _log(request: Request, unforeseen: Exception) -> None:
    """Where it happened, and not what it says: that may repeat a code, a key or an address."""
    where = "".join(traceback.format_tb(unforeseen.__traceback__))
    log.error("unforeseen at a %s: %s\n%s", request.method, type(unforeseen).__name__, where)
