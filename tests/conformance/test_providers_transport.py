"""The HTTP transport against servers that misbehave on purpose."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from channels.errors import AnswerLost, NotSent
from channels.transport import HttpResponse, HttpTransport
from tests.certificate import self_signed
from tests.conformance.hanging_up import all_gone

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PACKED = gzip.compress(b"abc", mtime=0)
SECRET = "token-that-nobody-may-read"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers `answers` one after the other, over as many connections as it takes; None hangs up instead."""

    def __init__(self, *answers: bytes | None, calls_a_connection: int = 1000, seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.calls_a_connection = calls_a_connection
        self.seconds = seconds
        self.in_hand = self.most_in_hand = 0
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
        for _ in range(self.calls_a_connection):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
            self.requests.append(head + await reader.readexactly(length))
            answer = await self._next()
            if answer is None:
                break
            writer.write(answer)

    async def _next(self) -> bytes | None:
        answer = self.answers.pop(0)
        self.in_hand += 1
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        await asyncio.sleep(self.seconds)
        self.in_hand -= 1
        return answer


async def post(
    transport: HttpTransport,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"body",
    timeout: float = 10.0,  # noqa: ASYNC109 - handed on
) -> HttpResponse | Exception:
    try:
        return await transport.post(url, headers=headers or {"X-Key": "v"}, body=body, timeout=timeout)
    except (NotSent, AnswerLost) as error:
        return error


def ask(server: Server, times: int = 1, timeout: float = 10.0, body: bytes = b"body") -> list[HttpResponse | Exception]:
    async def within() -> list[HttpResponse | Exception]:
        transport = HttpTransport()
        async with server.serve() as url:
            answers = [await post(transport, url, body=body, timeout=timeout) for _ in range(times)]
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
    assert error.__context__ is None
    assert error.__suppress_context__


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        # in chunks, with an extension and a trailer
        (b"Transfer-Encoding: chunked\r\n\r\n4;x=1\r\nabcd\r\n2\r\nef\r\n0\r\nT: 1\r\n\r\n", b"abcdef"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
        (b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(PACKED), PACKED), b"abc"),
        (b"content-length:3\r\n\r\nabc", b"abc"),
    ],
)
def test_a_body_is_read_however_it_comes_and_the_connection_kept(answer: bytes, body: bytes) -> None:
    server = Server(b"HTTP/1.1 200 OK\r\n" + answer, OK)
    first, second = ask(server, times=2)
    assert isinstance(first, HttpResponse)
    assert isinstance(second, HttpResponse)
    assert (first.body, second.body, server.connections) == (body, b"ok", 1)


def test_a_body_that_cannot_be_unpacked_is_a_lost_answer() -> None:
    (error,) = ask(Server(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"))
    assert isinstance(error, AnswerLost)


def test_a_header_that_is_no_text_counts_as_not_there() -> None:
    (answer,) = ask(Server(b"HTTP/1.1 429 Slow\r\nRetry-After: \xe9\r\nX-Id: 7\r\nContent-Length: 0\r\n\r\n"))
    assert isinstance(answer, HttpResponse)
    assert [answer.headers.get(name) for name in ("retry-after", "x-id", "no")] == [None, "7", None]
    assert {"retry-after", "x-id"} < set(answer.headers)


def test_an_empty_body_is_announced() -> None:
    server = Server(OK)
    ask(server, body=b"")
    assert b"content-length: 0\r\n" in server.requests[0].lower()


def test_an_interim_answer_is_passed_over() -> None:
    (answer,) = ask(Server(b"HTTP/1.1 100 Continue\r\n\r\n" + OK))
    assert isinstance(answer, HttpResponse)
    assert (answer.status, answer.body) == (200, b"ok")


def test_more_than_the_answer_is_not_taken_for_the_next_one() -> None:
    server = Server(OK + b"HTTP/1.1 500 Stray\r\nContent-Length: 0\r\n\r\n", OK)
    answers = ask(server, times=2)
    assert [answer.status for answer in answers if isinstance(answer, HttpResponse)] == [200, 200]


def test_no_call_arrives_twice_when_the_server_hangs_up_between_calls() -> None:
    """It closes right behind an answer, unannounced: every call may meet the end of a kept connection."""
    server = Server(*[OK] * 300, calls_a_connection=3)
    names = [b"%06d" % number for number in range(300)]

    async def within() -> list[HttpResponse | Exception]:
        transport = HttpTransport(connections=8)
        async with server.serve() as url:
            answers = await asyncio.gather(*(post(transport, url, body=name) for name in names))
            await transport.close()
            await server.hung_up()
        return answers

    answers = dict(zip(names, asyncio.run(within()), strict=True))
    arrived = [request[-6:] for request in server.requests]
    assert len(set(arrived)) == len(arrived)
    assert {name for name, answer in answers.items() if isinstance(answer, HttpResponse)} <= set(arrived)
    assert not {name for name, answer in answers.items() if isinstance(answer, NotSent)} & set(arrived)
    assert server.connections > 50


def test_a_certificate_that_nobody_vouches_for_stops_the_call_before_it_is_sent(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    arrived: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.read())
        writer.close()

    async def within() -> HttpResponse | Exception:
        transport, server = HttpTransport(), await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
        async with server:
            answer = await post(transport, f"https://localhost:{server.sockets[0].getsockname()[1]}/?key={SECRET}")
            await transport.close()
            await all_gone(server)
        return answer

    error = asyncio.run(within())
    assert isinstance(error, NotSent)
    assert "certificate" in str(error)
    assert SECRET not in repr(error)
    assert arrived == []


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        (f"nonsense?access_token={SECRET}", {}),
        (f"ftp://127.0.0.1/?access_token={SECRET}", {}),
        (f"http://127.0.0.1:99999/?access_token={SECRET}", {}),
        (f"http://[/?access_token={SECRET}", {}),
        ("http://127.0.0.1:1/", {"X-Key": f"{SECRET}\r\nX-Other: 1"}),
    ],
)
def test_what_is_no_request_is_not_sent_and_not_quoted(url: str, headers: dict[str, str]) -> None:
    error = reach(url, headers)
    assert isinstance(error, NotSent)
    assert SECRET not in repr(error)


def test_no_more_calls_are_under_way_at_once_than_there_may_be_connections() -> None:
    server = Server(*[OK] * 20, seconds=0.02)

    async def within() -> None:
        transport = HttpTransport(connections=3)
        async with server.serve() as url:
            answers = await asyncio.gather(*(post(transport, url) for _ in range(20)))
            await transport.close()
            await server.hung_up()
        assert {answer.body for answer in answers if isinstance(answer, HttpResponse)} == {b"ok"}

    asyncio.run(within())
    assert server.most_in_hand == 3


def test_a_transport_may_be_closed_without_a_call_and_used_after_it_was_closed() -> None:
    server = Server(OK)

    async def within() -> HttpResponse | Exception:
        transport = HttpTransport()
        await transport.close()
        async with server.serve() as url:
            answer = await post(transport, url)
            await transport.close()
            await server.hung_up()
        return answer

    assert isinstance(asyncio.run(within()), HttpResponse)


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


def reach(url: str, headers: Mapping[str, str] | None = None) -> HttpResponse | Exception:
    async def within() -> HttpResponse | Exception:
        transport = HttpTransport(connect_timeout=0.3)
        answer = await post(transport, url, headers=headers, body=b"", timeout=1)
        await transport.close()
        return answer

    return asyncio.run(within())
