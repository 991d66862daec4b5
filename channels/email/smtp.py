"""E-mail by SMTP submission: one recipient per message, over connections that are kept and used again."""

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from email.utils import formataddr
from typing import Literal, Self

import aiosmtplib
from pydantic import Field, SecretStr, model_validator

from channels.account import AccountSettings, Timeout, content_of, read_settings
from channels.email import mime
from channels.email.pool import Connection, Pool
from channels.email.replies import CLOSING, Stage, refusal
from channels.message import Capabilities, EmailContent, Message, Outcome
from channels.refusal import Refusal
from channels.states import Channel, ErrorClass
from channels.transport import Transport

CAPABILITIES = Capabilities(
    channel=Channel.EMAIL,
    batch_size=1,
    idempotent_replay=False,
    status_query=False,
    receipts=False,
    personal_content=True,
)
_OK, _FORWARDED, _START_INPUT = 250, 251, 354
#: Printable ASCII around one @, without what would end the address inside a command.
_ADDRESS = re.compile(r"[!-;=?A-~]+@[!-;=?A-~]+")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class _AddressInvalid(Exception):
    """The address cannot stand in a command."""

    def __init__(self, error: ErrorClass, problem: str) -> None:
        self.error = error
        super().__init__(problem)


class _ConnectionLost(Exception):
    """The server was there and then answered no more, or not in SMTP."""

    def __init__(self, *, stage: Stage, reused: bool, reason: str) -> None:
        self.stage, self.reused, self.reason = stage, reused, reason
        super().__init__(f"{stage}: {reason}")

    def refusal(self) -> Refusal:
        lost = self.stage is Stage.DONE
        return Refusal(error=ErrorClass.UNKNOWN_OUTCOME if lost else ErrorClass.DOWN, detail=str(self))


