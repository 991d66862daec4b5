"""The HTTP and SMTP listeners, and the way of a request from the socket to its provider and back."""

import asyncio
import errno
import socket
import struct
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest
from multidict import CIMultiDict

from sandbox.admin import Admin
from sandbox.aliyun import Aliyun
from sandbox.aliyun_messages import canonical_number
from sandbox.credentials import Accounts
from sandbox.faults import Faults
from sandbox.fcm import PREFIX as FCM_PREFIX
from sandbox.fcm import TOKEN_PATH, Fcm
from sandbox.google_token import ServiceAccount
from sandbox.http2 import EitherVersion, Http2
from sandbox.http_call import Arrived, HttpProvider, Reply, json_reply
from sandbox.journal import Journal
from sandbox.jpush import JPush
from sandbox.ledger import Ledger
from sandbox.receipts import Receipts
from sandbox.smtp import SmtpServer
from sandbox.twilio import PREFIX as TWILIO_PREFIX
from sandbox.twilio import Twilio
from sandbox.wechat import WeChat
from sandbox.wechat_tokens import Tokens

# A thousand numbers in the query of SendSms take 13 KB.
_MAX_REQUEST_LINE = 64 * 1024
_MAX_BODY = 32 * 1024 * 1024
_BACKLOG = 1024
_POLL_SECONDS = 0.2
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class PortUnavailable(Exception):
    """A listener could not be opened."""

    def __init__(self, *, host: str, port: int, option: str, error: OSError) -> None:
        if error.errno == errno.EADDRINUSE:
            remedy = f"it is in use; end what holds it, or pass {option} with another port (0 takes a free one)"
        else:
            remedy = f"{error.strerror or error}; pass another --host or {option}"
        super().__init__(f"cannot listen on {host} port {port}: {remedy}")


