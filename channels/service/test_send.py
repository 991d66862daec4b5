"""A message of a theme to one of our own people: over the real account, and counted nowhere.

It is no delivery: it takes nothing from caps, codes or counts, and stands in a table of its own and in the audit.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from approval.service.record import Act, write_down
from audience.addresses import InvalidAddress, normalise
from channels.errors import AnswerLost, NotSent
from channels.message import Content, EmailContent, Message, Outcome, Provider, PushContent
from channels.service.distribution import account_for, theme_by_key
from channels.service.errors import AccountUnfit, TestRecipientUnfit
from channels.states import Channel, ErrorClass
from models.delivery import ProviderAccount
from models.inquiry import TestSend
from models.person import Person
from models.queries import people, permits, test_sends, themes
from models.theme import Theme
from themes.recipient import PREVIEW, recipient
from themes.render import ChannelUnused, Renderer
from themes.revision import load, revision_of

#: Before what a test message is called, where it has a line of its own for that.
MARK = "[Test] "
_ANYWHERE = "ZZ"  # no country: a number itself has to name it


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A test message that is on record and ready to leave."""

    sending_id: int
    account: ProviderAccount
    reference: UUID
    address: str
    content: Content
    leaves_in: timedelta  # its permit is for a moment to come


def prepare(
    session: Session,
    *,
    theme_key: str,
    channel: Channel,
    login: str,
    address: str | None = None,
    by: str,
    public_url: str,
    now: datetime,
) -> Prepared:
    """Write a test message for a person and put it on record, as the theme stands now: its revision, or its draft.

    The address is hers of the people; a device or an OpenID is given. Its way out of the list leads nowhere.

    Raises:
        DeliveryThemeUnknown, ChannelUnused, AccountUnknown
        TestRecipientUnfit: there is no such person, she is disabled, or has no address on this channel.
        AccountUnfit: the account is paused, backs off or has used its windows up.
        RenderFailed: the message cannot be made for her.
    """
    theme = theme_by_key(session, theme_key)
    person = _person(session, login)
    to = _address(person, channel, address)
    frozen = theme.draft if theme.revision_id is None else themes.revision_by_id(session, theme.revision_id).content
    value = load(frozen)
    message = value.channels.used().get(channel)
    if message is None:
        raise ChannelUnused(channel=channel, theme=theme_key)
    account = account_for(session, theme=theme, channel=channel, key=message.account)
    leaves_in = _permitted(session, account, now)
    content = Renderer(value, channel).render(_values(theme, person, public_url))
    sending = TestSend(
        theme_id=theme.id,
        content_hash=revision_of(frozen).hash,
        channel=channel,
        account_id=account.id,
        person_id=person.id,
        reference=uuid4(),
        asked_by=by,
        began_at=now,
    )
    sending_id = test_sends.begin(session, sending)
    details = {"channel": channel.value, "account": account.key, "to": login, "content": sending.content_hash}
    act = Act(
        act="test send", actor=by, object_kind="theme", object_key=theme_key, theme_key=theme_key, details=details
    )
    write_down(session, act, now=now)
    return Prepared(
        sending_id=sending_id,
        account=account,
        reference=sending.reference,
        address=to,
        content=_marked(content),
        leaves_in=leaves_in,
    )


async def send(prepared: Prepared, provider: Provider) -> Outcome:
    """One call, when its permit allows it; what the provider says of it."""
    await asyncio.sleep(prepared.leaves_in.total_seconds())
    try:
        keys = await provider.allocate_keys(1) if provider.capabilities.idempotent_replay else ()
    except (NotSent, AnswerLost) as refused:
        return Outcome(delivery_id=prepared.reference, error=ErrorClass.DOWN, detail=f"no key: {refused}")
    message = Message(
        delivery_id=prepared.reference,
        address=prepared.address,
        content=prepared.content,
        key=keys[0] if keys else None,
    )
    (outcome,) = await provider.send([message])
    return outcome


def note_outcome(session: Session, prepared: Prepared, outcome: Outcome, *, now: datetime) -> None:
    values = {
        "error_class": outcome.error,
        "code": outcome.code,
        "detail": outcome.detail,
        "provider_message_id": outcome.provider_message_id,
    }
    test_sends.finish(session, prepared.sending_id, values=values, now=now)


def _person(session: Session, login: str) -> Person:
    person = people.person_by_login(session, login)
    if person is None:
        raise TestRecipientUnfit(login=login, problem="there is nobody of that login; `themeline people list` has all")
    if person.disabled_at is not None:
        raise TestRecipientUnfit(login=login, problem="she is disabled")
    return person


def _address(person: Person, channel: Channel, given: str | None) -> str:
    own = {Channel.SMS: person.phone, Channel.EMAIL: person.email}.get(channel)
    if given is not None and own is not None:
        raise TestRecipientUnfit(login=person.login, problem=f"by {channel} she is reached at her own address alone")
    address = own or (given if channel not in {Channel.SMS, Channel.EMAIL} else None)
    if address is None:
        where = "give one with `people change`" if channel in {Channel.SMS, Channel.EMAIL} else "name her device"
        raise TestRecipientUnfit(login=person.login, problem=f"she has no address for {channel}: {where}")
    found = normalise(channel, address, country=_ANYWHERE)
    if isinstance(found, InvalidAddress):
        raise TestRecipientUnfit(login=person.login, problem=f"her address for {channel} is no good: {found.reason}")
    return found.address


def _permitted(session: Session, account: ProviderAccount, now: datetime) -> timedelta:
    if account.paused_because is not None:
        raise AccountUnfit(key=account.key, problem=f"is paused: {account.paused_because}")
    given = permits.take(session, account_id=account.id, wanted=1, now=now)
    if not given.granted:
        raise AccountUnfit(key=account.key, problem="may not be called just now: it backs off, or its windows are full")
    return given.starts_in


def _values(theme: Theme, person: Person, public_url: str) -> dict[str, object]:
    return recipient(
        external_id=person.login,
        name=person.name,
        country="GB",
        language=person.locale,
        timezone=theme.timezone,
        theme_key=theme.key,
        public_url=public_url,
        reference=PREVIEW,
    )


def _marked(content: Content) -> Content:
    if isinstance(content, EmailContent):
        return replace(content, subject=f"{MARK}{content.subject}")
    return replace(content, title=f"{MARK}{content.title}") if isinstance(content, PushContent) else content
