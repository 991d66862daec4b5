"""Distributions: which there are, whether they may send, how far they are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.engine import KEY_VALIDITY
from channels.states import CLAIMABLE_STATES, Channel, DeliveryState, Purpose
from models.delivery import ActiveSender, Delivery, Distribution, DistributionState, ProviderAccount, Walk
from models.queries import provider_accounts, tallies
from models.theme import Step, Theme
from themes.lifecycle import ThemeState
from themes.revocation import TAKEN_DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountGate:
    """Whether calls may leave over an account."""

    account_id: int
    key: str
    weight: int  # its share beside the other accounts of its pool; 0: only while no other is open
    closed_because: str | None
    waits_until: datetime | None  # it backs off
    refused_in_row: int
    limited: bool  # calls need a permit

    @property
    def open(self) -> bool:
        return self.closed_because is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether calls of a distribution may leave, and over which accounts."""

    theme_id: int
    barred_because: str | None  # by theme or distribution, whatever the account
    ended: bool  # the theme or an offer of it is over: what is left expires
    accounts: Sequence[AccountGate]

    @property
    def closed_because(self) -> str | None:
        """None: calls may leave."""
        if self.barred_because is not None or any(account.open for account in self.accounts):
            return self.barred_because
        return "; ".join(filter(None, (account.closed_because for account in self.accounts))) or "no account serves it"


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


def themes_of(session: Session, distribution_ids: Collection[int]) -> frozenset[int]:
    query = select(Distribution.theme_id).where(Distribution.id.in_(distribution_ids))
    return frozenset(session.scalars(query.distinct())) if distribution_ids else frozenset()


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
    expires_at: datetime | None = None,
    purpose: Purpose = Purpose.THEME,
) -> Distribution:
    """The distribution, opened where there is none, and opened anew where a recall had given it back."""
    values = {"theme_id": theme_id, "revision_id": revision_id, "channel": channel, "purpose": purpose}
    anew = {
        "account_id": account_id,
        "state": DistributionState.PLANNING,
        "segment_as_of": segment_as_of,
        "expires_at": expires_at,
    }
    again = {**anew, "planned_at": None, "completed_at": None, "stopped_because": None}
    session.execute(
        insert(Distribution)
        .values(**values, **anew)
        .on_conflict_do_update(
            index_elements=[getattr(Distribution, name) for name in values],
            set_=again,
            # A channel that a person cancelled stays so, whoever starts the launch again.
            where=(Distribution.state == DistributionState.CANCELLED) & Distribution.stopped_because.is_(None),
        )
    )
    opened = session.scalars(
        select(Distribution).filter_by(**values), execution_options={"populate_existing": True}
    ).one()
    session.execute(insert(Walk).values(distribution_id=opened.id).on_conflict_do_nothing())
    return opened


def gate(session: Session, *, distribution_id: int, now: datetime, once_taken_up: bool = False) -> Gate:
    """`once_taken_up` tells what will hold for a complete distribution when a retry has opened it again.

    Raises NoResultFound when there is no such distribution.
    """
    statement = (
        select(Distribution, Theme)
        .join(Theme, Theme.id == Distribution.theme_id)
        .where(Distribution.id == distribution_id)
        .execution_options(populate_existing=True)
    )
    distribution, theme = session.execute(statement).one()
    accounts = provider_accounts.serving(session, distribution_id=distribution_id)
    return Gate(
        theme_id=theme.id,
        barred_because=_theme_bars(distribution, theme, now) or _state_bars(distribution, once_taken_up),
        ended=distribution.purpose is Purpose.THEME and _ends_at(distribution, theme) <= now,
        accounts=[account_gate(account, now) for account in accounts],
    )


def _ends_at(distribution: Distribution, theme: Theme) -> datetime:
    return min(theme.ends_at, distribution.expires_at or theme.ends_at)


def _theme_bars(distribution: Distribution, theme: Theme, now: datetime) -> str | None:
    correction = distribution.purpose is Purpose.CORRECTION
    if theme.state not in (TAKEN_DOWN if correction else {ThemeState.LIVE}):
        return f"the theme is {theme.state}"
    if theme.revision_id != distribution.revision_id:
        return "the theme is live on another revision"
    if theme.ends_at <= now and not correction:
        return "the theme has ended"
    if _ends_at(distribution, theme) <= now and not correction:
        return "an offer of the theme has ended"
    return None


