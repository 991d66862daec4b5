"""Distributions: which there are, whether they may send, how far they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, case, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.engine import KEY_VALIDITY
from channels.states import CLAIMABLE_STATES, Channel, DeliveryState, ErrorClass, Purpose
from models.delivery import Delivery, Distribution, DistributionState, ProviderAccount
from models.theme import Step, Theme
from themes.lifecycle import ThemeState
from themes.revocation import TAKEN_DOWN


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
    """The distribution, held against other planners and changes of state until the transaction ends.

    The theme is read once the lock is there: whoever waited for it must not see the theme as it was before.
    """
    locked = select(Distribution).where(Distribution.id == distribution_id).with_for_update(key_share=True)
    fresh = {"populate_existing": True}
    distribution = session.scalar(locked, execution_options=fresh)
    if distribution is None:
        return None
    of_it = select(Theme).where(Theme.id == distribution.theme_id)
    return distribution, session.scalars(of_it, execution_options=fresh).one()


def of_theme(session: Session, theme_id: int, *, purpose: Purpose = Purpose.THEME) -> Sequence[Distribution]:
    wanted = (Distribution.theme_id == theme_id) & (Distribution.purpose == purpose)
    return session.scalars(select(Distribution).where(wanted).order_by(Distribution.id)).all()


def lock_of_theme(session: Session, theme_id: int) -> Sequence[Distribution]:
    """The theme's own distributions, held: whoever plans one has ended or waits."""
    wanted = (Distribution.theme_id == theme_id) & (Distribution.purpose == Purpose.THEME)
    locked = select(Distribution).where(wanted).order_by(Distribution.id).with_for_update(key_share=True)
    return session.scalars(locked, execution_options={"populate_existing": True}).all()


def theme_by_key(session: Session, key: str) -> Theme | None:
    return session.scalar(select(Theme).where(Theme.key == key))


def open_if_missing(
    session: Session,
    *,
    theme_id: int,
    revision_id: int,
    channel: Channel,
    account_id: int,
    segment_as_of: datetime,
    purpose: Purpose = Purpose.THEME,
) -> Distribution:
    """The distribution, opened where there is none, and opened anew where a recall had given it back."""
    values = {"theme_id": theme_id, "revision_id": revision_id, "channel": channel, "purpose": purpose}
    anew = {"account_id": account_id, "state": DistributionState.PLANNING, "segment_as_of": segment_as_of}
    again = {**anew, "planned_at": None, "completed_at": None, "stopped_because": None}
    session.execute(
        insert(Distribution)
        .values(**values, **anew)
        .on_conflict_do_update(
            index_elements=[getattr(Distribution, name) for name in values],
            set_=again,
            where=Distribution.state == DistributionState.CANCELLED,
        )
    )
    return session.scalars(
        select(Distribution).filter_by(**values), execution_options={"populate_existing": True}
    ).one()


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
        ended=distribution.purpose is Purpose.THEME and theme.ends_at <= now,
        waits_until=account.backing_off_until if backing_off else None,
        refused_in_row=account.refused_in_row,
    )


def _closed_because(distribution: Distribution, theme: Theme, account: ProviderAccount, now: datetime) -> str | None:
    correction = distribution.purpose is Purpose.CORRECTION
    if theme.state not in (TAKEN_DOWN if correction else {ThemeState.LIVE}):
        return f"the theme is {theme.state}"
    if theme.revision_id != distribution.revision_id:
        return "the theme is live on another revision"
    if theme.ends_at <= now and not correction:
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


def corrections_under_way(session: Session) -> Sequence[tuple[Distribution, Theme]]:
    """Corrections that are to be sent, or whose end is not in the timeline yet, with their themes."""
    step = and_(Step.theme_id == Distribution.theme_id, Step.name == literal("correct · ").concat(Distribution.channel))
    query = (
        select(Distribution, Theme)
        .join(Theme, Theme.id == Distribution.theme_id)
        .outerjoin(Step, step)
        .where(
            Distribution.purpose == Purpose.CORRECTION,
            or_(Distribution.state == DistributionState.SENDING, Step.id.is_not(None) & Step.finished_at.is_(None)),
        )
    )
    return [(row[0], row[1]) for row in session.execute(query.order_by(Distribution.id))]


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
    done = [Distribution.state == DistributionState.SENDING, ~unsettled.correlate(Distribution).exists()]
    if distribution_id is not None:
        done.append(Distribution.id == distribution_id)
    # What somebody plans or undoes this moment is passed over: whoever looks next finds it.
    picked = select(Distribution.id).where(*done).with_for_update(skip_locked=True, key_share=True).cte("picked")
    statement = (
        update(Distribution)
        .where(Distribution.id == picked.c.id)
        .values(state=DistributionState.COMPLETE, completed_at=now)
        .returning(Distribution.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).all()
