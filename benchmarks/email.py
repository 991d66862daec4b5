"""`python -m benchmarks.email`: mails a second to postfix's smtp-sink, ours and those of postfix's own smtp-source.

Both send one recipient a message, over as many connections, to the same sink. Ours are written anew for each person,
with a signed return path; smtp-source sends the same bytes again and again.
"""

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import uvloop
from rich.console import Console
from rich.table import Table

from channels.message import EmailContent, Message, Provider
from channels.registry import build_provider
from channels.states import Channel
from channels.transport import HttpTransport

MAILS, SESSIONS, AT_ONCE, ROUNDS = 20_000, 16, 64, 3
LEAST = 0.5
_ROWS = "".join(f"<tr><td>Offer {n}</td><td>twenty off from a hundred, until Monday</td></tr>\n" for n in range(50))
_LINES = "".join(f"Offer {n}: twenty off from a hundred\n" for n in range(25))
_SINKS_BACKLOG = 1024


class PostfixMissing(Exception):
    """The peers are not installed: `apt-get install --no-install-recommends postfix` brings both."""


class MailsRefused(Exception):
    """The sink is to take everything."""


@dataclass(frozen=True, kw_only=True)
class Mailed:
    per_second: float
    cpu_microseconds: float  # of our own process, per mail
    peer_per_second: float
    size: int  # bytes of a mail

    @property
    def ratio(self) -> float:
        return self.per_second / self.peer_per_second


@contextmanager
def mail_sink() -> Iterator[int]:
    """postfix's smtp-sink on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    user = ["-u", "nobody"] if getpass.getuser() == "root" else []
    process = subprocess.Popen([_tool("smtp-sink"), *user, f"127.0.0.1:{port}", str(_SINKS_BACKLOG)])
    try:
        _wait_for(port)
        yield port
    finally:
        process.kill()
        process.wait()


def mail_provider(port: int, *, sessions: int = SESSIONS) -> Provider:
    return build_provider(
        account="benchmark",
        channel=Channel.EMAIL,
        provider="smtp",
        settings={
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "sender": "news@shop.example",
            "sender_name": "Shop",
            "bounce_address": "bounces@shop.example",
            "connections": sessions,
            "messages_per_connection": 1_000_000,  # smtp-source keeps its connections, too
        },
        secrets={"bounce_key": "the key of the benchmark"},
        transport=HttpTransport(),
    )


def mail_content(number: int) -> EmailContent:
    return EmailContent(
        subject=f"Customer {number}, wander, eat, drink: we pay",
        text=f"Dear customer {number},\n{_LINES}",
        html=f"<p>Dear customer {number},</p>\n<table>\n{_ROWS}</table>",
        headers={
            "List-Unsubscribe": f"<https://shop.example/u/{number}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )


def measure(*, mails: int = MAILS, sessions: int = SESSIONS, rounds: int = ROUNDS) -> Mailed:
    """The best of `rounds` for each, in turns: others may be at work on the machine."""
    with mail_sink() as port:
        size = _size(mail_content(mails))
        ours, peers = [], []
        for _ in range(rounds):
            peers.append(smtp_source(port, mails=mails, sessions=sessions, size=size))
            ours.append(uvloop.run(_ours(port, mails=mails, sessions=sessions)))
    return Mailed(
        per_second=max(per_second for per_second, _ in ours),
        cpu_microseconds=min(cpu for _, cpu in ours),
        peer_per_second=max(peers),
        size=size,
    )


async def _ours(port: int, *, mails: int, sessions: int) -> tuple[float, float]:
    provider = mail_provider(port, sessions=sessions)
    messages = [
        Message(delivery_id=uuid4(), address=f"p{n}@home.example", content=mail_content(n)) for n in range(mails)
    ]
    try:
        began, cpu = time.perf_counter(), time.process_time()
        await _send(provider, messages)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        await provider.close()
    return mails / took, cpu / mails * 1e6


async def _send(provider: Provider, messages: Sequence[Message]) -> None:
    waiting = iter(messages)

    async def worker() -> None:
        for message in waiting:
            (outcome,) = await provider.send([message])
            if outcome.error is not None:
                raise MailsRefused(f"{outcome.error}: {outcome.code} {outcome.detail}")

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def smtp_source(port: int, *, mails: int, sessions: int, size: int) -> float:
    """Mails a second of postfix's own client."""
    command = [_tool("smtp-source"), "-d", "-s", str(sessions), "-m", str(mails), "-l", str(size)]
    began = time.perf_counter()
    subprocess.run([*command, "-f", "news@shop.example", "-t", "p@home.example", f"127.0.0.1:{port}"], check=True)
    return mails / (time.perf_counter() - began)


def _size(content: EmailContent) -> int:
    return len(content.text) + len(content.html)


def _tool(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise PostfixMissing(f"no {name} here: `apt-get install --no-install-recommends postfix` brings it")
    return found


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise PostfixMissing("smtp-sink does not listen")


def main() -> None:
    mailed = measure()
    table = Table("what", "value", "unit")
    table.add_row("ours", f"{mailed.per_second:,.0f}", f"mails/s of {mailed.size:,} bytes")
    table.add_row("smtp-source", f"{mailed.peer_per_second:,.0f}", "mails/s")
    table.add_row(f"ours against smtp-source, at least {LEAST}", f"{mailed.ratio:.2f}", "times")
    table.add_row("our process", f"{mailed.cpu_microseconds:.1f}", "µs of CPU a mail")
    Console().print(table)


if __name__ == "__main__":
    main()
