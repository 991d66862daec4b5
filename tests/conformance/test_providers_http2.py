"""The transport over HTTP/2, against a server that does what it is told with each call."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from h2.errors import ErrorCodes

from channels.errors import AnswerLost, NotSent
from channels.transport import HttpResponse, HttpTransport
from sandbox.http2 import EitherVersion, Http2
from sandbox.http_call import Reply
from tests.certificate import self_signed
from tests.conformance.hanging_up import all_gone
from tests.conformance.test_providers_transport import SECRET, Server, post

Answer = Callable[[bytes], Reply]


class Station:
    """Both versions on one port, as the sandbox has them; `http1` counts the connections that spoke the old one."""

    def __init__(self, answer: Answer, *, context: ssl.SSLContext | None = None) -> None:
        self._answer, self._context = answer, context
        self.arrived: list[tuple[str, str, Mapping[str, str], bytes]] = []
        self.connections: set[Http2] = set()
        self.opened = self.http1 = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        server = await asyncio.get_running_loop().create_server(self._either, "127.0.0.1", 0, ssl=self._context)
        scheme = "http" if self._context is None else "https"
        async with server:
            yield f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}/path?access_token={SECRET}"
            for connection in list(self.connections):
                connection.close()
            await all_gone(server)

    def _either(self) -> EitherVersion:
        return EitherVersion(http1=self._old, http2=self._new)

    def _old(self) -> asyncio.Protocol:
        self.http1 += 1
        return _HangUp()

    def _new(self) -> Http2:
        self.opened += 1
        return Http2(answer=self._take, open_connections=self.connections)

    def _take(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        self.arrived.append((method, target, headers, body))
        return self._answer(body)


class _HangUp(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def ask(station: Station, bodies: list[bytes], timeout: float = 5.0) -> list[HttpResponse | Exception]:
    async def within() -> list[HttpResponse | Exception]:
        transport = HttpTransport()

        async def one(url: str, body: bytes) -> HttpResponse | Exception:
            try:
                return await transport.post(url, headers={"X-Key": "v"}, body=body, timeout=timeout, http2=True)
            except (NotSent, AnswerLost) as error:
                return error

        async with station.serve() as url:
            answers = await asyncio.gather(*(one(url, body) for body in bodies))
            await transport.close()
        return answers

    return asyncio.run(within())


def echo(body: bytes) -> Reply:
    return Reply(200, body, {"X-Id": "7"})


def test_calls_at_once_share_one_connection_and_each_gets_its_own_answer() -> None:
    station = Station(echo)
    bodies = [b"%06d" % n for n in range(300)]
    answers = ask(station, bodies)
    assert [answer.body for answer in answers if isinstance(answer, HttpResponse)] == bodies
    assert (station.opened, station.http1, len(station.arrived)) == (1, 0, 300)
    method, target, headers, body = station.arrived[0]
    assert (method, target, body) == ("POST", f"/path?access_token={SECRET}", b"000000")
    assert (headers["x-key"], headers["host"].partition(":")[0]) == ("v", "localhost")


def test_answer_larger_than_the_window_arrives_whole() -> None:
    (answer,) = ask(Station(lambda _: Reply(200, b"x" * 3_000_000)), [b""])
    assert isinstance(answer, HttpResponse)
    assert len(answer.body) == 3_000_000


def test_body_larger_than_the_window_arrives_whole() -> None:
    station = Station(lambda body: Reply(200, str(len(body)).encode()))
    (answer,) = ask(station, [b"x" * 1_000_000])
    assert isinstance(answer, HttpResponse)
    assert answer.body == b"1000000"


def test_reset_call_is_in_doubt_never_repeated_and_spares_the_others() -> None:
    station = Station(lambda body: Reply(200, body, cut=body == b"1"))
    answers = ask(station, [b"0", b"1", b"2"])
    assert [type(answer) for answer in answers] == [HttpResponse, AnswerLost, HttpResponse]
    assert SECRET not in repr(answers[1])
    assert sorted(body for *_, body in station.arrived) == [b"0", b"1", b"2"]


def test_call_without_an_answer_is_in_doubt_and_spares_the_others() -> None:
    station = Station(lambda body: Reply(200, body, hang=body == b"1"))
    answers = ask(station, [b"0", b"1", b"2"], timeout=0.5)
    assert [type(answer) for answer in answers] == [HttpResponse, AnswerLost, HttpResponse]


def test_connection_that_breaks_leaves_all_its_calls_in_doubt_and_none_is_repeated() -> None:
    station = Station(echo)

    def break_off(body: bytes) -> Reply:
        if len(station.arrived) == 5:
            for connection in list(station.connections):
                connection._transport.abort()
        return Reply(200, body, delay=5)

    station._answer = break_off
    answers = ask(station, [b"%d" % n for n in range(5)])
    assert {type(answer) for answer in answers} == {AnswerLost}
    assert len(station.arrived) == 5


def test_server_that_ends_its_connections_gets_no_call_twice_and_what_is_not_answered_says_so() -> None:
    """A call may be written at the very moment at which the connection ends: then it is in doubt, not repeated."""
    station = Station(echo)

    async def within() -> list[HttpResponse | Exception]:
        transport, answers = HttpTransport(), list[HttpResponse | Exception]()
        async with station.serve() as url:
            for n in range(20):
                try:
                    answers.append(await transport.post(url, headers={}, body=b"%d" % n, timeout=5, http2=True))
                except (NotSent, AnswerLost) as failure:
                    answers.append(failure)
                for connection in list(station.connections):
                    connection.close()
            await transport.close()
        return answers

    answers = asyncio.run(within())
    arrived = [int(body) for *_, body in station.arrived]
    assert len(arrived) == len(set(arrived))
    answered = {n for n, answer in enumerate(answers) if isinstance(answer, HttpResponse)}
    assert answered <= set(arrived)
    assert all(answers[n].body == b"%d" % n for n in answered)  # type: ignore[union-attr]
    assert not any(isinstance(answers[n], NotSent) for n in arrived)
    assert len(answered) > 10
    assert station.opened > 1


def test_call_that_the_server_says_it_did_not_look_at_was_not_sent() -> None:
    looked_at: list[int] = []

    class Refusing(Http2):
        def _take(self, stream: int, _call: object) -> None:
            looked_at.append(stream)
            self._connection.reset_stream(stream, ErrorCodes.REFUSED_STREAM)

    station = Station(echo)
    station._new = lambda: Refusing(answer=station._take, open_connections=station.connections)  # type: ignore[method-assign]
    (answer,) = ask(station, [b"0"])
    assert isinstance(answer, NotSent)
    assert looked_at
    assert station.arrived == []


def test_refused_connection_was_not_sent() -> None:
    async def within() -> HttpResponse | Exception:
        transport = HttpTransport()
        try:
            return await transport.post("http://127.0.0.1:1/", headers={}, body=b"", timeout=2, http2=True)
        except NotSent as error:
            return error
        finally:
            await transport.close()

    assert isinstance(asyncio.run(within()), NotSent)


def test_server_that_only_speaks_the_old_version_without_tls_is_not_taken_for_an_answer() -> None:
    old = Server(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async def within() -> HttpResponse | Exception:
        transport = HttpTransport()
        async with old.serve() as url:
            try:
                return await transport.post(url, headers={}, body=b"", timeout=1, http2=True)
            except (NotSent, AnswerLost) as error:
                return error
            finally:
                await transport.close()

    assert isinstance(asyncio.run(within()), AnswerLost)


def tls(folder: Path, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(folder))
    context.set_alpn_protocols(protocols)
    return context


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the certificate of `tls`, which the system trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    return tmp_path


def test_tls_handshake_agrees_on_http2(trusting: Path) -> None:
    station = Station(echo, context=tls(trusting, "h2", "http/1.1"))
    answers = ask(station, [b"%d" % n for n in range(50)])
    assert [answer.body for answer in answers if isinstance(answer, HttpResponse)] == [b"%d" % n for n in range(50)]
    assert station.http1 == 0


def test_calls_that_do_not_ask_for_http2_speak_the_old_version(trusting: Path) -> None:
    station = Station(echo, context=tls(trusting, "h2", "http/1.1"))

    async def within() -> HttpResponse | Exception:
        transport = HttpTransport()
        async with station.serve() as url:
            answer = await post(transport, url)
            await transport.close()
        return answer

    assert isinstance(asyncio.run(within()), AnswerLost)
    assert (station.opened, station.http1) == (0, 1)


def test_server_that_agrees_only_on_the_old_version_is_spoken_to_in_it(trusting: Path) -> None:
    station = Station(echo, context=tls(trusting, "http/1.1"))
    (answer,) = ask(station, [b"0"])
    assert isinstance(answer, AnswerLost)
    assert (station.opened, station.http1) == (0, 1)