def _state_bars(distribution: Distribution, once_taken_up: bool) -> str | None:  # noqa: FBT001 - handed on
    if distribution.state is DistributionState.SENDING:
        return None
    if once_taken_up and distribution.state is DistributionState.COMPLETE:
        return None
    why = f": {distribution.stopped_because}" if distribution.stopped_because else ""
    return f"the distribution is {distribution.state}{why}"


def account_gate(account: ProviderAccount, now: datetime) -> AccountGate:
    backing_off = account.backing_off_until is not None and account.backing_off_until > now
    return AccountGate(
        account_id=account.id,
        key=account.key,
        weight=account.weight,
        closed_because=_account_closed_because(account, now),
        waits_until=account.backing_off_until if backing_off else None,
        refused_in_row=account.refused_in_row,
        limited=bool(account.windows),
    )


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


def next_due(session: Session, *, distribution_id: int, now: datetime) -> datetime | None:
    """When a sender next finds work here: a fresh or a due row, a replay, or the rows of a sender that may be dead."""
    accounts = provider_accounts.serving(session, distribution_id=distribution_id)
    rests = [account.backing_off_until or now for account in accounts if account.paused_because is None]
    open_at = min(rests or [account.backing_off_until or now for account in accounts], default=now)
    own = Delivery.distribution_id == distribution_id
    waiting = Delivery.state.in_([DeliveryState.RETRYING, DeliveryState.HELD])
    held = select(func.min(ActiveSender.alive_until)).where(ActiveSender.distribution_id == distribution_id)
    fresh = tallies.of(session, distribution_id, DeliveryState.PLANNED)
    due = [
        now if fresh else None,
        session.scalar(select(func.min(Delivery.due_at)).where(own, Delivery.due_at.is_not(None), waiting)),
        session.scalar(held),
    ]
    found = [max(at, open_at) for at in due if at is not None]
    # A call in doubt is replayed by the account that made it, and by no other.
    for account in accounts:
        if account.paused_because is None:
            its = select(func.min(Delivery.due_at)).where(own, _replayable(now), Delivery.account_id == account.id)
            at = session.scalar(its)
            found += [] if at is None else [max(at, account.backing_off_until or at)]
    return min(found, default=None)


def _replayable(now: datetime) -> ColumnElement[bool]:
    return and_(
        Delivery.state == DeliveryState.UNKNOWN,
        Delivery.key.is_not(None),
        Delivery.due_at.is_not(None),
        Delivery.call_began_at > now - KEY_VALIDITY,
    )


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
    """Whether a sender is at work on the distribution: one that is gone is not alive for long."""
    alive = (ActiveSender.distribution_id == distribution_id) & (ActiveSender.alive_until > now)
    return session.scalar(select(literal(1)).where(alive).limit(1)) is not None


def reopen_waiting(session: Session) -> Sequence[int]:
    """Let complete distributions go on that something waits in again; returns their ids.

    An answer that came late may have taken a delivery out of doubt, to be tried again.
    """
    themes_at_work = select(Theme.id).where(Theme.state.in_([ThemeState.LIVE, ThemeState.PAUSED, *TAKEN_DOWN]))
    statement = (
        update(Distribution)
        .where(
            Distribution.state == DistributionState.COMPLETE,
            Distribution.theme_id.in_(themes_at_work),
            tallies.any_in(CLAIMABLE_STATES),
        )
        .values(state=DistributionState.SENDING, completed_at=None)
        .returning(Distribution.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).all()


def complete_settled(session: Session, *, now: datetime, distribution_id: int | None = None) -> Sequence[int]:
    """Complete the distributions whose every row is final or in the hands of a person; returns their ids."""
    replays = select(literal(1)).where(Delivery.distribution_id == Distribution.id, _replayable(now))
    done = [
        Distribution.state == DistributionState.SENDING,
        ~tallies.any_in([*CLAIMABLE_STATES, DeliveryState.SENDING]),
        ~replays.correlate(Distribution).exists(),
    ]
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
