"""Provider accounts: settings, pools, pause, health, and the breaker that all senders of an account share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.orm import Session, aliased

from channels.price import Price
from channels.states import Channel
from models.account import AccountCalls
from models.delivery import Distribution, ProviderAccount
from models.product_line import ProductLine

#: What the breaker of an account that is taken at its word again looks like.
_AT_WORK = {"backing_off_until": None, "refused_in_row": 0, "refused_since": None, "probe_until": None}


def by_key(session: Session, key: str) -> ProviderAccount | None:
    return session.scalar(select(ProviderAccount).where(ProviderAccount.key == key))


def by_id(session: Session, account_id: int) -> ProviderAccount:
    return session.get_one(ProviderAccount, account_id)


def accounts(session: Session) -> Sequence[ProviderAccount]:
    return session.scalars(select(ProviderAccount).order_by(ProviderAccount.key)).all()


def upsert(
    session: Session,
    *,
    key: str,
    product_line_id: int,
    channel: Channel,
    provider: str,
    settings: Mapping[str, Any],
    secrets: bytes | None,
    pool: str | None = None,
    weight: int = 1,
    windows: Sequence[Mapping[str, Any]] = (),
    price: Price | None = None,
) -> ProviderAccount:
    values = {
        "product_line_id": product_line_id,
        "channel": channel,
        "provider": provider,
        "settings": dict(settings),
        "secrets": secrets,
        "pool": pool,
        "weight": weight,
        "windows": [dict(window) for window in windows],
        "price_amount": price and price.amount,
        "price_per": price and price.per,
    }
    statement = insert(ProviderAccount).values(key=key, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[ProviderAccount.key], set_=values))
    found = session.scalars(
        select(ProviderAccount).where(ProviderAccount.key == key).execution_options(populate_existing=True)
    )
    return found.one()


def product_line_of(session: Session, account: ProviderAccount) -> ProductLine:
    return session.get_one(ProductLine, account.product_line_id)


def serving(session: Session, *, distribution_id: int) -> Sequence[ProviderAccount]:
    """The accounts that may carry a distribution: its own and those of the same pool, whether or not they are open."""
    own = aliased(ProviderAccount)
    same_pool = (
        (ProviderAccount.pool == own.pool)
        & (ProviderAccount.product_line_id == own.product_line_id)
        & (ProviderAccount.channel == own.channel)
    )
    query = (
        select(ProviderAccount)
        .join(own, or_(ProviderAccount.id == own.id, same_pool))
        .join(Distribution, Distribution.account_id == own.id)
        .where(Distribution.id == distribution_id)
        .order_by(ProviderAccount.id)
    )
    return session.scalars(query, execution_options={"populate_existing": True}).all()


def pool_of(session: Session, account: ProviderAccount) -> Sequence[ProviderAccount]:
    """The accounts that share its pool, by key, itself among them; none without a pool."""
    query = select(ProviderAccount).where(
        ProviderAccount.pool == account.pool,
        ProviderAccount.product_line_id == account.product_line_id,
        ProviderAccount.channel == account.channel,
    )
    return session.scalars(query.order_by(ProviderAccount.key)).all()


def price_of(account: ProviderAccount) -> Price | None:
    if account.price_amount is None or account.price_per is None:
        return None
    return Price(amount=account.price_amount, per=account.price_per)


def pause(session: Session, *, account_id: int, because: str) -> None:
    """The first reason stays until the account is resumed."""
    session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account_id)
        .values(
            paused_because=func.coalesce(ProviderAccount.paused_because, because),
            paused_at=func.coalesce(ProviderAccount.paused_at, func.now()),
        )
    )


def resume(session: Session, *, account_id: int) -> None:
    session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account_id)
        .values(paused_because=None, paused_at=None, **_AT_WORK)
    )


def back_off(session: Session, *, account_id: int, began_at: datetime, until: datetime) -> None:
    """Leave the account alone until then. Calls that were in flight together count as one refusal."""
    new_wave = or_(ProviderAccount.backing_off_until.is_(None), ProviderAccount.backing_off_until <= began_at)
    session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account_id, new_wave)
        .values(
            backing_off_until=until,
            refused_in_row=ProviderAccount.refused_in_row + 1,
            refused_since=func.coalesce(ProviderAccount.refused_since, began_at),
            probe_until=None,
        )
    )


def recovered(session: Session, *, account_id: int, began_at: datetime) -> None:
    """A call that began after the last refusal was taken: one that was in flight beside it proves nothing."""
    since = or_(ProviderAccount.backing_off_until.is_(None), ProviderAccount.backing_off_until <= began_at)
    session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account_id, ProviderAccount.refused_in_row > 0, since)
        .values(**_AT_WORK)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Calls of the last hour and of the last day, by whole hours on the clock."""

    accepted_of_hour: int = 0
    refused_of_hour: int = 0
    accepted_of_day: int = 0
    refused_of_day: int = 0
    accepted_at: datetime | None = None  # the last time
    refused_at: datetime | None = None
    last_words: str | None = None  # of the provider, when it refused


def note_calls(
    session: Session, *, account_id: int, accepted: int, refused: int, last_words: str | None, now: datetime
) -> None:
    """Count calls. Best as the last statement of its transaction: all senders of the account write this one row."""
    calls = insert(AccountCalls).values(
        account_id=account_id,
        hour=now.astimezone(UTC).replace(minute=0, second=0, microsecond=0),
        accepted=accepted,
        refused=refused,
        accepted_at=now if accepted else None,
        refused_at=now if refused else None,
        last_words=last_words,
    )
    new = calls.excluded
    session.execute(
        calls.on_conflict_do_update(
            index_elements=[AccountCalls.account_id, AccountCalls.hour],
            set_={
                "accepted": AccountCalls.accepted + new.accepted,
                "refused": AccountCalls.refused + new.refused,
                "accepted_at": func.greatest(AccountCalls.accepted_at, new.accepted_at),
                "refused_at": func.greatest(AccountCalls.refused_at, new.refused_at),
                "last_words": func.coalesce(new.last_words, AccountCalls.last_words),
            },
        )
    )


def health(session: Session, *, now: datetime) -> Mapping[int, Health]:
    """By account; one that was not called for a day is not there."""
    of_hour = AccountCalls.hour > now - timedelta(hours=2)
    latest = func.array_agg(aggregate_order_by(AccountCalls.last_words, AccountCalls.hour.desc()))
    query = (
        select(
            AccountCalls.account_id,
            func.coalesce(func.sum(AccountCalls.accepted).filter(of_hour), 0).label("accepted_of_hour"),
            func.coalesce(func.sum(AccountCalls.refused).filter(of_hour), 0).label("refused_of_hour"),
            func.sum(AccountCalls.accepted).label("accepted_of_day"),
            func.sum(AccountCalls.refused).label("refused_of_day"),
            func.max(AccountCalls.accepted_at).label("accepted_at"),
            func.max(AccountCalls.refused_at).label("refused_at"),
            latest.filter(AccountCalls.last_words.is_not(None)).label("words"),
        )
        .where(AccountCalls.hour > now - timedelta(days=1, hours=1))
        .group_by(AccountCalls.account_id)
    )
    return {
        row.account_id: Health(
            accepted_of_hour=int(row.accepted_of_hour),
            refused_of_hour=int(row.refused_of_hour),
            accepted_of_day=int(row.accepted_of_day),
            refused_of_day=int(row.refused_of_day),
            accepted_at=row.accepted_at,
            refused_at=row.refused_at,
            last_words=row.words[0] if row.words else None,
        )
        for row in session.execute(query)
    }
