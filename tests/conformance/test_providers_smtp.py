"""What only SMTP does: stages of a conversation, and connections that are used again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from channels.message import EmailContent, Outcome, Provider
from channels.states import ErrorClass
from channels.transport import HttpTransport
from tests.conformance.provider_case import SMTP, Sandbox, deliver


def test_mail_arrives_whole(sandbox: Sandbox) -> None:
    SMTP.deliver(sandbox, 1)
    (record,) = sandbox.records(SMTP)
    delivery = SMTP.messages(1)[0].delivery_id
    headers = dict(record["content"]["headers"])
    assert record["reference"] == f"<{delivery}@shop.example>"
    assert record["content"]["subject"] == "女神节"
    assert record["content"]["text"].replace("\r\n", "\n").rstrip("\n") == "逛吃喝\n.我们买单"
    assert record["content"]["html"].rstrip() == "<p>逛吃喝</p>"
    assert headers["List-Unsubscribe"] == "<https://shop.example/u/1>"
    assert headers["From"] == "逛吃 <news@shop.example>"
    assert headers["To"] == "p0@home.example"


def test_line_that_begins_with_a_dot_keeps_it(sandbox: Sandbox) -> None:
    message = replace(SMTP.messages(1)[0], content=EmailContent(subject="dots", text=".\n..\n.hidden"))
    SMTP.run(sandbox, lambda provider: provider.send([message]))
    (record,) = sandbox.records(SMTP)
    assert record["content"]["text"].replace("\r\n", "\n").rstrip("\n") == ".\n..\n.hidden"


def test_address_with_a_domain_in_another_script_is_written_as_dns_knows_it(sandbox: Sandbox) -> None:
    message = replace(SMTP.messages(1)[0], address="ann@bücher.example")
    SMTP.run(sandbox, lambda provider: provider.send([message]))
    assert sandbox.recipients(SMTP) == ["ann@xn--bcher-kva.example"]


@pytest.mark.parametrize("address", ["ann", "ann@", "a b@home.example", "a>\r\nRCPT TO:<evil@x.example", ""])
def test_text_that_is_no_address_never_reaches_the_server(sandbox: Sandbox, address: str) -> None:
    message = replace(SMTP.messages(1)[0], address=address)
    (outcome,) = SMTP.run(sandbox, lambda provider: provider.send([message]))
    assert outcome.error is ErrorClass.BAD_RECIPIENT
    assert sandbox.summary(SMTP)["calls"] == 0


def test_hang_before_the_mail_was_handed_over_means_nothing_was_sent(sandbox: Sandbox) -> None:
    sandbox.fault(SMTP, kind="hang", endpoint="mail")
    (outcome,) = SMTP.deliver(sandbox, 1, timeout=0.4)
    assert outcome.error is ErrorClass.DOWN


def test_connection_goes_on_after_a_refused_recipient(sandbox: Sandbox) -> None:
    sandbox.fault(SMTP, kind="recipient_error", code="550 5.1.1", match="^p0@")
    outcomes = SMTP.deliver(sandbox, 3, connections=1)
    assert [outcome.error for outcome in outcomes] == [ErrorClass.BAD_RECIPIENT, None, None]


class Relay:
    """A server that plays a script: what it answers to each command, and when it hangs up."""

    def __init__(
        self, *, hangs_up_after: str = "", mails_per_connection: int = 1000, hangs_up_only_when_used: bool = False
    ) -> None:
        self.hangs_up_after, self.mails_per_connection = hangs_up_after, mails_per_connection
        self.hangs_up_only_when_used = hangs_up_only_when_used
        self.connections = 0
        self.mails = 0
        self._talks: set[asyncio.Task[None] | None] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
            await asyncio.gather(*(talk for talk in self._talks if talk is not None))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._talks.add(asyncio.current_task())
        writer.write(b"220 relay\r\n")
        mails = 0
        while line := (await reader.readline()).decode().strip():
            verb = line.partition(" ")[0].upper()
            if verb == self.hangs_up_after and (mails or not self.hangs_up_only_when_used):
                break
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                if self.hangs_up_after == "DOT":
                    break
                mails += 1
                self.mails += 1
            writer.write(b"221 bye\r\n" if verb == "QUIT" else b"250 fine\r\n")
            if verb == "QUIT" or mails >= self.mails_per_connection:
                break
        writer.close()


def through(relay: Relay, count: int, **settings: object) -> Sequence[Outcome]:
    async def one_after_the_other(provider: Provider) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for message in SMTP.messages(count):
            outcomes += await provider.send([message])
            await asyncio.sleep(0.02)  # time for a hang-up to arrive, as between two mails of a slow campaign
        return outcomes

    async def within() -> list[Outcome]:
        async with relay.serve() as port:
            provider = SMTP.build(
                Sandbox(http="", smtp_host="127.0.0.1", smtp_port=port),
                HttpTransport(),
                settings={"username": None, **settings},
                secrets={},
            )
            try:
                return await one_after_the_other(provider)
            finally:
                await provider.close()

    return asyncio.run(within())


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT", "DATA"])
def test_connection_lost_before_the_mail_means_nothing_was_sent(command: str) -> None:
    (outcome,) = through(Relay(hangs_up_after=command), 1)
    assert outcome.error is ErrorClass.DOWN


def test_connection_lost_after_the_final_dot_has_an_unknown_outcome() -> None:
    relay = Relay(hangs_up_after="DOT")
    (outcome,) = through(relay, 1)
    assert outcome.error is ErrorClass.UNKNOWN_OUTCOME
    assert relay.connections == 1


def test_connection_is_used_again() -> None:
    relay = Relay()
    assert {outcome.error for outcome in through(relay, 10)} == {None}
    assert (relay.connections, relay.mails) == (1, 10)


def test_connection_is_given_up_after_so_many_mails() -> None:
    relay = Relay()
    assert {outcome.error for outcome in through(relay, 10, messages_per_connection=4)} == {None}
    assert relay.connections == 3


def test_connection_that_the_server_gave_up_is_replaced_without_a_loss() -> None:
    relay = Relay(mails_per_connection=2)
    assert {outcome.error for outcome in through(relay, 6)} == {None}
    assert (relay.connections, relay.mails) == (3, 6)


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
def test_hang_up_on_a_used_connection_before_the_mail_is_made_good_on_a_new_one(command: str) -> None:
    relay = Relay(hangs_up_after=command, hangs_up_only_when_used=True)
    assert {outcome.error for outcome in through(relay, 3)} == {None}
    assert (relay.connections, relay.mails) == (3, 3)


def test_pool_opens_no_more_connections_than_it_may(sandbox: Sandbox) -> None:
    async def send(provider: Provider) -> list[Outcome]:
        return await deliver(provider, SMTP.messages(50))

    assert {outcome.error for outcome in SMTP.run(sandbox, send, connections=2)} == {None}
