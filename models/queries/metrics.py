"""What is measured of the whole installation: sums that are kept anyway, and looks at the edge of an index.

Attempts are never counted: how many calls there were, and how they ended, is kept by the hour for each account.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, func, or_, select
from sqlalchemy.orm import Session

from models.account import AccountCalls
from models.approval import Alert
from models.delivery import ActiveSender, Delivery, Distribution, DistributionState, ProviderAccount, Tally
from models.queries.access_paths import by_index
from models.receipt import ReceiptRow
from models.theme import Theme
from themes.lifecycle import ThemeState

_UNDER_WAY = (DistributionState.PLANNING, DistributionState.SENDING, DistributionState.STOPPED)
_LIVE = (ThemeState.LIVE, ThemeState.PAUSED, ThemeState.REVOKING)
#: Waiting receipts are counted up to here: what ops need to know by then is that there are too many.
MOST_RECEIPTS = 10_000


def deliveries(session: Session) -> Sequence[Row[Any]]:
    """(channel, state, error class, count) of everything that is under way, or of a theme that is live."""
    total = func.sum(Tally.count)
    query = (
        select(Distribution.channel, Tally.state, Tally.error_class, total)
        .join(Distribution, Distribution.id == Tally.distribution_id)
        .join(Theme, Theme.id == Distribution.theme_id)
        .where(or_(Distribution.state.in_(_UNDER_WAY), Theme.state.in_(_LIVE)))
        .group_by(Distribution.channel, Tally.state, Tally.error_class)
        .having(total != 0)
    )
    return session.execute(query).all()


def calls(session: Session) -> Sequence[Row[Any]]:
    """(account, channel, provider, accepted, refused) since the account was added."""
    query = (
        select(
            ProviderAccount.key,
            ProviderAccount.channel,
            ProviderAccount.provider,
            func.coalesce(func.sum(AccountCalls.accepted), 0),
            func.coalesce(func.sum(AccountCalls.refused), 0),
        )
        .outerjoin(AccountCalls, AccountCalls.account_id == ProviderAccount.id)
        .group_by(ProviderAccount.id)
        .order_by(ProviderAccount.id)
    )
    return session.execute(query).all()


def senders(session: Session, *, now: datetime) -> Sequence[Row[Any]]:
    """(channel, how many are alive)."""
    alive = and_(ActiveSender.distribution_id == Distribution.id, ActiveSender.alive_until > now)
    query = select(Distribution.channel, func.count()).join(ActiveSender, alive).group_by(Distribution.channel)
    return session.execute(query).all()


def oldest_due(session: Session, *, now: datetime) -> Sequence[Row[Any]]:
    """(channel, the oldest time at which a delivery that may leave should have been tried again)."""
    first = (
        select(func.min(Delivery.due_at))
        .where(Delivery.distribution_id == Distribution.id, Delivery.due_at.is_not(None), Delivery.due_at <= now)
        .correlate(Distribution)
        .scalar_subquery()
    )
    open_ = (
        select(Distribution.channel, first.label("due_at"))
        .join(Theme, Theme.id == Distribution.theme_id)
        .where(Distribution.state == DistributionState.SENDING, Theme.state == ThemeState.LIVE)
        .subquery()
    )
    query = select(open_.c.channel, func.min(open_.c.due_at)).where(open_.c.due_at.is_not(None))
    by_index(session)
    return session.execute(query.group_by(open_.c.channel)).all()


def waiting_receipts(session: Session) -> int:
    """Receipts that have not found their delivery, at most MOST_RECEIPTS."""
    waiting = select(ReceiptRow.id).where(ReceiptRow.join_at.is_not(None)).limit(MOST_RECEIPTS).subquery()
    return session.scalars(select(func.count()).select_from(waiting)).one()


def themes(session: Session) -> Sequence[Row[Any]]:
    """(state, how many)."""
    return session.execute(select(Theme.state, func.count()).group_by(Theme.state)).all()


def alerts(session: Session, *, since: datetime) -> int:
    """Alerts whose fact was seen since then."""
    return session.scalars(select(func.count()).select_from(Alert).where(Alert.last_seen_at >= since)).one()
