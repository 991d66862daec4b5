"""Notices: what the product itself has to tell a person, each said once on each of her channels."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy.orm import Session

from approval.notices import NoticeKind, letter, run_link, short
from channels.account_file import NOTICE_CHANNELS, NoticeTemplate, NoticeVariable
from channels.answers import CallCounts, Effects
from channels.message import Content, EmailContent, SmsContent
from channels.rate import Permits
from channels.service.errors import DeliveryThemeUnknown
from channels.service.ledger import Transactions, note_calls
from channels.states import Channel, DeliveryState, ErrorClass
from models.delivery import ProviderAccount
from models.notice import Notice
from models.person import Person
from models.queries import notices, people, permits, provider_accounts
from models.queries.alerts import raise_alert
from models.queries.deliveries import Claim, Claimed, Result
from models.queries.distributions import Gate
from models.queries.notices import Addressed

#: What is wrong with an account is no fault of the notice: within its budget it is tried again so often.
MENDING = timedelta(minutes=5)

#: Whose names are the keys of notices: their ids are the same wherever and whenever they are made.
_NAMESPACE = UUID("4e0a4c7e-2f5b-4a67-9d0b-6d1c3f0e9a52")
#: No program is to answer the letter of a program: RFC 3834.
_HEADERS = {"Auto-Submitted": "auto-generated"}

_REMEDY: Mapping[ErrorClass | None, str] = {
    ErrorClass.BAD_RECIPIENT: "correct her address",
    ErrorClass.UNSUBSCRIBED: "she has to allow messages of this sender again",
    ErrorClass.CONTENT: "the provider takes no such text: see `notice_template` of the account",
    ErrorClass.CONFIG: "mend the account and apply it again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToSay:
    """What a person is to be told, once: `key` says what.

    The subject is also the whole of a text message. Without a `link` the notice leads to the run that holds the
    question at the moment when it leaves.
    """

    key: str
    person: Person
    kind: NoticeKind
    theme_key: str
    task_id: int | None
    subject: str
    text: str
    link: str | None = None


def enqueue(
    session: Session,
    *,
    key: str,
    person: Person,
    kind: NoticeKind,
    theme_key: str,
    task_id: int | None,
    subject: str,
    text: str,
    link: str | None = None,
    now: datetime,
) -> int:
    """One of `enqueue_all`."""
    one = ToSay(
        key=key,
        person=person,
        kind=kind,
        theme_key=theme_key,
        task_id=task_id,
        subject=subject,
        text=text,
        link=link,
    )
    return enqueue_all(session, [one], now=now)


def enqueue_all(session: Session, to_say: Sequence[ToSay], *, now: datetime) -> int:
    """Have people told something, on each of their channels that an account serves; returns how many messages are new.

    What still waits to ask somebody the same is cancelled. Somebody who cannot be reached raises an alert.

    Raises:
        DeliveryThemeUnknown
    """
    accounts = notices.serving_accounts(session, {one.theme_key for one in to_say})
    rows, unreachable = [], {}
    for one in to_say:
        if one.theme_key not in accounts:
            raise DeliveryThemeUnknown(one.theme_key)
        found = list(_rows(one, accounts[one.theme_key], now))
        rows += found
        if not found:
            unreachable[one.person.id] = one
    for one in unreachable.values():
        _alert_unreachable(session, one.person, one.theme_key, now)
    added = notices.add_missing(session, rows)
    if added:
        notices.cancel_older(session, than=added, now=now)
    return len(added)


def listed(
    session: Session, *, theme_key: str | None = None, login: str | None = None, limit: int = 100
) -> Sequence[dict[str, Any]]:
    """Notices as a person of ops reads them, the newest first."""
    return [
        {
            "created_at": notice.created_at,
            "to": of,
            "channel": notice.channel.value,
            "kind": notice.kind.value,
            "theme": notice.theme_key,
            "subject": notice.subject,
            "state": notice.state.value,
            "tries": notice.tries,
            "sent_at": notice.sent_at,
            "due_at": notice.due_at,
            "reason": _reason(notice),
        }
        for notice, of in notices.listed(session, theme_key=theme_key, login=login, limit=limit)
    ]


def sweep_notices(session: Session, *, now: datetime) -> None:
    """Cancel what nobody needs to be told any more, and take back what dead senders held."""
    for notice in notices.reap_expired_leases(session, now=now):
        _alert(session, notice, now)
    notices.cancel_pointless(session, now)


def alert_unusable(session: Session, *, account: ProviderAccount, problem: str, now: datetime) -> None:
    """An account whose settings or secrets cannot be used keeps its notices waiting."""
    raise_alert(
        session,
        key=f"notice:account:{account.key}",
        subject="notices wait for an account",
        text=f"no notice leaves over account {account.key}: {problem}. Apply the account again.",
        now=now,
        theme_key=None,
    )


class _Held(NamedTuple):
    id: UUID
    replay: bool


class NoticeLedger:
    """The notices of one account, as one sender (`owner`) sees them; what `channels.sender.Sender` asks of a ledger.

    A notice is not a campaign: what becomes of one neither pauses the account that campaigns use, nor suppresses an
    address. It raises an alert.
    """

    def __init__(
        self,
        *,
        database: Transactions,
        account_id: int,
        owner: UUID,
        lease: timedelta,
        retry_budget: timedelta,
        template: NoticeTemplate | None,
        ui_url: str | None,
    ) -> None:
        self._database, self._account_id, self._owner = database, account_id, owner
        self._lease, self._retry_budget = lease, retry_budget
        self._template, self._ui_url = template, ui_url
        self._contents: dict[UUID, Content] = {}
        self._held: dict[int, _Held] = {}  # by numbers that only this sender gives them
        self.states: Counter[DeliveryState] = Counter()  # what was written down

    def content(self, recipient: Mapping[str, Any]) -> Content:
        """What a claimed notice says."""
        return self._contents[recipient["delivery_id"]]

    def enter(self, now: datetime) -> None:
        with self._database.begin() as session:
            late = notices.give_up_after_budget(
                session, account_id=self._account_id, budget=self._retry_budget, now=now
            )
            for notice in late:
                _alert(session, notice, now)
            states = Counter(notice.state for notice in late)
        self.states.update(states)

    def gate(self, now: datetime) -> Gate:
        with self._database.begin() as session:
            return notices.gate(session, account_id=self._account_id, now=now)

    def claim(self, *, limit: int, replays_of: Sequence[int], now: datetime) -> Claim:
        rows: list[Claimed] = []
        for replays in (True, False) if replays_of else (False,):
            if len(rows) < limit:
                rows += self._claim(limit - len(rows), replays=replays, now=now)
        return Claim(rows, {})

    def permits(self, *, account_id: int, wanted: int, now: datetime) -> Permits:
        with self._database.begin() as session:
            return permits.take(session, account_id=account_id, wanted=wanted, now=now)

    def begin(
        self,
        *,
        account_id: int,  # noqa: ARG002 - a notice has one account
        seqs: Sequence[int],
        keys: Sequence[str | None] | None,
        now: datetime,
    ) -> Collection[int]:
        ids = [self._held[seq].id for seq in seqs]
        with self._database.begin() as session:
            begun = notices.begin_calls(
                session, account_id=self._account_id, owner=self._owner, ids=ids, keys=keys, now=now
            )
        return {seq for seq in seqs if self._held[seq].id in begun}

    def record(self, *, results: Sequence[Result], effects: Mapping[int, Effects], now: datetime) -> int:
        patient = {self._held[result.seq].id: _patient(result, now) for result in results}
        with self._database.begin() as session:
            moved = notices.record_outcomes(session, owner=self._owner, result_of=patient, now=now)
            states = Counter(notice.state for notice in moved)
            for notice in moved:
                _alert(session, notice, now)
            for account_id, effect in effects.items():
                _apply(session, account_id, effect)
        self.states.update(states)
        return len(moved)

    def count_calls(self, *, counts: Mapping[int, CallCounts], now: datetime) -> None:
        with self._database.begin() as session:
            note_calls(session, counts, now=now)

    def beat(self, now: datetime) -> bool:
        with self._database.begin() as session:
            notices.extend_leases(session, owner=self._owner, until=now + self._lease)
        return True

    def release(self, seqs: Sequence[int], now: datetime) -> None:
        rows = [self._held[seq] for seq in seqs]
        with self._database.begin() as session:
            notices.release(session, owner=self._owner, rows=rows, now=now)

    def leave(self, now: datetime) -> None:
        """Each notice has a lease of its own: a sender that holds none is gone."""

    def _claim(self, limit: int, *, replays: bool, now: datetime) -> list[Claimed]:
        with self._database.begin() as session:
            found = notices.claim(
                session,
                account_id=self._account_id,
                owner=self._owner,
                limit=limit,
                lease=self._lease,
                replays=replays,
                now=now,
            )
            self._contents |= {one.notice.id: content_of(one, self._template, self._ui_url) for one in found}
            first = len(self._held)
            rows = [_claimed(one, seq=first + nth, replays=replays) for nth, one in enumerate(found)]
        self._held |= {row.seq: _Held(row.id, replays) for row in rows}
        return rows

    def expire(self, gate: Gate, now: datetime) -> None:
        """A notice has no end of its own: it is cancelled once its question is settled."""

    def next_due(self, now: datetime) -> datetime | None:  # noqa: ARG002 - part of what a sender asks
        with self._database.begin() as session:
            return notices.next_due(session, account_id=self._account_id)


def _rows(one: ToSay, accounts: Mapping[Channel, int], now: datetime) -> Iterator[dict[str, Any]]:
    addresses = {Channel.EMAIL: one.person.email, Channel.SMS: one.person.phone}
    for channel in NOTICE_CHANNELS:
        if channel in accounts and addresses[channel]:
            key = f"{one.key}:{channel}"
            yield {
                "id": uuid5(_NAMESPACE, key),
                "key": key,
                "person_id": one.person.id,
                "account_id": accounts[channel],
                "channel": channel,
                "address": addresses[channel],
                "kind": one.kind,
                "theme_key": one.theme_key,
                "task_id": one.task_id,
                "subject": one.subject,
                "text": one.text,
                "link": one.link,
                "state": DeliveryState.PLANNED,
                "due_at": now,
                "created_at": now,
                "changed_at": now,
            }


def _apply(session: Session, account_id: int, effects: Effects) -> None:
    if effects.recovered_since is not None:
        provider_accounts.recovered(session, account_id=account_id, began_at=effects.recovered_since)
    if effects.wait is not None:
        began_at, until = effects.wait
        provider_accounts.back_off(session, account_id=account_id, began_at=began_at, until=until)


def _claimed(one: Addressed, *, seq: int, replays: bool) -> Claimed:
    notice, person, _ = one
    return Claimed(
        seq=seq,
        id=notice.id,
        address=notice.address,
        tries=notice.tries,
        first_tried_at=notice.first_tried_at,
        key=notice.call_key if replays else None,
        account_id=notice.account_id,
        external_id=person.login,
        name=person.name,
        country="",
        language=person.locale,
        timezone="",
    )


def content_of(one: Addressed, template: NoticeTemplate | None, ui_url: str | None) -> Content:
    notice, person, flow_run_id = one
    link = notice.link or run_link(ui_url, flow_run_id)
    if notice.channel is Channel.EMAIL:
        text = letter(notice.text, kind=notice.kind, link=link, ui_url=ui_url, login=person.login, locale=person.locale)
        return EmailContent(subject=notice.subject, text=text, headers=_HEADERS)
    if template is None:
        return SmsContent(text=short(notice.subject, link=link))
    facts = {
        NoticeVariable.NAME: person.name,
        NoticeVariable.THEME: notice.theme_key,
        NoticeVariable.SUBJECT: notice.subject,
        NoticeVariable.TEXT: notice.text,
        NoticeVariable.LINK: link or "",
    }
    return SmsContent(template=template.template, params={name: facts[of] for name, of in template.variables.items()})


def _patient(result: Result, now: datetime) -> Result:
    if result.state is DeliveryState.FAILED and result.error_class is ErrorClass.CONFIG:
        return result._replace(state=DeliveryState.RETRYING, due_at=now + MENDING)
    return result


def _alert_unreachable(session: Session, person: Person, theme_key: str, now: datetime) -> None:
    raise_alert(
        session,
        key=f"notice:unreachable:{person.login}",
        subject="person cannot be reminded",
        text=(
            f"{person.login} cannot be reminded of what waits for her (first seen for theme {theme_key}): she has "
            f"{_has(person)}, and a notice needs one of these with an account of the theme's product line that has "
            "`notices: true`. Give her an address, or apply such an account."
        ),
        now=now,
        theme_key=theme_key,
    )


def _has(person: Person) -> str:
    mail = "an e-mail address" if person.email else "no e-mail address"
    return f"{mail} and {'a' if person.phone else 'no'} phone number"


def _alert(session: Session, notice: Notice, now: datetime) -> None:
    """Of what did not arrive, or may not have; once a person, channel and kind of failure."""
    if notice.state not in {DeliveryState.FAILED, DeliveryState.UNKNOWN}:
        return
    person = people.person_by_id(session, notice.person_id)
    missed = "did not get" if notice.state is DeliveryState.FAILED else "may not have got"
    raise_alert(
        session,
        key=f"notice:{notice.state}:{person.login}:{notice.channel}:{notice.error_class}",
        subject="notice not delivered" if notice.state is DeliveryState.FAILED else "notice in doubt",
        text=(
            f"{person.login} {missed} the {notice.kind} “{notice.subject}” by {notice.channel}: {_reason(notice)}. "
            f"It is not sent again by itself; {_REMEDY.get(notice.error_class, 'tell her another way')}."
        ),
        now=now,
        theme_key=notice.theme_key,
    )


def _reason(notice: Notice) -> str:
    return " ".join(filter(None, [notice.error_class, notice.error_code, notice.error_detail]))
