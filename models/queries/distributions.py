"""Distributions: which there are, whether they may send, how far they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.engine import KEY_VALIDITY
from channels.states import CLAIMABLE_STATES, Channel, DeliveryState, ErrorClass
from models.delivery import Delivery, Distribution, DistributionState, ProviderAccount
from models.theme import Theme
from themes.lifecycle import ThemeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether calls of a distribution may leave, and what their outcomes are written with."""

    distribution_id: int
    theme_id: int
    account_id: int
    channel: Channel
    closed_because: str | None  # None: calls may leave
    ended: bool  # the theme's end has passed: what is left expires
    waits_until: datetime | None  # the account backs off
    refused_in_row: int


def by_id(session: Session, distribution_id: int) -> Distribution | None:
    return session.get(Distribution, distribution_id)


def lock(session: Session, distribution_id: int) -> tuple[Distribution, Theme] | None:
    """The distribution, held against other planners and changes of state until the transaction ends."""
    statement = (
        select(Distribution, Theme)
        .join(Theme, Theme.id == Distribution.theme_id)
        .where(Distribution.id == distribution_id)
        .with_for_update(of=Distribution, key_share=True)
        .execution_options(populate_existing=True)
    )
    row = session.execute(statement).one_or_none()
    return None if row is None else (row[0], row[1])


def of_theme(session: Session, theme_id: int) -> Sequence[Distribution]:
    return session.scalars(
        select(Distribution).where(Distribution.theme_id == theme_id).order_by(Distribution.id)
    ).all()


def theme_by_key(session: Session, key: str) -> Theme | None:
    return session.scalar(select(Theme).where(Theme.key == key))


def open_if_missing(
    session: Session, *, theme_id: int, revision_id: int, channel: Channel, account_id: int, segment_as_of: datetime
) -> Distribution:
    values = {"theme_id": theme_id, "revision_id": revision_id, "channel": channel}
    session.execute(
        insert(Distribution)
        .values(**values, account_id=account_id, state=DistributionState.PLANNING, segment_as_of=segment_as_of)
        .on_conflict_do_nothing()
    )
    return session.scalars(select(Distribution).filter_by(**values)).one()


def gate(session: Session, *, distribution_id: int, now: datetime) -> Gate:
    """Read in one statement; raises NoResultFound when there is no such distribution."""
    statement = (
        select(Distribution, Theme, ProviderAccount)
        .join(Theme, Theme.id == Distribution.theme_id)
        .join(ProviderAccount, ProviderAccount.id == Distribution.account_id)
        .where(Distribution.id == distribution_id)
        .execution_options(populate_existing=True)
    )
    distribution, theme, account = session.execute(statement).one()
    backing_off = account.backing_off_until is not None and account.backing_off_until > now
    return Gate(
        distribution_id=distribution.id,
        theme_id=theme.id,
        account_id=account.id,
        channel=distribution.channel,
        closed_because=_closed_because(distribution, theme, account, now),
        ended=theme.ends_at <= now,
        waits_until=account.backing_off_until if backing_off else None,
        refused_in_row=account.refused_in_row,
    )


def _closed_because(distribution: Distribution, theme: Theme, account: ProviderAccount, now: datetime) -> str | None:
    if theme.state is not ThemeState.LIVE:
        return f"the theme is {theme.state}"
    if theme.revision_id != distribution.revision_id:
        return "the theme is live on another revision"
    if theme.ends_at <= now:
        return "the theme has ended"
    if distribution.state is not DistributionState.SENDING:
        why = f": {distribution.stopped_because}" if distribution.stopped_because else ""
        return f"the distribution is {distribution.state}{why}"
    return _account_closed_because(account, now)


def _account_closed_because(account: ProviderAccount, now: datetime) -> str | None:
    if account.paused_because is not None:
        return f"the account {account.key} is paused: {account.paused_because}"
    if account.backing_off_until is not None and account.backing_off_until > now:
        return f"the account {account.key} backs off until {account.backing_off_until.isoformat(timespec='seconds')}"
    return None


def stop(session: Session, *, distribution_id: int, because: str) -> None:
    session.execute(
        update(Distribution)
        .where(Distribution.id == distribution_id, Distribution.state == DistributionState.SENDING)
        .values(state=DistributionState.STOPPED, stopped_because=because)
    )


def count_states(session: Session, distribution_id: int) -> dict[DeliveryState, int]:
    counted = (
        select(Delivery.state, func.count()).where(Delivery.distribution_id == distribution_id).group_by(Delivery.state)
    )
    return {row[0]: row[1] for row in session.execute(counted)}


def count_failures(session: Session, distribution_id: int) -> dict[ErrorClass, int]:
    counted = (
        select(Delivery.error_class, func.count())
        .where(Delivery.distribution_id == distribution_id, Delivery.state == DeliveryState.FAILED)
        .group_by(Delivery.error_class)
        .order_by(Delivery.error_class)
    )
    return {error: count for error, count in session.execute(counted) if error is not None}


def next_due(session: Session, *, distribution_id: int, now: datetime) -> datetime | None:
    """When a sender next finds work here: a due row, a replay, or the lease of another sender that may run out."""
    replayable = (
        (Delivery.state == DeliveryState.UNKNOWN)
        & Delivery.key.is_not(None)
        & (Delivery.call_began_at > now - KEY_VALIDITY)
    )
    sending = Delivery.state == DeliveryState.SENDING
    statement = select(func.min(case((sending, Delivery.lease_until), else_=Delivery.due_at))).where(
        Delivery.distribution_id == distribution_id, or_(Delivery.state.in_(CLAIMABLE_STATES), sending, replayable)
    )
    waits_until = (
        select(ProviderAccount.backing_off_until)
        .join(Distribution, Distribution.account_id == ProviderAccount.id)
        .where(Distribution.id == distribution_id)
    )
    due = session.scalar(statement)
    return None if due is None else max(filter(None, [due, session.scalar(waits_until)]))


def is_being_sent(session: Session, *, distribution_id: int, now: datetime) -> bool:
    """Whether a sender holds rows of the distribution: one that is gone lets its leases run out."""
    held = (Delivery.state == DeliveryState.SENDING) & (Delivery.lease_until > now)
    query = select(literal(1)).where(Delivery.distribution_id == distribution_id, held).limit(1)
    return session.scalar(query) is not None


def complete_settled(session: Session, *, now: datetime, distribution_id: int | None = None) -> Sequence[int]:
    """Complete the distributions whose every row is final or in the hands of a person; returns their ids."""
    unsettled = select(literal(1)).where(
        Delivery.distribution_id == Distribution.id,
        or_(
            Delivery.state.in_([*CLAIMABLE_STATES, DeliveryState.SENDING]),
            (Delivery.state == DeliveryState.UNKNOWN)
            & Delivery.key.is_not(None)
            & (Delivery.call_began_at > now - KEY_VALIDITY),
        ),
    )
    statement = (
        update(Distribution)
        .where(Distribution.state == DistributionState.SENDING, ~unsettled.correlate(Distribution).exists())
        .values(state=DistributionState.COMPLETE, completed_at=now)
        .returning(Distribution.id)
        .execution_options(synchronize_session=False)
    )
    if distribution_id is not None:
        statement = statement.where(Distribution.id == distribution_id)
    return session.scalars(statement).all()
