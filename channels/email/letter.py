"""One mail on its way to a relay: its envelope, its bytes, and where the answer is awaited."""

import asyncio
import re
from dataclasses import dataclass

from channels.refusal import Refusal

#: RFC 3461: what stands for itself in xtext is printable ASCII but `+` and `=`.
_NOT_XTEXT = re.compile(rb"[^!-*,-<>-~]")
#: The relay tells of failure and of delay, and gives back the header alone: a whole mail says no more, and is larger.
_RETURN, _NOTIFY = b" RET=HDRS ENVID=", b" NOTIFY=FAILURE,DELAY ORCPT=rfc822;"


@dataclass(slots=True, kw_only=True, eq=False)
class Letter:
    """`data` is as it goes over the wire, with the final dot. `answer` gets the relay's words, or a refusal."""

    return_path: bytes
    recipient: bytes
    envelope_id: bytes  # comes back in a delivery status notification
    data: bytes
    answer: "asyncio.Future[str | Refusal]"

    def mail(self, *, notified: bool) -> bytes:
        options = _RETURN + self.envelope_id if notified else b""
        return b"MAIL FROM:<%b>%b\r\n" % (self.return_path, options)

    def rcpt(self, *, notified: bool) -> bytes:
        options = _NOTIFY + xtext(self.recipient) if notified else b""
        return b"RCPT TO:<%b>%b\r\n" % (self.recipient, options)

    def settle(self, answer: str | Refusal) -> None:
        """Nobody may be waiting any more."""
        if not self.answer.done():
            self.answer.set_result(answer)


def xtext(value: bytes) -> bytes:
    return _NOT_XTEXT.sub(lambda found: b"+%02X" % found.group()[0], value)
