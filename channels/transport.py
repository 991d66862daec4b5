"""HTTP, as the providers see it. The one module that knows which HTTP library is used."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlsplit

import orjson
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, DetailedPyreqwestError, PoolTimeoutError, PyreqwestError
from pyreqwest.http import HeaderMap
from pyreqwest.request import ConsumedRequest

from channels.errors import AnswerLost, NotSent

#: Servers hang up on idle connections after a minute or so, and a request written just then would be in doubt.
IDLE = timedelta(seconds=15)
USER_AGENT = "themeline"

#: A broken connection that carries many calls at once is found by a ping, before all of them have waited in vain.
PING_EVERY, PING_PATIENCE = timedelta(seconds=10), timedelta(seconds=5)

#: Among the causes of an error while connecting, and of no other. The classes do not tell: a connection that was reset
#: under an answer is a ConnectError too. Were these words to change, every failure would count as a lost answer.
_CONNECTING = "client error (Connect)"
#: HTTP/2 promises that such a call was not looked at (RFC 9113, 8.7). pyreqwest has tried it again by then.
_NOT_LOOKED_AT = "stream error received: refused stream before processing any application logic"

#: JSON without spaces and with real characters: some providers refuse escapes.
json_bytes = orjson.dumps
read_json = orjson.loads


def json_text(value: object) -> str:
    return json_bytes(value).decode()


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    headers: Mapping[str, str]  # names in any case
    body: bytes


class Transport(Protocol):
    """One HTTP call at a time out, its answer back; many at once in one event loop.

    No call is ever repeated on its own, no redirect followed. `timeout` is in seconds, from the connection to the last
    byte of the answer. The text of an error never holds the path, the query or the headers: they carry credentials.
    With `http2` calls to one origin share a connection: agreed on in the TLS handshake, or else HTTP/1.1 is spoken;
    without TLS taken for granted.

    Raises:
        NotSent: there was no connection, so nothing was written.
        AnswerLost: anything that went wrong later; the other side may have acted.
    """

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - the transport is what enforces it
        http2: bool = False,
    ) -> HttpResponse: ...

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: float) -> HttpResponse: ...  # noqa: ASYNC109 - the same

    async def close(self) -> None: ...


class HttpTransport:
    """pyreqwest with keep-alive connections, opened by the first call. TLS trusts what the system trusts.

    At most `connections` calls are under way at once. A call that waits takes the first connection to be free, and the
    one that was being opened for it stays for later: for a while there may be one or two more, at rest.

    pyreqwest sends a request again only when it took a kept connection that was closed before a byte of it was written,
    or when the other side of an HTTP/2 connection says that it did not look at it.
    """

    def __init__(self, *, connections: int = 128, connect_timeout: float = 5.0) -> None:
        self._connections = connections
        self._connect_timeout = connect_timeout
        self._clients: dict[_Kind, Client] = {}  # an account has one or two

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - handed to pyreqwest
        http2: bool = False,
    ) -> HttpResponse:
        if not body:
            headers = {**headers, "Content-Length": "0"}  # left out otherwise, and some servers insist
        kind = (timeout, http2, http2 and url.startswith("http:"))
        return await self._call("POST", url, headers, body, kind)

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: float) -> HttpResponse:  # noqa: ASYNC109 - handed to pyreqwest
        return await self._call("GET", url, headers, None, (timeout, False, False))

    async def close(self) -> None:
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.close()

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, kind: "_Kind"
    ) -> HttpResponse:
        try:
            return await self._exchange(method, url, headers, body, kind)
        except PyreqwestError as error:
            failure = _failure(url, error)
        # Raised out here, for with the error itself would go the whole address, and the client: while somebody keeps
        # that, its connections outlive close().
        raise failure from None

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, kind: "_Kind"
    ) -> HttpResponse:
        client = self._clients.get(kind) or self._open(kind)
        response = await _request(client, method, url, headers, body).send()
        return HttpResponse(response.status, _Headers(response.headers), (await response.bytes()).to_bytes())

    def _open(self, kind: "_Kind") -> Client:
        """The connection may take half of the time: its timeout can then always be told from that of the answer."""
        seconds, http2, without_tls = kind
        connect = timedelta(seconds=min(seconds / 2, self._connect_timeout))
        builder = (
            ClientBuilder()
            .user_agent(USER_AGENT)
            .timeout(timedelta(seconds=seconds))
            .connect_timeout(connect)
            .max_connections(self._connections)
            .pool_timeout(connect)
            .pool_idle_timeout(IDLE)
            .follow_redirects(enable=False)
            .no_proxy()
        )
        if http2:
            builder = builder.http2_keep_alive_interval(PING_EVERY).http2_keep_alive_timeout(PING_PATIENCE)
            builder = builder.http2_prior_knowledge() if without_tls else builder.http2(enable=True)
        client = self._clients[kind] = builder.build()
        return client


#: A client for each timeout, and whether it speaks HTTP/2, and whether it does so without TLS.
_Kind = tuple[float, bool, bool]


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
    if isinstance(error, BuilderError | PoolTimeoutError) or _CONNECTING in causes or _NOT_LOOKED_AT in causes:
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