class SmtpSettings(AccountSettings):
    host: str = Field(min_length=1)
    port: int = Field(587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection is encrypted")
    username: str | None = None
    password: SecretStr | None = None
    sender: str = Field(description="the address in From and in the envelope")
    sender_name: str = ""
    message_id_domain: str | None = Field(None, description="the part after @; that of the sender if not given")
    connections: int = Field(8, ge=1, le=256)
    messages_per_connection: int = Field(100, ge=1)
    idle_seconds: float = Field(20.0, gt=0, description="an unused connection is given up after that")
    timeout: Timeout = 30.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not _ADDRESS.fullmatch(self.sender):
            raise ValueError("sender: must be an address such as news@shop.example")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password: give both or neither")
        return self

    @property
    def domain(self) -> str:
        return self.message_id_domain or self.sender.rpartition("@")[2]


class Smtp:
    capabilities = CAPABILITIES

    def __init__(self, *, account: SmtpSettings) -> None:
        self._account = account
        self._tls = None if account.security == "none" else ssl.create_default_context()
        self._from = formataddr((account.sender_name, account.sender))
        self._pool = Pool(
            connect=self._connect,
            size=account.connections,
            messages_per_connection=account.messages_per_connection,
            idle_seconds=account.idle_seconds,
        )

    async def allocate_keys(self, count: int) -> Sequence[str]:  # noqa: ARG002 - there are no keys to be had
        return ()

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return await asyncio.gather(*(self._send_one(message) for message in messages))

    async def close(self) -> None:
        await self._pool.close()

    async def _send_one(self, message: Message) -> Outcome:
        try:
            recipient = _ascii_address(message.address)
            data = self._bytes(message, recipient)
        except _AddressInvalid as error:
            return Refusal(error=error.error, detail=str(error), about_recipient=True).outcome(message)
        except (mime.HeaderInvalid, UnicodeError) as error:
            return Refusal(error=ErrorClass.CONTENT, detail=str(error)).outcome(message)
        answer = await self._deliver(recipient, data)
        if isinstance(answer, Refusal):
            return answer.outcome(message)
        own_id = mime.message_id(message.delivery_id, self._account.domain)
        return Outcome(delivery_id=message.delivery_id, provider_message_id=own_id, request_id=answer[:200])

    def _bytes(self, message: Message, recipient: str) -> bytes:
        """As it goes over the wire, up to and with the final dot."""
        data = mime.build(
            sender=self._from,
            recipient=recipient,
            content=content_of(message, EmailContent),
            delivery_id=message.delivery_id,
            domain=self._account.domain,
        )
        return _LEADING_DOT.sub(b"..", data) + b".\r\n"

    async def _deliver(self, recipient: str, data: bytes) -> str | Refusal:
        """The server's words on accepting it, or why it did not."""
        try:
            try:
                return await self._transact(recipient, data, fresh=False)
            except _ConnectionLost as lost:
                if lost.stage is Stage.DONE or not lost.reused:
                    raise
            # The server had given the idle connection up; no message went over it.
            return await self._transact(recipient, data, fresh=True)
        except _ConnectionLost as lost:
            return lost.refusal()
        except (aiosmtplib.SMTPException, OSError) as error:
            return self._no_connection(error)

    async def _transact(self, recipient: str, data: bytes, *, fresh: bool) -> str | Refusal:
        async with self._pool.connection(fresh=fresh) as connection:
            stage = Stage.MAIL
            try:
                for stage, command, expected in self._commands(recipient):
                    reply = await connection.smtp.execute_command(*command)
                    if reply.code not in expected:
                        await _reset(connection, reply.code)
                        return refusal(stage, reply.code, reply.message)
                if connection.smtp.protocol is None:
                    raise aiosmtplib.SMTPServerDisconnected("Connection lost")
                connection.smtp.protocol.write(data)
                stage = Stage.DONE
                reply = await connection.smtp.protocol.read_response(timeout=self._account.timeout)
            except (aiosmtplib.SMTPException, OSError) as error:
                raise _ConnectionLost(stage=stage, reused=connection.is_reused, reason=type(error).__name__) from error
            connection.sound = reply.code != CLOSING
            return reply.message if reply.code == _OK else refusal(stage, reply.code, reply.message)

    def _commands(self, recipient: str) -> tuple[tuple[Stage, tuple[bytes, ...], tuple[int, ...]], ...]:
        return (
            (Stage.MAIL, (b"MAIL", f"FROM:<{self._account.sender}>".encode()), (_OK,)),
            (Stage.RCPT, (b"RCPT", f"TO:<{recipient}>".encode()), (_OK, _FORWARDED)),
            (Stage.DATA, (b"DATA",), (_START_INPUT,)),
        )

    async def _connect(self) -> aiosmtplib.SMTP:
        account = self._account
        smtp = aiosmtplib.SMTP(
            hostname=account.host,
            port=account.port,
            username=account.username,
            password=account.password.get_secret_value() if account.password else None,
            local_hostname=account.domain,
            timeout=account.timeout,
            use_tls=account.security == "tls",
            start_tls=account.security == "starttls",
            tls_context=self._tls,
        )
        await smtp.connect()
        try:
            await smtp.ehlo()
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _no_connection(self, error: aiosmtplib.SMTPException | OSError) -> Refusal:
        """Nothing was sent over a connection that did not come to be."""
        if isinstance(error, aiosmtplib.SMTPResponseException):
            stage = Stage.AUTH if isinstance(error, aiosmtplib.SMTPAuthenticationError) else Stage.CONNECT
            return refusal(stage, error.code, self._without_password(error.message))
        unreachable = isinstance(error, OSError) and not isinstance(error.__cause__ or error, ssl.SSLError)
        return Refusal(
            error=ErrorClass.DOWN if unreachable else ErrorClass.CONFIG,
            detail=f"{Stage.CONNECT}: {self._without_password(str(error))}",
        )

    def _without_password(self, text: str) -> str:
        password = self._account.password
        return text.replace(password.get_secret_value(), "***") if password else text


def from_settings(
    *,
    account: str,
    settings: Mapping[str, object],
    secrets: Mapping[str, object],
    transport: Transport,  # noqa: ARG001 - part of every provider's signature; mail does not go by HTTP
) -> Smtp:
    return Smtp(account=read_settings(SmtpSettings, account=account, settings=settings, secrets=secrets))


async def _reset(connection: Connection, code: int) -> None:
    """Ready for the next message; a connection that cannot be made so is given up, whatever the reason."""
    connection.sound = code != CLOSING
    if not connection.sound:
        return
    try:
        await connection.smtp.rset()
    except (aiosmtplib.SMTPException, OSError):
        connection.sound = False


def _ascii_address(address: str) -> str:
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        # Such a person exists, but SMTPUTF8 is not spoken here: nothing that speaks against the address.
        raise _AddressInvalid(ErrorClass.UNRECOGNISED, "the address is not ASCII before its @")
    try:
        whole = f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"
    except UnicodeError:
        whole = ""
    if not _ADDRESS.fullmatch(whole):
        raise _AddressInvalid(ErrorClass.BAD_RECIPIENT, "not an e-mail address")
    return whole
