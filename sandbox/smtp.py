"""An SMTP server with PIPELINING: replies to a burst of commands leave in one write."""

import asyncio
import itertools
import re
import time
from typing import cast

from sandbox.credentials import SmtpAccount
from sandbox.faults import Faults, Kind, Verdict
from sandbox.ledger import ChannelLog, Message
from sandbox.mail import traced
from sandbox.smtp_commands import CommandRefused, Options, check_login, decode_login, dsn_options, read_path, reply_of

_END = b"\r\n.\r\n"
_MAX_LINE = 2048
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_MAIL_PARAMETERS = frozenset({"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"})
_RCPT_PARAMETERS = frozenset({"NOTIFY", "ORCPT"})


class SmtpServer:
    """What all connections share."""

    def __init__(self, *, account: SmtpAccount, log: ChannelLog, faults: Faults) -> None:
        self.account = account
        self.log = log
        self.faults = faults
        self.ids = itertools.count(time.time_ns() // 1000)
        self.connections: set[SmtpConnection] = set()
        self._connected = 0

    def __call__(self) -> "SmtpConnection":
        return SmtpConnection(self)

    def number_connection(self) -> int:
        self._connected += 1
        return self._connected

    def close(self) -> None:
        for connection in list(self.connections):
            connection.close("421 4.3.2 Service shutting down")


class SmtpConnection(asyncio.Protocol):
    """One client; commands are taken in order, and not taken while an answer is held back by a fault."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._buffer = bytearray()
        self._replies: list[str] = []
        self._is_held = False
        self._is_authenticated = False
        self._login: list[str] | None = None
        self._messages = 0
        self._reset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, only like them.
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)
        if self._server.faults.is_down("email", "connect", self._server.number_connection()):
            self.close("421 4.3.2 Service not available")
        else:
            self._transport.write(b"220 sandbox ESMTP\r\n")

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._proceed()

    def close(self, reply: str) -> None:
        self._replies.append(reply)
        self._flush()
        self._transport.close()

    def _proceed(self) -> None:
        while not self._is_held and not self._transport.is_closing():
            if not (self._take_message() if self._is_in_data else self._take_line()):
                break
        self._flush()

    def _flush(self) -> None:
        if self._replies and not self._transport.is_closing():
            self._transport.write("".join(f"{reply}\r\n" for reply in self._replies).encode())
        self._replies.clear()

    def _reset(self) -> None:
        self._is_in_data = False
        self._is_too_big = False
        self._scanned = 0
        self._sender: str | None = None
        self._recipients: dict[str, Options] = {}
        self._options: Options = {}
        self._call = 0

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_LINE:
                self.close("421 4.5.2 Line too long, closing")
            return False
        line = self._buffer[:end].decode("utf-8", "replace")
        del self._buffer[: end + 2]
        try:
            self._obey(line)
        except CommandRefused as refusal:
            self._replies.append(str(refusal))
        return True

    def _obey(self, line: str) -> None:
        if self._login is not None:
            self._continue_login(line)
            return
        verb, _, rest = line.partition(" ")
        command = getattr(self, f"_do_{verb.lower()}", None) if verb.isalpha() else None
        if command is None:
            raise CommandRefused(f"502 5.5.1 Command not implemented: {verb[:20]}")
        command(rest)

    def _do_ehlo(self, name: str) -> None:
        if not name.strip():
            raise CommandRefused("501 5.5.4 EHLO needs a name")
        self._reset()
        features = ("PIPELINING", f"SIZE {self._server.account.max_message_bytes}", "8BITMIME", "SMTPUTF8", "DSN")
        lines = ("sandbox", *features, "AUTH PLAIN LOGIN", "ENHANCEDSTATUSCODES")
        self._replies += [f"250-{line}" for line in lines[:-1]]
        self._replies.append(f"250 {lines[-1]}")

    def _do_helo(self, _name: str) -> None:
        self._reset()
        self._replies.append("250 sandbox")

    def _do_noop(self, _rest: str) -> None:
        self._replies.append("250 2.0.0 Ok")

    def _do_rset(self, _rest: str) -> None:
        self._reset()
        self._replies.append("250 2.0.0 Ok")

    def _do_vrfy(self, _rest: str) -> None:
        self._replies.append("252 2.0.0 Send some mail")

    def _do_quit(self, _rest: str) -> None:
        self.close("221 2.0.0 Bye")

    def _do_auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        if mechanism.upper() not in ("PLAIN", "LOGIN"):
            raise CommandRefused("504 5.5.4 Mechanism not supported: use PLAIN or LOGIN")
        self._login = [mechanism.upper()]
        if initial:
            self._continue_login(initial)
        else:
            self._replies.append("334 " if mechanism.upper() == "PLAIN" else "334 VXNlcm5hbWU6")

    def _continue_login(self, line: str) -> None:
        given, self._login = [*(self._login or []), line], None
        if line == "*":
            raise CommandRefused("501 5.7.0 Authentication cancelled")
        if given[0] == "LOGIN" and len(given) == 2:  # noqa: PLR2004 - the mechanism and the user, not yet the password
            self._login = given
            self._replies.append("334 UGFzc3dvcmQ6")
            return
        check_login(decode_login(given), self._server.account)
        self._is_authenticated = True
        self._replies.append("235 2.7.0 Authentication successful")

    def _do_mail(self, rest: str) -> None:
        if self._sender is not None:
            raise CommandRefused("503 5.5.1 Sender already given")
        account = self._server.account
        if account.auth_required and not self._is_authenticated:
            raise CommandRefused("530 5.7.0 Authentication required")
        sender, parameters = read_path("FROM", rest, _MAIL_PARAMETERS)
        size = parameters.get("SIZE", "0")
        if not size.isdecimal() or int(size) > account.max_message_bytes:
            raise CommandRefused(f"552 5.3.4 Message size exceeds the limit of {account.max_message_bytes}")
        if account.messages_per_connection is not None and self._messages >= account.messages_per_connection:
            self.close("421 4.7.0 Too many messages on this connection")
            return
        self._begin(sender, dsn_options(parameters))

    def _begin(self, sender: str, options: Options) -> None:
        call = self._server.log.begin()
        if self._server.faults.is_down("email", "mail", call):
            self._server.log.refuse()
            self.close("421 4.3.2 Service not available")
            return
        verdict = self._server.faults.judge("email", "mail", call, ())
        if verdict.fault is None:
            self._sender, self._options, self._call = sender, options, call
        self._answer("250 2.1.0 Ok", verdict)

    def _do_rcpt(self, rest: str) -> None:
        if self._sender is None:
            raise CommandRefused("503 5.5.1 Need MAIL before RCPT")
        recipient, parameters = read_path("TO", rest, _RCPT_PARAMETERS)
        options = dsn_options(parameters)
        if "@" not in recipient.strip("@"):
            raise CommandRefused("501 5.1.3 Bad recipient address syntax")
        if len(self._recipients) >= self._server.account.max_recipients:
            raise CommandRefused("452 4.5.3 Too many recipients")
        fault = self._server.faults.struck("email", "message", (recipient,)).get(recipient)
        if fault is not None:
            self._server.log.refused += 1
            raise CommandRefused(reply_of(fault, "550 5.1.1 User unknown"))
        self._recipients[recipient] = options
        self._replies.append("250 2.1.5 Ok")

    def _do_data(self, _rest: str) -> None:
        if self._sender is None:
            raise CommandRefused("503 5.5.1 Need MAIL before DATA")
        if not self._recipients:
            raise CommandRefused("554 5.5.1 No valid recipients")
        self._is_in_data = True
        self._replies.append("354 End data with <CR><LF>.<CR><LF>")

    def _take_message(self) -> bool:
        """Take the mail up to the lone dot, if it has all arrived."""
        if self._scanned == 0 and self._buffer.startswith(b".\r\n"):
            end, rest = 0, 3
        else:
            end = self._buffer.find(_END, self._scanned)
            rest = end + len(_END)
        if end < 0:
            self._scanned = max(len(self._buffer) - len(_END) + 1, 0)
            self._drop_excess()
            return False
        mail = bytes(self._buffer[: end + 2 if end else 0])
        del self._buffer[:rest]
        if mail.startswith(b"."):
            mail = mail[1:]
        self._finish(mail.replace(b"\r\n.", b"\r\n"))
        return True

    def _drop_excess(self) -> None:
        """A mail over the limit is read to its end, as SMTP wants, but not kept."""
        # The last two bytes may belong to the end of the mail.
        if len(self._buffer) - 2 > self._server.account.max_message_bytes:
            self._is_too_big = True
            del self._buffer[: self._scanned - 1]
            self._scanned = 1

    def _finish(self, mail: bytes) -> None:
        log, call, recipients = self._server.log, self._call, self._recipients
        sender, options = self._sender or "", self._options
        is_too_big = self._is_too_big or len(mail) > self._server.account.max_message_bytes
        self._reset()
        self._messages += 1
        if is_too_big:
            log.refuse(len(recipients))
            reply = f"552 5.3.4 Message size exceeds the limit of {self._server.account.max_message_bytes}"
            self._replies.append(reply)
            return
        verdict = self._server.faults.judge("email", "message", call, list(recipients))
        if verdict.fault is not None and not verdict.is_(Kind.CUT_AFTER_ACCEPT):
            log.refuse(len(recipients))
            self._answer("", verdict)
            return
        queue_id = f"{next(self._server.ids):X}"
        named = _MESSAGE_ID.search(mail.partition(b"\r\n\r\n")[0])
        reference = named[1].decode("utf-8", "replace") if named else None
        log.accept(
            call,
            [
                Message(recipient, reference, queue_id, traced(mail, sender, options | own))
                for recipient, own in recipients.items()
            ],
        )
        self._answer(f"250 2.0.0 Ok: queued as {queue_id}", verdict)

    def _answer(self, reply: str, verdict: Verdict) -> None:
        """Give `reply`, or what a fault makes of it, now or later."""
        if verdict.delay == 0:
            self._give(reply, verdict)
            return
        self._is_held = True
        asyncio.get_running_loop().call_later(verdict.delay, self._give_late, reply, verdict)

    def _give_late(self, reply: str, verdict: Verdict) -> None:
        self._is_held = False
        self._give(reply, verdict)
        self._proceed()

    def _give(self, reply: str, verdict: Verdict) -> None:
        fault = verdict.fault
        if fault is None:
            self._replies.append(reply)
        elif fault.kind is Kind.HANG:
            self._is_held = True
        elif fault.kind is Kind.CUT_AFTER_ACCEPT:
            self._transport.abort()
        else:
            self._refuse(
                reply_of(fault, "450 4.7.28 Rate limit" if fault.kind is Kind.THROTTLE else "451 4.3.0 Scripted")
            )

    def _refuse(self, reply: str) -> None:
        if reply.startswith("421"):
            self.close(reply)
        else:
            self._replies.append(reply)