class Sandbox:
    """All stand-ins around one ledger. Raises JournalRefused when the journal cannot be read."""

    def __init__(self, *, accounts: Accounts, journal: Journal | None) -> None:
        identities = {"sms": canonical_number}
        self._ledger = Ledger(journal=journal, keep_content=accounts.keep_content, identities=identities)
        self._ledger.restore()
        logs, faults = self._ledger.logs, Faults()
        tokens = Tokens(account=accounts.wechat, ledger=self._ledger)
        self._jpush = JPush(account=accounts.jpush, log=logs["push"], faults=faults)
        self._wechat = WeChat(account=accounts.wechat, log=logs["mini_program"], faults=faults, tokens=tokens)
        service = ServiceAccount(account=accounts.fcm, ledger=self._ledger)
        fcm = Fcm(account=accounts.fcm, log=logs["push"], faults=faults, service=service)
        self._faults = faults
        self._routes: dict[str, HttpProvider] = {
            "/": Aliyun(account=accounts.aliyun, log=logs["sms"], faults=faults),
            **dict.fromkeys(JPush.paths, self._jpush),
            **dict.fromkeys(WeChat.paths, self._wechat),
            TOKEN_PATH: fcm,
        }
        self._folders: dict[str, HttpProvider] = {
            TWILIO_PREFIX: Twilio(account=accounts.twilio, log=logs["sms"], faults=faults),
            FCM_PREFIX: fcm,
        }
        self.receipts = Receipts(ledger=self._ledger, accounts=accounts)
        self._admin = Admin(
            ledger=self._ledger,
            faults=faults,
            tokens=tokens,
            service=service,
            wechat=self._wechat,
            receipts=self.receipts,
            forget=self._recall,
        )
        self.smtp = SmtpServer(account=accounts.smtp, log=logs["email"], faults=faults)

    async def handle(self, request: BaseRequest) -> web.StreamResponse:
        target = request.raw_path
        path = target.partition("?")[0]
        provider = self._provider(path)
        if provider is None:
            return _response(self._answer_own(request.method, target, request.headers, await request.read()))
        endpoint = provider.endpoint(request.method, path, request.headers)
        call = self._number(provider.channel, endpoint)
        if self._is_down(provider, endpoint, call):
            return _reset(request)
        body = await request.read()
        reply = provider.answer(Arrived(request.method, target, request.headers, body, call), endpoint)
        return await _respond(request, reply)

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The same for a call that came over HTTP/2."""
        path = target.partition("?")[0]
        provider = self._provider(path)
        if provider is None:
            return self._answer_own(method, target, headers, body)
        endpoint = provider.endpoint(method, path, headers)
        call = self._number(provider.channel, endpoint)
        if self._is_down(provider, endpoint, call):
            return Reply(503, b"", cut=True)
        return provider.answer(Arrived(method, target, headers, body, call), endpoint)

    def _provider(self, path: str) -> HttpProvider | None:
        found = self._routes.get(path)
        return found or next((p for folder, p in self._folders.items() if path.startswith(folder)), None)

    def _answer_own(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if not target.startswith("/_"):
            return json_reply(404, {"error": f"no stand-in serves {target.partition('?')[0]}"})
        return self._admin.answer(Arrived(method, target, headers, body, 0))

    def _number(self, channel: str, endpoint: str) -> int:
        log = self._ledger.logs[channel]
        if endpoint == "send":
            return log.begin()
        log.token_calls += endpoint in ("token", "cid")
        return log.calls

    def _is_down(self, provider: HttpProvider, endpoint: str, call: int) -> bool:
        down = self._faults.is_down(provider.channel, endpoint, call, provider=provider.name)
        if down and endpoint == "send":
            self._ledger.logs[provider.channel].refuse()
        return down

    def _recall(self) -> None:
        self._jpush.recall(self._ledger.logs["push"].records)
        self._wechat.recall(self._ledger.logs["mini_program"].records)


def _reset(request: BaseRequest) -> web.StreamResponse:
    """All channels share one port, so "down" is a reset before the body is read, not a refused connection."""
    transport = request.transport
    if transport is not None:
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
    return web.Response()


async def _respond(request: BaseRequest, reply: Reply) -> web.StreamResponse:
    if reply.delay:
        await asyncio.sleep(reply.delay)
    while reply.hang and request.transport is not None:  # noqa: ASYNC110 - aiohttp has no event for a lost connection
        await asyncio.sleep(_POLL_SECONDS)
    if reply.cut and request.transport is not None:
        request.transport.abort()
    return _response(reply)


def _response(reply: Reply) -> web.Response:
    headers: Mapping[str, str] = reply.headers or {}
    full: CIMultiDict[str] = CIMultiDict(headers)
    full.setdefault("Content-Type", "application/json; charset=utf-8")
    return web.Response(status=reply.status, body=reply.body, headers=full)


class Listeners:
    """The open ports of a sandbox."""

    def __init__(
        self,
        *,
        http: asyncio.Server,
        web_server: web.Server,
        http2: set[Http2],
        smtp: asyncio.Server,
        sandbox: Sandbox,
    ) -> None:
        self._http = http
        self._http2 = http2
        self._web_server = web_server
        self._smtp = smtp
        self._sandbox = sandbox

    @property
    def http(self) -> tuple[str, int]:
        return _address_of(self._http)

    @property
    def smtp(self) -> tuple[str, int]:
        return _address_of(self._smtp)

    async def close(self) -> None:
        """Take no more calls, let those under way end within a second, and hang up."""
        self._http.close()
        self._smtp.close()
        self._sandbox.smtp.close()
        self._sandbox.receipts.end()
        for connection in list(self._http2):
            connection.close()
        self._web_server.pre_shutdown()
        await self._web_server.shutdown(1.0)


async def listen(sandbox: Sandbox, *, host: str, http_port: int, smtp_port: int) -> Listeners:
    """Raises PortUnavailable."""
    web_server = web.Server(
        sandbox.handle,
        request_factory=_make_request,
        access_log=None,
        max_line_size=_MAX_REQUEST_LINE,
        max_field_size=_MAX_REQUEST_LINE,
        keepalive_timeout=600,
    )
    http2: set[Http2] = set()

    def either() -> EitherVersion:
        return EitherVersion(http1=web_server, http2=lambda: Http2(answer=sandbox.answer, open_connections=http2))

    http = await _open(either, host, http_port, "--http-port")
    try:
        smtp = await _open(sandbox.smtp, host, smtp_port, "--smtp-port")
    except PortUnavailable:
        http.close()
        raise
    return Listeners(http=http, web_server=web_server, http2=http2, smtp=smtp, sandbox=sandbox)


async def _open(factory: Any, host: str, port: int, option: str) -> asyncio.Server:  # noqa: ANN401 - a protocol factory
    try:
        return await asyncio.get_running_loop().create_server(factory, host, port, backlog=_BACKLOG)
    except OSError as error:
        raise PortUnavailable(host=host, port=port, option=option, error=error) from error


def _make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> BaseRequest:  # noqa: ANN401 - aiohttp's own parts, handed through
    loop = asyncio.get_running_loop()
    return BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_MAX_BODY)


def _address_of(server: asyncio.Server) -> tuple[str, int]:
    host, port = server.sockets[0].getsockname()[:2]
    return host, port
