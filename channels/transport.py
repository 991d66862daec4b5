"""HTTP, as the providers see it. The one module that knows which HTTP library is used."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, DetailedPyreqwestError, PoolTimeoutError, PyreqwestError
from pyreqwest.http import HeaderMap
from pyreqwest.request import ConsumedRequest

from channels.errors import AnswerLost, NotSent

#: Servers hang up on idle connections after a minute or so, and a request written just then would be in doubt.
IDLE = timedelta(seconds=15)
USER_AGENT = "themeline"

#: Among the causes of an error while connecting, and of no other. The classes do not tell: a connection that was reset
#: under an answer is a ConnectError too. Were these words to change, every failure would count as a lost answer.
_CONNECTING = "client error (Connect)"

#: JSON without spaces and with real characters: some providers refuse escapes.
compact_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes


class Transport(Protocol):
    """One HTTP call at a time out, its answer back; many at once in one event loop.

    No call is ever repeated on its own, no redirect followed. `timeout` is in seconds, from the connection to the last
    byte of the answer. The text of an error never holds the path, the query or the headers: they carry credentials.

    Raises:
        NotSent: there was no connection, so nothing was written.
        AnswerLost: anything that went wrong later; the other side may have acted.
    """

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float) -> HttpResponse: ...  # noqa: ASYNC109 - the transport is what enforces it

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: float) -> HttpResponse: ...  # noqa: ASYNC109 - the same

    async def close(self) -> None: ...


class HttpTransport:
    """pyreqwest with keep-alive connections, opened by the first call. TLS trusts what the system trusts.

    pyreqwest sends a request again only when it took a kept connection that was closed before a byte of it was written.
    """

    def __init__(self, *, connections: int = 128, connect_timeout: float = 5.0) -> None:
        self._connections = connections
        self._connect_timeout = connect_timeout
        self._clients: dict[float, Client] = {}  # by timeout, of which an account has one

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float) -> HttpResponse:  # noqa: ASYNC109 - handed to pyreqwest
        if not body:
            headers = {**headers, "Content-Length": "0"}  # left out otherwise, and some servers insist
        return await self._call("POST", url, headers, body, timeout)

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: float) -> HttpResponse:  # noqa: ASYNC109 - handed to pyreqwest
        return await self._call("GET", url, headers, None, timeout)

    async def close(self) -> None:
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.close()

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> HttpResponse:
        try:
            return await self._exchange(method, url, headers, body, seconds)
        except PyreqwestError as error:
            failure = _failure(url, error)
        # Raised out here, for with the error itself would go the whole address, and the client: while somebody keeps
        # that, its connections outlive close().
        raise failure from None

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, seconds: float
    ) -> HttpResponse:
        client = self._clients.get(seconds) or self._open(seconds)
        response = await _request(client, method, url, headers, body).send()
        return HttpResponse(response.status, _Headers(response.headers), (await response.bytes()).to_bytes())

    def _open(self, seconds: float) -> Client:
        """The connection may take half of the time: its timeout can then always be told from that of the answer."""
        connect = timedelta(seconds=min(seconds / 2, self._connect_timeout))
        client = (
            ClientBuilder()
            .user_agent(USER_AGENT)
            .timeout(timedelta(seconds=seconds))
            .connect_timeout(connect)
            .max_connections(self._connections)
            .pool_timeout(connect)
            .pool_idle_timeout(IDLE)
            .follow_redirects(enable=False)
            .no_proxy()
            .build()
        )
        self._clients[seconds] = client
        return client


class _Headers(Mapping[str, str]):
    """Read only when somebody asks, which is seldom; a value that is no text counts as not there."""

    def __init__(self, headers: HeaderMap) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        try:
            return self._headers[name]
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


def _request(client: Client, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> ConsumedRequest:
    try:
        request = client.request(method, url).headers(headers)
        return (request if body is None else request.body_bytes(body)).build()
    except ValueError as error:
        raise BuilderError("no valid address or header", {"causes": None}) from error


def _failure(url: str, error: PyreqwestError) -> NotSent | AnswerLost:
    causes = _causes(error)
    if isinstance(error, BuilderError | PoolTimeoutError) or _CONNECTING in causes:
        return NotSent(f"no connection to {_origin(url)} ({causes[-1]})")
    return AnswerLost(f"the answer of {_origin(url)} was lost ({type(error).__name__})")


def _origin(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an unreadable address"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _causes(error: PyreqwestError) -> list[str]:
    """From the outside in, but for the outermost one: it quotes the address."""
    found = error.details["causes"] if isinstance(error, DetailedPyreqwestError) else None
    return [cause["message"] for cause in (found or [])[1:]] or [type(error).__name__]
