"""What goes to a provider and what comes back: plain values, the same for every channel.

Nobody changes one. Contents, messages and outcomes are made by the million, though, and one that Python itself guards
takes six times as long to make.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from channels.states import Channel, ErrorClass


@dataclass(slots=True, kw_only=True)
class SmsContent:
    """A text, or a template registered with the provider and its parameters (providers say which they take)."""

    text: str = ""
    template: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class EmailContent:
    subject: str
    text: str
    html: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class PushContent:
    title: str
    body: str
    extras: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class MiniProgramContent:
    template: str
    data: Mapping[str, str]
    page: str | None = None


Content = SmsContent | EmailContent | PushContent | MiniProgramContent


@dataclass(slots=True, kw_only=True)
class Message:
    """One delivery, rendered and addressed.

    `key` is the idempotency key that `Provider.allocate_keys` gave, stored before the call: the same key and content
    may be sent again and reach the recipient once. None where the provider knows no such keys.
    """

    delivery_id: UUID
    address: str
    content: Content
    key: str | None = None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one provider call meant for one delivery. `error` None: the provider accepted it."""

    delivery_id: UUID
    error: ErrorClass | None = None
    code: str = ""  # the provider's own code, "" on success
    detail: str = ""  # the provider's own words, free of secrets
    provider_message_id: str | None = None
    request_id: str | None = None
    retry_after: timedelta | None = None
    about_recipient: bool = False  # the provider refused this recipient alone: says nothing about account or others


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a provider can do. What it cannot do is refused, never silently left out."""

    channel: Channel
    batch_size: int  # recipients per call at most
    idempotent_replay: bool  # the same key twice reaches the recipient once
    status_query: bool  # the provider can be asked what became of a message
    receipts: bool  # the provider later reports delivery
    personal_content: bool  # each recipient of a batch may get other content


class Provider(Protocol):
    """A provider account, ready to send. Safe for many concurrent `send` calls in one event loop."""

    capabilities: Capabilities

    async def allocate_keys(self, count: int) -> Sequence[str]:
        """Idempotency keys for `count` messages, to be stored before they are sent; empty if there are no such keys.

        Raises:
            NotSent, AnswerLost: the keys could not be had; nothing was sent to anybody.
        """
        ...

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """Send at most `capabilities.batch_size` messages in one call; one outcome per message, in the same order.

        Never raises for anything the provider or the network did: that is an outcome (`down` when the request surely
        never arrived, `unknown_outcome` when it may have).
        """
        ...

    async def close(self) -> None: ...


class ReceiptKind(StrEnum):
    """What a provider, a mailbox or the person herself says of a message, some time after it was taken."""

    ACCEPTED = "accepted"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    FAILED = "failed"
    OPENED = "opened"
    CLICKED = "clicked"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One word about one message. It may come twice, late, out of order, or for a message that we do not know."""

    kind: ReceiptKind
    occurred_at: datetime
    dedupe: str  # the same receipt twice has the same, among those of its account
    provider_message_id: str | None = None
    reference: str | None = None  # our own delivery id, where the provider gives it back
    address: str | None = None
    error: ErrorClass | None = None  # of FAILED
    code: str = ""
    detail: str = ""


class Fate(StrEnum):
    """What a provider that is asked says of a message."""

    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A message whose call got no answer."""

    delivery_id: UUID
    address: str
    began_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The provider's answer to an inquiry; `fate` None: it knows of no such message."""

    delivery_id: UUID
    fate: Fate | None
    references: Sequence[str] = ()  # what of ours the provider's records carry for this address
    provider_message_id: str | None = None
    code: str = ""
    detail: str = ""


class Inquirer(Protocol):
    """A provider that can be asked what became of messages (`Capabilities.status_query`)."""

    async def inquire(self, questions: Sequence[Inquiry]) -> Sequence[Found]:
        """One answer a question, in their order.

        Raises:
            NotSent, AnswerLost, QueryRefused: there was no answer, ask again later.
        """
        ...
