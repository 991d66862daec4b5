"""E-mail by SMTP submission: one recipient per message, over connections that are kept and used again."""

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from email.utils import formataddr
from functools import partial
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from channels.account import AccountSettings, Timeout, content_of, read_settings
from channels.email import mime
from channels.email.handshake import Relay, connect
from channels.email.letter import Letter
from channels.email.pool import Pool
from channels.email.verp import LONGEST_LOCAL, ReturnPath
from channels.message import Capabilities, EmailContent, Message, Outcome
from channels.rate import RateWindow
from channels.refusal import Refusal
from channels.states import Channel, ErrorClass
from channels.transport import Transport

CAPABILITIES = Capabilities(
    channel=Channel.EMAIL,
    batch_size=1,
    idempotent_replay=False,
    status_query=False,
    receipts=True,
    personal_content=True,
)
#: A relay has its own; the account file says which.
LIMITS: tuple[RateWindow, ...] = ()
#: Printable ASCII around one @, without what would end the address inside a command.
_ADDRESS = re.compile(r"[!-;=?A-~]+@[!-;=?A-~]+")
_DOMAIN = re.compile(r"[A-Za-z0-9.:\[\]-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LEADING_DOT, _STUFFED = b"\r\n.", b"\r\n.."
_LONGEST_REQUEST_ID = 200


class _AddressInvalid(Exception):
    """The address cannot stand in a command."""

    def __init__(self, error: ErrorClass, problem: str) -> None:
        self.error = error
        super().__init__(problem)


class SmtpSettings(AccountSettings):
    host: str = Field(min_length=1)
    port: int = Field(587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection is encrypted")
    username: str | None = None
    password: SecretStr | None = None
    sender: str = Field(description="the address in From, and in the envelope if bounces have none of their own")
    sender_name: str = ""
    bounce_address: str | None = Field(None, description="where bounces go, with the delivery in the address itself")
    bounce_key: SecretStr | None = Field(None, min_length=16, description="signs the addresses that bounces go to")
    message_id_domain: str | None = Field(None, description="the part after @; that of the sender if not given")
    connections: int = Field(8, ge=1, le=256)
    messages_per_connection: int = Field(100, ge=1)
    idle_seconds: float = Field(20.0, gt=0, description="an unused connection is given up after that")
    pipelining: bool = Field(default=True, description="where the server offers it")
    timeout: Timeout = 30.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not _ADDRESS.fullmatch(self.sender):
            raise ValueError("sender: must be an address such as news@shop.example")
        if not _DOMAIN.fullmatch(self.domain):
            raise ValueError("message_id_domain: must be a domain such as shop.example")
        if _CONTROL.search(self.sender_name):
            raise ValueError("sender_name: holds a line break or another control character")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password: give both or neither")
        if (self.bounce_address is None) != (self.bounce_key is None):
            raise ValueError("bounce_address and the secret bounce_key: give both or neither")
        if self.bounce_address is not None:
            _check_bounce_address(self.bounce_address)
        return self

    @property
    def domain(self) -> str:
        return self.message_id_domain or self.sender.rpartition("@")[2]

    @property
    def return_path(self) -> ReturnPath | None:
        """Signs the return path of each mail and reads it back; None where bounces go to the sender."""
        if self.bounce_address is None or self.bounce_key is None:
            return None
        return ReturnPath(address=self.bounce_address, key=self.bounce_key.get_secret_value().encode())


class Smtp:
    capabilities = CAPABILITIES

    def __init__(self, *, account: SmtpSettings) -> None:
        self._domain = account.domain
        self._from = formataddr((account.sender_name, account.sender))
        self._sender, self._return_path = account.sender.encode(), account.return_path
        self._pool = Pool(
            connect=partial(connect, _relay(account)),
            size=account.connections,
            messages_per_connection=account.messages_per_connection,
            idle_seconds=account.idle_seconds,
            timeout=account.timeout,
            pipelining=account.pipelining,
        )

    async def allocate_keys(self, count: int) -> Sequence[str]:  # noqa: ARG002 - there are no keys to be had
        return ()

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        if len(messages) == 1:
            return (await self._send_one(messages[0]),)
        return await asyncio.gather(*(self._send_one(message) for message in messages))

    async def close(self) -> None:
        await self._pool.close()

    async def _send_one(self, message: Message) -> Outcome:
        try:
            recipient = _ascii_address(message.address)
            reference = str(message.delivery_id)
            letter = self._letter(message, recipient, reference)
        except _AddressInvalid as error:
            return Refusal(error=error.error, detail=str(error), about_recipient=True).outcome(message)
        except (mime.HeaderInvalid, UnicodeError) as error:
            return Refusal(error=ErrorClass.CONTENT, detail=str(error)).outcome(message)
        answer = await self._pool.deliver(letter)
        if isinstance(answer, Refusal):
            return answer.outcome(message)
        return Outcome(
            delivery_id=message.delivery_id,
            provider_message_id=self._message_id(reference),
            request_id=answer[:_LONGEST_REQUEST_ID],
        )

    def _letter(self, message: Message, recipient: str, reference: str) -> Letter:
        data = mime.build(
            sender=self._from,
            recipient=recipient,
            content=content_of(message, EmailContent),
            message_id=self._message_id(reference),
            boundary=f"=_{reference}",
        )
        own = self._return_path
        return Letter(
            return_path=self._sender if own is None else own.of(message.delivery_id).encode(),
            recipient=recipient.encode(),
            envelope_id=reference.encode(),
            data=data.replace(_LEADING_DOT, _STUFFED) + b".\r\n",
            answer=asyncio.get_running_loop().create_future(),
        )

    def _message_id(self, reference: str) -> str:
        """The same for every try of a delivery, so that whoever receives it twice can tell."""
        return f"<{reference}@{self._domain}>"


def from_settings(
    *,
    account: str,
    settings: Mapping[str, object],
    secrets: Mapping[str, object],
    transport: Transport,  # noqa: ARG001 - part of every provider's signature; mail does not go by HTTP
) -> Smtp:
    return Smtp(account=read_settings(SmtpSettings, account=account, settings=settings, secrets=secrets))


def _relay(account: SmtpSettings) -> Relay:
    return Relay(
        host=account.host,
        port=account.port,
        name=account.domain,
        timeout=account.timeout,
        tls=None if account.security == "none" else ssl.create_default_context(),
        tls_from_the_start=account.security == "tls",
        username=account.username,
        password=account.password.get_secret_value() if account.password else None,
    )


def _check_bounce_address(address: str) -> None:
    if not _ADDRESS.fullmatch(address):
        raise ValueError("bounce_address: must be an address such as bounces@shop.example")
    if len(address.rpartition("@")[0]) > LONGEST_LOCAL:
        raise ValueError(
            f"bounce_address: may have {LONGEST_LOCAL} characters before its @, "
            "for the delivery and its signature follow them and all may have 64"
        )


def _ascii_address(address: str) -> str:
    if _ADDRESS.fullmatch(address):
        return address
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
