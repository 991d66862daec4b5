"""From nothing to a connection over which mail can be sent: TCP, TLS, EHLO and AUTH."""

import asyncio
import hmac
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from channels.email.replies import Stage, refusal
from channels.email.wire import Wire
from channels.refusal import Refusal
from channels.states import ErrorClass

_OK, _READY, _LOGGED_IN, _GO_ON, _PERMANENT = 250, 220, 235, 334, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Where mail is handed over, and as whom. `name` is what we call ourselves there."""

    host: str
    port: int
    name: str
    timeout: float
    tls: ssl.SSLContext | None = None
    tls_from_the_start: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    wire: Wire
    extensions: Mapping[str, str]  # keyword -> what follows it


class NoConnection(Exception):
    """There is no connection over which a mail could go, and none went."""

    def __init__(self, refused: Refusal) -> None:
        self.refused = refused
        super().__init__(refused.detail)


class Reply(NamedTuple):
    code: int
    text: str


class _Unwelcome(Exception):
    """The server answers, but not with what is needed to go on."""

    def __init__(self, stage: Stage, reply: Reply) -> None:
        self.stage, self.reply = stage, reply
        super().__init__(reply.text)


class _Unfit(Exception):
    """The server lacks what the account's settings ask for."""


class _Dialogue:
    """Listens while the connection is made: one question at a time, one answer each."""

    def __init__(self) -> None:
        self._reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._seconds = 0.0

    def heed(self, code: int, text: bytes) -> None:
        if not self._reply.done():
            self._reply.set_result(Reply(code, text.decode("utf-8", "replace")))
        else:
            self.lost("it spoke unasked")

    def overdue(self) -> None:
        self._fail(TimeoutError(f"no answer within {self._seconds:g} s"))

    def lost(self, reason: str) -> None:
        self._fail(ConnectionResetError(reason))

    async def hear(self, wire: Wire, seconds: float) -> Reply:
        self._seconds = seconds
        wire.expect_within(seconds)
        return await self._reply

    async def ask(self, wire: Wire, question: bytes, seconds: float) -> Reply:
        if self._reply.done() and self._reply.exception() is not None:
            return self._reply.result()
        self._reply = asyncio.get_running_loop().create_future()
        wire.write(question + b"\r\n")
        return await self.hear(wire, seconds)

    def _fail(self, error: OSError) -> None:
        if self._reply.done():
            self._reply = asyncio.get_running_loop().create_future()
        self._reply.set_exception(error)
        self._reply.exception()  # seen: it is raised by the next question, if there is one


class _Handshake:
    def __init__(self, *, relay: Relay, wire: Wire, dialogue: _Dialogue) -> None:
        self._relay, self._wire, self._dialogue = relay, wire, dialogue

    async def run(self) -> Mapping[str, str]:
        relay = self._relay
        self._expect(Stage.CONNECT, await self._dialogue.hear(self._wire, relay.timeout), _READY)
        extensions = await self._hello()
        if relay.tls is not None and not relay.tls_from_the_start:
            extensions = await self._encrypted(relay.tls, extensions)
        if relay.username is not None:
            await self._log_in(extensions)
        return extensions

    async def _hello(self) -> Mapping[str, str]:
        reply = await self._ask(f"EHLO {self._relay.name}")
        if reply.code >= _PERMANENT:
            self._expect(Stage.CONNECT, await self._ask(f"HELO {self._relay.name}"), _OK)
            return {}
        self._expect(Stage.CONNECT, reply, _OK)
        return _extensions(reply.text)

    async def _encrypted(self, tls: ssl.SSLContext, extensions: Mapping[str, str]) -> Mapping[str, str]:
        if "STARTTLS" not in extensions:
            raise _Unfit("the server offers no STARTTLS; set `security` to tls, or to none where that is safe")
        self._expect(Stage.CONNECT, await self._ask("STARTTLS"), _READY)
        if self._wire.has_unread:
            raise _Unfit("the server, or somebody in between, went on in clear text after STARTTLS")
        async with asyncio.timeout(self._relay.timeout):
            await self._wire.start_tls(tls, self._relay.host)
        return await self._hello()

    async def _log_in(self, extensions: Mapping[str, str]) -> None:
        offered = extensions.get("AUTH", "").upper().split()
        mechanism = next((name for name in _MECHANISMS if name in offered), None)
        if mechanism is None:
            raise _Unfit(f"the server offers no login that we know ({', '.join(_MECHANISMS)})")
        reply = await self._ask(f"AUTH {mechanism}")
        for answer in _MECHANISMS[mechanism]:
            if reply.code != _GO_ON:
                break
            secret = answer(self._relay.username or "", self._relay.password or "", reply.text)
            reply = await self._ask(b64encode(secret).decode())
        self._expect(Stage.AUTH, reply, _LOGGED_IN)

    async def _ask(self, question: str) -> Reply:
        return await self._dialogue.ask(self._wire, question.encode("ascii"), self._relay.timeout)

    @staticmethod
    def _expect(stage: Stage, reply: Reply, code: int) -> None:
        if reply.code != code:
            raise _Unwelcome(stage, reply)


def _plain(user: str, password: str, _challenge: str) -> bytes:
    return f"\0{user}\0{password}".encode()


def _user(user: str, _password: str, _challenge: str) -> bytes:
    return user.encode()


def _password(_user: str, password: str, _challenge: str) -> bytes:
    return password.encode()


def _cram_md5(user: str, password: str, challenge: str) -> bytes:
    try:
        asked = b64decode(challenge, validate=True)
    except ValueError as error:
        raise _Unfit("the server's CRAM-MD5 challenge cannot be read") from error
    return f"{user} {hmac.new(password.encode(), asked, 'md5').hexdigest()}".encode()


#: The first of these that the server offers is used; each answers the server's questions in turn.
_MECHANISMS: Mapping[str, tuple[Callable[[str, str, str], bytes], ...]] = {
    "PLAIN": (_plain,),
    "LOGIN": (_user, _password),
    "CRAM-MD5": (_cram_md5,),
}


async def connect(relay: Relay) -> Opened:
    """Raises NoConnection. Whoever gets the wire puts a listener of its own to it."""
    dialogue = _Dialogue()
    wire = Wire(dialogue)
    try:
        async with asyncio.timeout(relay.timeout):
            await asyncio.get_running_loop().create_connection(
                lambda: wire, relay.host, relay.port, ssl=relay.tls if relay.tls_from_the_start else None
            )
        return Opened(wire=wire, extensions=await _Handshake(relay=relay, wire=wire, dialogue=dialogue).run())
    except BaseException as error:
        wire.lose("given up")
        if isinstance(error, _Unwelcome | _Unfit | OSError | UnicodeError):
            raise NoConnection(_refusal(error, relay)) from error
        raise


def _refusal(error: Exception, relay: Relay) -> Refusal:
    if isinstance(error, _Unwelcome):
        return refusal(error.stage, error.reply.code, _without_password(error.reply.text, relay))
    is_down = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
    said = str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
    return Refusal(
        error=ErrorClass.DOWN if is_down else ErrorClass.CONFIG,
        detail=f"{Stage.CONNECT}: {_without_password(said, relay)}",
    )


def _without_password(text: str, relay: Relay) -> str:
    return text.replace(relay.password, "***") if relay.password else text


def _extensions(text: str) -> Mapping[str, str]:
    """The first line is a greeting. Old servers write `AUTH=LOGIN`."""
    lines = (line.replace("=", " ", 1).partition(" ") for line in text.split("\n")[1:])
    return {keyword.upper(): rest for keyword, _, rest in lines if keyword}
