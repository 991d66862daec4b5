"""Mail after mail over one connection.

With PIPELINING (RFC 2920) MAIL, RCPT and DATA leave in one piece, and with the text of a mail the envelope of the next:
a round trip a mail. Only the mail whose text has left can be in doubt; of the one behind it nothing was handed over.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol

from channels.email.handshake import Opened
from channels.email.letter import Letter
from channels.email.replies import CLOSING, Stage, refusal
from channels.refusal import Refusal
from channels.states import ErrorClass

QUIT_SECONDS = 2.0
_MAIL, _RCPT, _DATA, _DONE, _RESET, _QUIT = (
    Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.DONE, Stage.RESET, Stage.QUIT,
)  # fmt: skip
_START_INPUT = 354
_LONE_DOT = b".\r\n"


class Letters(Protocol):
    """Where a conversation gets its letters from, and whom it tells of itself."""

    def next_letter(self, *, new: bool) -> Letter | None:
        """`new`: it would be the first over this connection."""
        ...

    def again(self, letter: Letter) -> None:
        """Nothing of it was handed over, and the connection was an old one: it is for a new one."""
        ...

    def at_rest(self, conversation: "Conversation") -> None: ...
    def gone(self, conversation: "Conversation") -> None: ...


class Conversation:
    """Never more than one mail in doubt. A connection is new until a mail went over it, or it had a rest."""

    def __init__(
        self, *, opened: Opened, letters: Letters, timeout: float, most: int, idle_seconds: float, pipelining: bool
    ) -> None:
        self._wire, self._letters = opened.wire, letters
        self._timeout, self._most, self._idle_seconds = timeout, most, idle_seconds
        self._pipelining = pipelining and "PIPELINING" in opened.extensions
        self._notified = "DSN" in opened.extensions
        self._stage: Stage | None = None  # what the next reply answers; None: nothing is said
        self._letter: Letter | None = None
        self._following: Letter | None = None  # its envelope has left with the text of the one before
        self._refused: Refusal | None = None
        self._is_handed_over = False
        self._needs_reset = False
        self._used = 0  # mails before the one at hand
        self._is_new = True
        opened.wire.listener = self

    @property
    def is_idle(self) -> bool:
        return self._stage is None and not self._wire.is_closing

    def proceed(self) -> None:
        """Take the next letter, if there is one."""
        letter = None if self._used >= self._most else self._letters.next_letter(new=self._is_new)
        if letter is not None:
            self.begin(letter)
        elif self._used >= self._most:
            self.quit()
        else:
            self._rest()

    def begin(self, letter: Letter) -> None:
        self._letter, self._refused, self._is_handed_over = letter, None, False
        self._stage = _RESET if self._needs_reset else _MAIL
        self._needs_reset = False
        command = b"RSET\r\n" if self._stage is _RESET else b""
        if self._pipelining:
            command += self._envelope(letter)
        elif not command:
            command = letter.mail(notified=self._notified)
        self._write(command)

    def quit(self) -> None:
        self._stage = _QUIT
        self._wire.write(b"QUIT\r\n")
        self._wire.expect_within(QUIT_SECONDS)

    def drop(self, reason: str) -> None:
        self._wire.lose(reason)

    # What the wire has to tell.

    def heed(self, code: int, text: bytes) -> None:
        stage = self._stage
        if stage is None or stage is _QUIT:
            self._wire.lose("it spoke unasked" if stage is None else "the connection was ended")
        elif code == CLOSING:
            self._hear_goodbye(stage, text)
        else:
            self._wire.expect_within(self._timeout)
            self._HEED[stage](self, code, text)

    def overdue(self) -> None:
        if self._stage is None:
            self.quit()
        else:
            self._wire.lose(f"no answer within {self._timeout:g} s")

    def lost(self, reason: str) -> None:
        letter, following = self._letter, self._following
        self._letter = self._following = None
        if following is not None:
            self._letters.again(following)
        if letter is not None:
            self._settle_lost(letter, f"{self._stage}: {reason}")
        self._letters.gone(self)

    def _settle_lost(self, letter: Letter, detail: str) -> None:
        if self._refused is not None:
            letter.settle(self._refused)
        elif self._is_handed_over:
            letter.settle(Refusal(error=ErrorClass.UNKNOWN_OUTCOME, detail=detail))
        elif self._is_new:
            letter.settle(Refusal(error=ErrorClass.DOWN, detail=detail))
        else:
            self._letters.again(letter)

    def _hear_goodbye(self, stage: Stage, text: bytes) -> None:
        """The server closes. Between two mails that is its way of having a new connection, and no refusal."""
        if self._refused is None and (self._is_new or stage not in {_RESET, _MAIL}):
            self._refuse(stage, CLOSING, text)
        self._wire.lose("the server ended it")

    # Replies, by what they answer.

    def _heed_reset(self, code: int, _text: bytes) -> None:
        if not _is_good(code):
            self._wire.lose("it could not be made ready for another mail")
        else:
            self._go_on(_MAIL)

    def _heed_mail(self, code: int, text: bytes) -> None:
        if not _is_good(code):
            self._refuse(_MAIL, code, text)
        self._go_on(_RCPT)

    def _heed_rcpt(self, code: int, text: bytes) -> None:
        if not _is_good(code) and self._refused is None:
            self._refuse(_RCPT, code, text)
        self._go_on(_DATA)

    def _heed_data(self, code: int, text: bytes) -> None:
        if code != _START_INPUT:
            if self._refused is None:
                self._refuse(_DATA, code, text)
            self._finish_refused()
        elif self._refused is None:
            self._hand_over()
        elif self._refused.about_recipient:
            # It wants a text although it took no recipient: RFC 2920 has us send an empty one, to nobody.
            self._stage = _DONE
            self._write(_LONE_DOT)
        else:
            self._wire.lose("it wants the text of a mail that it refused")

    def _heed_done(self, code: int, text: bytes) -> None:
        letter = self._letter
        if letter is None or not (_is_good(code) or code >= 400):  # noqa: PLR2004 - RFC 5321: a refusal
            self._wire.lose(f"it answered {code}, which is neither yes nor no")
            return
        if self._refused is None and _is_good(code):
            letter.settle(text.decode("utf-8", "replace"))
        else:
            letter.settle(self._refused or _refusal(_DONE, code, text))
            self._needs_reset = self._refused is not None
        self._end_of_mail()

    _HEED: ClassVar[Mapping[Stage, Callable[["Conversation", int, bytes], None]]] = {
        Stage.RESET: _heed_reset,
        Stage.MAIL: _heed_mail,
        Stage.RCPT: _heed_rcpt,
        Stage.DATA: _heed_data,
        Stage.DONE: _heed_done,
    }

    def _go_on(self, stage: Stage) -> None:
        """Next comes the reply to `stage`; without pipelining that is asked only now, and not after a refusal."""
        self._stage = stage
        if self._pipelining or self._letter is None:
            return
        if self._refused is not None:
            self._finish_refused()
        elif stage is _MAIL:
            self._write(self._letter.mail(notified=self._notified))
        elif stage is _RCPT:
            self._write(self._letter.rcpt(notified=self._notified))
        else:
            self._write(b"DATA\r\n")

    def _hand_over(self) -> None:
        letter = self._letter
        if letter is None or letter.answer.done() or self._wire.is_closing:
            self._wire.lose("nobody waits for the mail any more")
            return
        data = letter.data
        if self._pipelining and self._used + 1 < self._most:
            self._following = self._letters.next_letter(new=False)
            if self._following is not None:
                data += self._envelope(self._following)
        self._stage, self._is_handed_over = _DONE, True
        self._write(data)

    def _finish_refused(self) -> None:
        self._needs_reset = True
        if self._letter is not None and self._refused is not None:
            self._letter.settle(self._refused)
        self._end_of_mail()

    def _end_of_mail(self) -> None:
        self._used += 1
        self._is_new = False
        self._letter, self._following = self._following, None
        self._refused, self._is_handed_over = None, False
        if self._letter is not None:
            self._stage = _MAIL
        else:
            self._stage = None
            self.proceed()

    def _refuse(self, stage: Stage, code: int, text: bytes) -> None:
        self._refused = _refusal(stage, code, text)

    def _rest(self) -> None:
        self._stage = self._letter = None
        self._is_new = False  # the server may have given it up, and the news be on its way
        self._wire.expect_within(self._idle_seconds)
        self._letters.at_rest(self)

    def _envelope(self, letter: Letter) -> bytes:
        return letter.mail(notified=self._notified) + letter.rcpt(notified=self._notified) + b"DATA\r\n"

    def _write(self, data: bytes) -> None:
        self._wire.write(data)
        self._wire.expect_within(self._timeout)


def _is_good(code: int) -> bool:
    return code < 300  # noqa: PLR2004 - RFC 5321: done as asked


def _refusal(stage: Stage, code: int, text: bytes) -> Refusal:
    return refusal(stage, code, text.decode("utf-8", "replace"))
