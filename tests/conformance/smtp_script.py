"""A mail server that plays a script: what it offers, what it answers to each command, and when it hangs up."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from channels.message import Message, Outcome, Provider
from channels.transport import HttpTransport
from tests.conformance.provider_case import SMTP, Sandbox

CUT, HANG, TAKE_AND_CUT = "cut the connection", "answer nothing", "2 is what it would have said"
Run = Callable[[Coroutine[Any, Any, list[Outcome]]], list[Outcome]]
#: The number of the connection, and of the mail on it, both from 0.
Answer = Callable[[int, int], str | None]

_STANDARD = {
    "GREETING": "220 script",
    "HELO": "250 script",
    "MAIL": "250 2.1.0 fine",
    "RCPT": "250 2.1.5 fine",
    "DATA": "354 go on",
    "DOT": "250 2.0.0 queued",
    "RSET": "250 2.0.0 fine",
    "QUIT": "221 2.0.0 bye",
    "STARTTLS": "220 2.0.0 go on",
}


def on(connection: int, mail: int, reply: str) -> Answer:
    """That reply to one mail on one connection, and the usual one to all others."""
    return lambda number, count: reply if (number, count) == (connection, mail) else None


@dataclass(kw_only=True)
class Script:
    features: Sequence[str] = ("PIPELINING",)
    answers: Mapping[str, Answer | str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    tls_from_the_start: bool = False
    after_starttls: bytes = b""  # clear text that somebody slipped in
    waits_for_next: bool = False  # no reply to a text before the next envelope is there
    most_connections: int = 1000
    held: Mapping[str, asyncio.Event] = field(default_factory=dict)  # a command is answered only then
    commands: list[tuple[int, str]] = field(default_factory=list)  # connection, line
    heard: asyncio.Event = field(default_factory=asyncio.Event)  # a command, or a connection
    mails: list[tuple[str, str, bytes]] = field(default_factory=list)  # MAIL, RCPT, text
    texts: list[bytes] = field(default_factory=list)  # all that came after a 354, taken or not
    connections: int = 0
    open: int = 0
    _talks: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        context = self.tls if self.tls_from_the_start else None
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0, ssl=context)
        async with server:
            yield server.sockets[0].getsockname()[1]
            await asyncio.gather(*self._talks)

    def lines(self, connection: int = 0) -> list[str]:
        return [line for number, line in self.commands if number == connection]

    def verbs(self, connection: int = 0) -> list[str]:
        return [line.partition(" ")[0] for line in self.lines(connection)]

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.heard.clear()
            await self.heard.wait()

    async def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        number, self.connections = self.connections, self.connections + 1
        self.heard.set()
        self.open += 1
        try:
            await _Talk(self, number, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            writer.close()


class _Talk:
    def __init__(self, script: Script, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.script, self.number, self.reader, self.writer = script, number, reader, writer
        self.mail = -1
        self.envelope = ["", ""]

    async def run(self) -> None:
        crowded = self.script.open > self.script.most_connections
        going = await self.give("421 4.3.2 too many" if crowded else self.reply("GREETING"))
        while going and (line := (await self.reader.readline()).decode().rstrip("\r\n")):
            self.script.commands.append((self.number, line))
            self.script.heard.set()
            verb = line.partition(" ")[0].upper()
            going = await self.obey(verb, line)

    async def obey(self, verb: str, line: str) -> bool:
        if verb == "EHLO" and "EHLO" not in self.script.answers:
            return self.say("".join(f"250-{feature}\r\n" for feature in ("script", *self.script.features)) + "250 HELP")
        if verb in {"MAIL", "RCPT"}:
            self.envelope[verb == "RCPT"] = line
            self.mail += verb == "MAIL"
        if verb == "STARTTLS":
            return await self.start_tls()
        if verb in self.script.held:
            await self.script.held[verb].wait()
        reply = self.reply(verb)
        going = await self.give(reply)
        if verb == "DATA" and going and reply.startswith("354"):
            return await self.take_text()
        return going and verb != "QUIT"

    async def take_text(self) -> bool:
        text = await self.reader.readuntil(b".\r\n")
        while text != b".\r\n" and not text.endswith(b"\r\n.\r\n"):
            text += await self.reader.readuntil(b".\r\n")
        self.script.texts.append(text)
        if self.script.waits_for_next:
            line = (await self.reader.readuntil(b"\r\n")).decode().rstrip()
            self.script.commands.append((self.number, line))
            self.envelope[0] = line
        reply = self.reply("DOT")
        going = await self.give(reply)
        if reply.startswith("2") and text != b".\r\n":
            self.script.mails.append((self.envelope[0], self.envelope[1], text))
        self.mail += self.script.waits_for_next
        return going and (not self.script.waits_for_next or await self.answer("MAIL"))

    async def start_tls(self) -> bool:
        self.writer.write(b"220 2.0.0 go on\r\n" + self.script.after_starttls)
        await self.writer.drain()
        assert self.script.tls is not None
        await self.writer.start_tls(self.script.tls)
        return True

    def reply(self, verb: str) -> str:
        answer = self.script.answers.get(verb)
        said = answer(self.number, self.mail) if callable(answer) else answer
        if said is not None:
            return said
        return _STANDARD.get(verb, "502 5.5.1 never heard of")

    async def answer(self, verb: str) -> bool:
        return await self.give(self.reply(verb))

    async def give(self, reply: str) -> bool:
        if reply == HANG:
            await self.reader.read()  # until the client gives up
        if reply in {HANG, CUT, TAKE_AND_CUT}:
            return False
        return self.say(reply)

    def say(self, reply: str) -> bool:
        self.writer.write(f"{reply}\r\n".encode())
        return not reply.startswith("421")


def provider_at(port: int, *, secrets: Mapping[str, object] | None = None, **settings: object) -> Provider:
    return SMTP.build(
        Sandbox(http="", smtp_host="127.0.0.1", smtp_port=port),
        HttpTransport(),
        settings={"username": None, "connections": 1, **settings},
        secrets=secrets or {},
    )


async def to_all_at_once(provider: Provider, messages: Sequence[Message]) -> list[Outcome]:
    answers = await asyncio.gather(*(provider.send([message]) for message in messages))
    return [outcome for outcomes in answers for outcome in outcomes]


async def one_after_the_other(provider: Provider, messages: Sequence[Message]) -> list[Outcome]:
    return [(await provider.send([message]))[0] for message in messages]


def through(
    script: Script,
    count: int,
    *,
    use: Callable[[Provider, Sequence[Message]], Awaitable[list[Outcome]]] = to_all_at_once,
    secrets: Mapping[str, object] | None = None,
    run: Run = asyncio.run,
    **settings: object,
) -> list[Outcome]:
    async def within() -> list[Outcome]:
        async with script.serve() as port:
            provider = provider_at(port, secrets=secrets, **settings)
            try:
                async with asyncio.timeout(20):
                    return await use(provider, SMTP.messages(count))
            finally:
                await provider.close()

    return run(within())
