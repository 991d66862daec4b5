"""What the API can be asked: one row an endpoint, from which it is served and described alike."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from http import HTTPMethod, HTTPStatus
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter
from sqlalchemy.orm import Session

from console.http.api.answers import Told
from console.http.api.desk import Desk
from console.http.api.problems import Json
from offers.api_key import Caller
from offers.quote_notation import Part

T = TypeVar("T")

Key = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same key with the same request is answered the same, and does nothing again.",
    ),
]
IDEMPOTENCY_KEY = "Idempotency-Key"


class Place(StrEnum):
    PATH = "path"
    QUERY = "query"
    HEADER = "header"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """Of a request, beside its body. One of the query may be given any number of times, also not at all."""

    name: str
    place: Place
    type: Any

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self.type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that is as it has to be, of somebody who may ask. `values` are its parameters by name."""

    desk: Desk
    caller: Caller
    values: Mapping[str, Any]
    body: Any = None

    @property
    def line_id(self) -> int:
        return self.caller.product_line_id

    async def in_transaction(self, work: Callable[[Session, datetime], T]) -> T:
        return await self.desk.in_transaction(work)

    async def looking(self, work: Callable[[Session, datetime], T]) -> T:
        return await self.desk.looking(work)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """`do` answers; its docstring is the description. `refusals` are its statuses besides those that all have."""

    method: HTTPMethod
    path: str
    do: Callable[[Call], Awaitable[Json]]
    answer: type[Told]
    tag: str
    status: HTTPStatus = HTTPStatus.OK
    body: type[Part] | None = None
    parameters: tuple[Parameter, ...] = field(default=())
    refusals: tuple[HTTPStatus, ...] = field(default=())


def with_key(*others: Parameter) -> tuple[Parameter, ...]:
    """Those of an endpoint that changes something."""
    return (*others, Parameter(name=IDEMPOTENCY_KEY, place=Place.HEADER, type=Key))
