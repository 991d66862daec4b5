"""The small print of sending mail over kept connections, with a wire that does as it is told."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from channels.email.conversation import Conversation
from channels.email.handshake import Opened
from channels.email.letter import Letter
from channels.email.pool import Pool
from channels.email.wire import LONGEST_LINE, Wire
from channels.refusal import Refusal
from channels.states import ErrorClass


class FakeTransport(asyncio.Transport):
    """Keeps what is written; hangs up when told, or when aborted."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.wire, self.written, self.closing = wire, b"", False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True
        self.wire.connection_lost(None)


class Ears:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def heed(self, code: int, text: bytes) -> None:
        self.told.append((code, text))

    def overdue(self) -> None:
        self.told.append("overdue")

    def lost(self, reason: str) -> None:
        self.told.append(reason)


def wired() -> tuple[Wire, Ears, FakeTransport]:
    ears = Ears()
    wire = Wire(ears)
    transport = FakeTransport(wire)
    wire.connection_made(transport)
    return wire, ears, transport


def letter(number: int = 0) -> Letter:
    return Letter(
        return_path=b"news@shop.example",
        recipient=b"p%d@home.example" % number,
        envelope_id=b"%d" % number,
        data=b"Subject: x\r\n\r\nHi\r\n.\r\n",
        answer=asyncio.get_running_loop().create_future(),
    )


def pool(*, size: int = 1) -> Pool:
    async def never() -> Opened:
        await asyncio.Event().wait()
        raise AssertionError

    return Pool(connect=never, size=size, messages_per_connection=9, idle_seconds=9.0, timeout=9.0, pipelining=True)


def conversation(letters: Pool) -> tuple[Conversation, FakeTransport]:
    wire, _, transport = wired()
    talk = Conversation(
        opened=Opened(wire=wire, extensions={"PIPELINING": ""}),
        letters=letters,
        timeout=9.0,
        most=9,
        idle_seconds=9.0,
        pipelining=True,
    )
    return talk, transport


def in_a_loop(test: Callable[[], None]) -> None:
    async def within() -> None:
        test()

    asyncio.run(within())


def test_mail_that_an_old_connection_failed_is_for_a_new_one_alone() -> None:
    def test() -> None:
        waiting, failed = pool(), letter()
        waiting.again(failed)
        assert waiting.next_letter(new=False) is None
        assert waiting.next_letter(new=True) is failed

    in_a_loop(test)


def test_mail_that_nobody_waits_for_is_passed_over() -> None:
    def test() -> None:
        waiting, given_up, next_one = pool(), letter(), letter(1)
        given_up.answer.cancel()
        waiting.again(given_up)
        waiting.again(next_one)
        assert waiting.next_letter(new=True) is next_one

    in_a_loop(test)


def test_spare_connection_that_had_a_rest_counts_as_an_old_one() -> None:
    def test() -> None:
        waiting, sent = pool(), letter()
        talk, transport = conversation(waiting)
        talk.proceed()  # nothing waits
        talk.begin(sent)
        transport.abort()  # the server had given it up meanwhile
        assert not sent.answer.done()
        assert waiting.next_letter(new=True) is sent

    in_a_loop(test)


def test_new_connection_that_is_lost_at_once_says_that_nothing_was_sent() -> None:
    def test() -> None:
        sent = letter()
        talk, transport = conversation(pool())
        talk.begin(sent)
        transport.abort()
        answer = sent.answer.result()
        assert isinstance(answer, Refusal)
        assert answer.error is ErrorClass.DOWN

    in_a_loop(test)


def test_text_is_not_handed_to_a_connection_that_is_closing() -> None:
    def test() -> None:
        sent = letter()
        talk, transport = conversation(pool())
        talk.begin(sent)
        talk.heed(250, b"fine")
        talk.heed(250, b"fine")
        transport.closing = True
        talk.heed(354, b"go on")
        assert cast("Refusal", sent.answer.result()).error is ErrorClass.DOWN
        assert b"Subject" not in transport.written

    in_a_loop(test)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_replies_are_the_same_however_they_are_cut(size: int) -> None:
    said = b"220 hello\r\n250-one\r\n250-two\r\n250 three\r\n250\r\n354 bare line feed\n550-5.1.1 a\r\n550 b\r\n"

    def test() -> None:
        wire, ears, _ = wired()
        for start in range(0, len(said), size):
            wire.data_received(said[start : start + size])
        assert ears.told == [
            (220, b"hello"),
            (250, b"one\ntwo\nthree"),
            (250, b""),
            (354, b"bare line feed"),
            (550, b"5.1.1 a\nb"),
        ]

    in_a_loop(test)


def test_line_that_does_not_end_ends_the_connection() -> None:
    def test() -> None:
        wire, ears, _ = wired()
        for _ in range(LONGEST_LINE // 1000 + 1):
            wire.data_received(b"2" * 1000)
        assert ears.told == ["it answered an endless line"]
        assert wire.is_lost

    in_a_loop(test)


def test_nothing_is_heard_after_the_connection_is_lost() -> None:
    def test() -> None:
        wire, ears, _ = wired()
        wire.data_received(b"HTTP/1.1 400 no\r\n250 fine\r\n250 fine\r\n")
        assert ears.told == ["it answered, but not in SMTP"]

    in_a_loop(test)
