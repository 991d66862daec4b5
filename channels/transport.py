"""HTTP, as the providers see it. The one module that knows which HTTP library is used."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from channels.errors import AnswerLost, NotSent

#: aiohttp warns of bodies that are larger than this and given as bytes.
LARGE_BODY = 2**20
USER_AGENT = "themeline"

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
    """aiohttp with keep-alive connections. The session is opened by the first call, inside the running loop."""

    def __init__(self, *, connections: int = 128, connect_timeout: float = 5.0) -> None:
        self._connections = connections
        self._connect_timeout = connect_timeout
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, timeout: float) -> HttpResponse:  # noqa: ASYNC109 - handed to aiohttp
        data = body if len(body) <= LARGE_BODY else BytesIO(body)
        return await self._call("POST", url, headers, data, timeout)

    async def get(self, url: str, *, headers: Mapping[str, str], timeout: float) -> HttpResponse:  # noqa: ASYNC109 - handed to aiohttp
        return await self._call("GET", url, headers, None, timeout)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], data: bytes | BytesIO | None, seconds: float
    ) -> HttpResponse:
        session = self._session or self._open()
        try:
            # encoded=True: what was signed is what goes out. aiohttp itself repeats idempotent methods only, not POST.
            async with session.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers=headers,
                timeout=self._timeout(seconds),
                allow_redirects=False,
            ) as response:
                return HttpResponse(response.status, response.headers, await response.read())
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            # `from None` here and below: the cause may quote the whole address.
            raise NotSent(f"no connection to {_origin(url)} ({_reason(error)})") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise AnswerLost(f"the answer of {_origin(url)} was lost ({_reason(error)})") from None

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": USER_AGENT},
        )
        return self._session

    def _timeout(self, seconds: float) -> aiohttp.ClientTimeout:
        """Bounds such that a timeout before the connection is there can always be told from one after it."""
        known = self._timeouts.get(seconds)
        if known is None:
            connect = min(seconds, self._connect_timeout)
            known = aiohttp.ClientTimeout(total=connect + seconds, connect=connect, sock_read=seconds)
            self._timeouts[seconds] = known
        return known


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error)
    return type(error).__name__
