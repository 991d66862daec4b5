"""The HTTP transport against servers that misbehave on purpose."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from channels.errors import AnswerLost, NotSent
from channels.transport import HttpResponse, HttpTransport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SECRET = "token-that-nobody-may-read"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers `answers` one after the other, over as many connections as it takes; None hangs up instead."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self._talks: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/path?access_token={SECRET}"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._talks.add(asyncio.current_task())
        try:
            await self._answer(reader, writer)
        finally:
            writer.close()

    async def hung_up(self) -> None:
        """Wait until every connection is closed: the client has closed its ends by then."""
        await asyncio.gather(*(talk for talk in self._talks if talk is not None))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            self.requests.append(head + await reader.readexactly(length))
            answer = self.answers.pop(0)
            if answer is None:
                break
            writer.write(answer)


def ask(server: Server, times: int = 1, timeout: float = 2.0) -> list[HttpResponse | Exception]:
    async def post(transport: HttpTransport, url: str) -> HttpResponse | Exception:
        try:
            return await transport.post(url, headers={"X-Key": "v"}, body=b"body", timeout=timeout)
        except (NotSent, AnswerLost) as error:
            return error

    async def within() -> list[HttpResponse | Exception]:
        transport = HttpTransport()
        async with server.serve() as url:
            answers = [await post(transport, url) for _ in range(times)]
            await transport.close()
            await server.hung_up()
        return answers

    return asyncio.run(within())


def test_body_and_headers_go_out_and_come_back() -> None:
    server = Server(b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno")
    (answer,) = ask(server)
    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "3", b"no")
    assert server.requests[0].endswith(b"\r\n\r\nbody")
    assert b"X-Key: v\r\n" in server.requests[0]


def test_connection_is_used_again() -> None:
    server = Server(OK, OK, OK)
    assert len(ask(server, times=3)) == 3
    assert server.connections == 1


def test_post_is_never_repeated_when_a_kept_connection_breaks() -> None:
    server = Server(OK, None, OK)
    first, second = ask(server, times=2)
    assert isinstance(first, HttpResponse)
    assert isinstance(second, AnswerLost)
    assert len(server.requests) == 2


def test_post_is_never_repeated_when_a_new_connection_breaks() -> None:
    server = Server(None, OK)
    (answer,) = ask(server)
    assert isinstance(answer, AnswerLost)
    assert len(server.requests) == 1


def test_redirect_is_an_answer_and_not_followed() -> None:
    server = Server(b"HTTP/1.1 307 There\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", OK)
    (answer,) = ask(server)
    assert isinstance(answer, HttpResponse)
    assert answer.status == 307
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",  # the rest never comes
        b"HTTP/1.1 200",  # nor of the head
        b"what is this\r\n\r\n",
    ],
)
def test_half_an_answer_is_a_lost_one(answer: bytes) -> None:
    (error,) = ask(Server(answer), timeout=0.3)
    assert isinstance(error, AnswerLost)


def test_no_answer_in_time_is_a_lost_one() -> None:
    (error,) = ask(Server(b""), timeout=0.3)
    assert isinstance(error, AnswerLost)


def test_cookies_are_not_kept() -> None:
    server = Server(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", OK)
    ask(server, times=2)
    assert b"a=b" not in server.requests[1]


def test_refused_connection_was_not_sent() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = reach(f"http://127.0.0.1:{closed.getsockname()[1]}/?access_token={SECRET}")
    assert isinstance(error, NotSent)
    assert SECRET not in repr(error)


def test_credentials_before_the_host_are_not_quoted() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = reach(f"http://user:{SECRET}@127.0.0.1:{closed.getsockname()[1]}/")
    assert isinstance(error, NotSent)
    assert SECRET not in repr(error)


def test_host_that_does_not_exist_was_not_sent() -> None:
    assert isinstance(reach("http://no-such-host.invalid/"), NotSent)


def test_connection_that_is_never_accepted_was_not_sent() -> None:
    """A backlog that is full: the kernel answers no more, and the connection times out."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        place = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)  # noqa: FBT003 - the socket's own signature
            one.connect_ex(place)
        error = reach(f"http://127.0.0.1:{place[1]}/?access_token={SECRET}")
        for one in waiting:
            one.close()
    assert isinstance(error, NotSent)
    assert SECRET not in repr(error)


def test_lost_answer_does_not_quote_the_address() -> None:
    (error,) = ask(Server(None))
    assert isinstance(error, AnswerLost)
    assert SECRET not in repr(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_large_body_goes_out_without_a_warning() -> None:
    server = Server(OK)

    async def within() -> HttpResponse:
        transport = HttpTransport()
        async with server.serve() as url:
            answer = await transport.post(url, headers={}, body=b"x" * (2**20 + 1), timeout=5)
            await transport.close()
            await server.hung_up()
        return answer

    assert asyncio.run(within()).body == b"ok"
    assert len(server.requests[0]) > 2**20


def reach(url: str) -> Exception:
    async def within() -> Exception:
        transport = HttpTransport(connect_timeout=0.3)
        try:
            await transport.post(url, headers={}, body=b"", timeout=1)
        except (NotSent, AnswerLost) as error:
            return error
        finally:
            await transport.close()
        raise AssertionError("somebody answered")

    return asyncio.run(within())
