"""Notices: put in once, claimed by any number of senders, settled by one. They are few: a row at a time will do."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from approval.notices import ASKS_FOR_AN_ANSWER
from approval.states import TaskState
from channels.engine import KEY_VALIDITY
from channels.states import Channel, DeliveryState, ErrorClass
from models.approval import Task
from models.delivery import ProviderAccount
from models.notice import Notice
from models.person import Person
from models.product_line import ProductLine
from models.queries.deliveries import Result
from models.queries.distributions import Gate, account_gate
from models.theme import Theme

#: The key of an account's settings that makes it serve notices.
SERVES = "notices"

#: The question's run is made within seconds; for so long a notice waits for it, to link there.
RUN_PATIENCE = timedelta(minutes=2)

_WAITING = (DeliveryState.PLANNED, DeliveryState.RETRYING)


class Addressed(NamedTuple):
    """A notice with its person, and the run that holds the question now."""

    notice: Notice
    person: Person
    flow_run_id: UUID | None


def serving_account(session: Session, *, product_line_id: int, channel: Channel) -> ProviderAccount | None:
    return session.scalar(
        select(ProviderAccount).where(
            ProviderAccount.product_line_id == product_line_id,
            ProviderAccount.channel == channel,
            ProviderAccount.settings.has_key(SERVES),
        )
    )


def hold_product_line(session: Session, product_line_id: int) -> None:
    """Whoever else chooses the accounts that serve notices of this product line waits."""
    session.execute(select(ProductLine.id).where(ProductLine.id == product_line_id).with_for_update(key_share=True))


def serving_accounts(session: Session, theme_keys: Collection[str]) -> Mapping[str, Mapping[Channel, int]]:
    """Theme -> channel -> the account that serves it; every theme that there is has an entry."""
    serves = (ProviderAccount.product_line_id == Theme.product_line_id) & ProviderAccount.settings.has_key(SERVES)
    query = select(Theme.key, ProviderAccount.channel, ProviderAccount.id).outerjoin(ProviderAccount, serves)
    found: dict[str, dict[Channel, int]] = {}
    for theme_key, channel, account_id in session.execute(query.where(Theme.key.in_(theme_keys))):
        serving = found.setdefault(theme_key, {})
        if channel is not None:
            serving[channel] = account_id
    return found


def add_missing(session: Session, rows: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Add those whose key is not there yet; returns their keys."""
    if not rows:
        return []
    statement = insert(Notice).on_conflict_do_nothing(index_elements=[Notice.key]).returning(Notice.key)
    return session.scalars(statement, rows).all()


def cancel_older(session: Session, *, than: Sequence[str], now: datetime) -> None:
    """What still waits to ask a person the same on the same channel is said by these newer notices."""
    newer = aliased(Notice)
    same = (newer.task_id == Notice.task_id) & (newer.person_id == Notice.person_id) & (newer.channel == Notice.channel)
    older = select(Notice.id).where(
        Notice.state.in_(_WAITING),
        Notice.kind.in_(ASKS_FOR_AN_ANSWER),
        Notice.key.not_in(than),
        exists().where(newer.key.in_(than), same),
    )
    _cancel(session, older, "a newer notice says it", now)


def cancel_pointless(session: Session, now: datetime) -> int:
    """Cancel what still waits to ask for an answer that nobody needs any more; returns how many."""
    return _cancel(session, _waiting().where(_pointless()), "no answer is needed any more", now)


def _waiting() -> Select[tuple[UUID]]:
    query = select(Notice.id).join(Person, Person.id == Notice.person_id).outerjoin(Task, Task.id == Notice.task_id)
    return query.where(Notice.state.in_(_WAITING))


def _pointless() -> ColumnElement[bool]:
    settled = Notice.kind.in_(ASKS_FOR_AN_ANSWER) & (Task.state != TaskState.OPEN)
    return func.coalesce(settled, false()) | Person.disabled_at.is_not(None)


def _cancel(session: Session, query: Select[tuple[UUID]], why: str, now: datetime) -> int:
    ids = session.scalars(query.with_for_update(of=Notice, skip_locked=True)).all()
    if ids:
        values = {"state": DeliveryState.CANCELLED, "error_detail": why, "changed_at": now}
        session.execute(update(Notice).where(Notice.id.in_(ids)).values(**values))
    return len(ids)


def accounts_with_due(session: Session, now: datetime) -> Sequence[ProviderAccount]:
    """Accounts with something to say, even where they may not be called just now; who waits longest first."""
    due = (
        select(Notice.account_id, func.min(Notice.due_at).label("since"))
        .join(Person, Person.id == Notice.person_id)
        .outerjoin(Task, Task.id == Notice.task_id)
        .where(or_(_fresh(now), _replayable(now)))
        .group_by(Notice.account_id)
        .subquery()
    )
    query = select(ProviderAccount).join(due, due.c.account_id == ProviderAccount.id)
    return session.scalars(query.order_by(due.c.since)).all()


def gate(session: Session, *, account_id: int, now: datetime) -> Gate:
    """Whether calls of an account may leave; the distribution and theme of it are none."""
    account = session.get_one(ProviderAccount, account_id, populate_existing=True)
    return Gate(theme_id=0, barred_because=None, ended=False, accounts=[account_gate(account, now)])


def claim(
    session: Session, *, account_id: int, owner: UUID, limit: int, lease: timedelta, replays: bool, now: datetime
) -> Sequence[Addressed]:
    """Lease due notices of an account that may be called; those that others hold are passed over."""
    query = (
        select(Notice, Person, Task.flow_run_id)
        .join(ProviderAccount, ProviderAccount.id == Notice.account_id)
        .join(Person, Person.id == Notice.person_id)
        .outerjoin(Task, Task.id == Notice.task_id)
        .where(Notice.account_id == account_id, _open(now), _replayable(now) if replays else _fresh(now))
        .order_by(Notice.due_at, Notice.id)
        .limit(limit)
        .with_for_update(of=Notice, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    found = [Addressed(*row) for row in session.execute(query)]
    for notice, _, _ in found:
        notice.state, notice.changed_at = DeliveryState.SENDING, now
        notice.lease_owner, notice.lease_until = owner, now + lease
    return found


def _open(now: datetime) -> ColumnElement[bool]:
    rested = or_(ProviderAccount.backing_off_until.is_(None), ProviderAccount.backing_off_until <= now)
    return and_(ProviderAccount.paused_because.is_(None), rested)


def _fresh(now: datetime) -> ColumnElement[bool]:
    run_is_there = or_(
        Notice.task_id.is_(None),
        Notice.link.is_not(None),
        Notice.kind.not_in(ASKS_FOR_AN_ANSWER),
        Task.gate_ready,
        Notice.created_at <= now - RUN_PATIENCE,
    )
    return and_(Notice.state.in_(_WAITING), Notice.due_at <= now, ~_pointless(), run_is_there)


def _replayable(now: datetime) -> ColumnElement[bool]:
    return and_(
        Notice.state == DeliveryState.UNKNOWN,
        Notice.call_key.is_not(None),
        Notice.call_began_at > now - KEY_VALIDITY,
        Notice.due_at <= now,
    )


def begin_calls(
    session: Session,
    *,
    account_id: int,
    owner: UUID,
    ids: Sequence[UUID],
    keys: Sequence[str | None] | None,
    now: datetime,
) -> set[UUID]:
    """Mark durably that the calls of these leave now.

    The others lost their lease, or the account may not be called, or their question was answered since they were
    claimed. What may have been said already is replayed all the same.
    """
    if gate(session, account_id=account_id, now=now).closed_because is not None:
        return set()
    key_of = dict(zip(ids, keys or [None] * len(ids), strict=True))
    answered = (
        select(Notice.id)
        .join(Person, Person.id == Notice.person_id)
        .outerjoin(Task, Task.id == Notice.task_id)
        .where(Notice.id.in_(ids), Notice.call_key.is_(None), _pointless())
    )
    ours = (Notice.state == DeliveryState.SENDING) & (Notice.lease_until > now)
    begun = _held(session, ids, owner, ours, Notice.id.not_in(answered))
    for notice in begun:
        notice.call_began_at, notice.call_key = notice.call_began_at or now, key_of[notice.id]
    return {notice.id for notice in begun}


def record_outcomes(
    session: Session, *, owner: UUID, result_of: Mapping[UUID, Result], now: datetime
) -> Sequence[Notice]:
    """Write outcomes; returns the rows that were still ours to move.

    One that was only declared in doubt meanwhile is settled by the answer that came late after all.
    """
    moved = []
    for notice in _held(session, result_of, owner, Notice.state.in_([DeliveryState.SENDING, DeliveryState.UNKNOWN])):
        result = result_of[notice.id]
        if notice.state is DeliveryState.SENDING or result.state is not DeliveryState.UNKNOWN:
            _record(notice, result, now)
            moved.append(notice)
    return moved


def _record(notice: Notice, result: Result, now: datetime) -> None:
    in_doubt = result.state is DeliveryState.UNKNOWN
    notice.state, notice.tries, notice.changed_at = result.state, result.number, now
    notice.due_at = result.due_at or notice.due_at
    notice.first_tried_at = notice.first_tried_at or result.began_at
    notice.lease_until = None
    if not in_doubt:
        notice.lease_owner = notice.call_began_at = notice.call_key = None
    notice.error_class = ErrorClass.UNKNOWN_OUTCOME if in_doubt else result.error_class
    notice.error_code, notice.error_detail = result.code, result.detail
    notice.provider_message_id = result.provider_message_id or notice.provider_message_id
    if result.state is DeliveryState.SENT:
        notice.sent_at = now


def extend_leases(session: Session, *, owner: UUID, until: datetime) -> None:
    """Rows that another transaction of the same sender is just recording need no longer lease."""
    held = select(Notice.id).where(Notice.state == DeliveryState.SENDING, Notice.lease_owner == owner)
    ids = session.scalars(held.with_for_update(skip_locked=True)).all()
    session.execute(update(Notice).where(Notice.id.in_(ids)).values(lease_until=until))


def release(session: Session, *, owner: UUID, rows: Sequence[tuple[UUID, bool]], now: datetime) -> None:
    """Give back what never left; with each, whether it was a replay and so stays in doubt."""
    in_doubt = dict(rows)
    for notice in _held(session, in_doubt, owner, Notice.state == DeliveryState.SENDING):
        _give_back(notice, in_doubt=in_doubt[notice.id], now=now)


def reap_expired_leases(session: Session, *, now: datetime) -> Sequence[Notice]:
    """Take back what dead senders held: claimable where no call had begun, else in doubt. Returns those in doubt."""
    run_out = select(Notice).where(Notice.state == DeliveryState.SENDING, Notice.lease_until <= now)
    found = session.scalars(run_out.with_for_update(skip_locked=True)).all()
    for notice in found:
        _give_back(notice, in_doubt=notice.call_began_at is not None, now=now)
    return [notice for notice in found if notice.state is DeliveryState.UNKNOWN]


def _give_back(notice: Notice, *, in_doubt: bool, now: datetime) -> None:
    notice.lease_until, notice.changed_at = None, now
    if in_doubt:
        notice.state, notice.error_class = DeliveryState.UNKNOWN, ErrorClass.UNKNOWN_OUTCOME
        notice.error_code, notice.error_detail = "", "the sender was lost while its call was under way"
        notice.due_at = max(notice.due_at, now)
        return
    notice.state = DeliveryState.RETRYING if notice.tries else DeliveryState.PLANNED
    notice.lease_owner = notice.call_began_at = notice.call_key = None


def give_up_after_budget(session: Session, *, account_id: int, budget: timedelta, now: datetime) -> Sequence[Notice]:
    """Fail what has been tried in vain for longer than its budget."""
    late = select(Notice).where(
        Notice.account_id == account_id,
        Notice.state == DeliveryState.RETRYING,
        Notice.first_tried_at <= now - budget,
    )
    found = session.scalars(late.with_for_update(skip_locked=True)).all()
    for notice in found:
        notice.state, notice.changed_at = DeliveryState.FAILED, now
    return found


def next_due(session: Session, *, account_id: int) -> datetime | None:
    waiting = (Notice.account_id == account_id) & Notice.state.in_(_WAITING)
    return session.scalar(select(func.min(Notice.due_at)).where(waiting))


def listed(session: Session, *, theme_key: str | None, login: str | None, limit: int) -> Sequence[tuple[Notice, str]]:
    """The newest first, each with the login of its person."""
    query = select(Notice, Person.login).join(Person, Person.id == Notice.person_id)
    if theme_key is not None:
        query = query.where(Notice.theme_key == theme_key)
    if login is not None:
        query = query.where(Person.login == login)
    newest = query.order_by(Notice.created_at.desc(), Notice.key).limit(limit)
    return [(notice, of) for notice, of in session.execute(newest)]


def _held(session: Session, ids: Iterable[UUID], owner: UUID, *conditions: ColumnElement[bool]) -> Sequence[Notice]:
    """Rows that are leased to this sender, locked in one order for all."""
    query = select(Notice).where(Notice.id.in_(list(ids)), Notice.lease_owner == owner, *conditions)
    locked = query.order_by(Notice.id).with_for_update().execution_options(populate_existing=True)
    return session.scalars(locked).all()
