"""Provider accounts: settings, pause, and the breaker that all senders of an account share."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.states import Channel
from models.delivery import ProviderAccount


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
) -> ProviderAccount:
    values = {
        "product_line_id": product_line_id,
        "channel": channel,
        "provider": provider,
        "settings": dict(settings),
        "secrets": secrets,
    }
    statement = insert(ProviderAccount).values(key=key, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[ProviderAccount.key], set_=values))
    found = session.scalars(
        select(ProviderAccount).where(ProviderAccount.key == key).execution_options(populate_existing=True)
    )
    return found.one()


def pause(session: Session, *, account_id: int, because: str) -> None:
    """The first reason stays until the account is resumed."""
    session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account_id)
        .values(paused_because=func.coalesce(ProviderAccount.paused_because, because))
    )


def resume(session: Session, *, account_id: int) -> None:
    session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account_id)
        .values(paused_because=None, backing_off_until=None, refused_in_row=0)
    )


def back_off(session: Session, *, account_id: int, began_at: datetime, until: datetime) -> None:
    """Leave the account alone until then. Calls that were in flight together count as one refusal."""
    new_wave = or_(ProviderAccount.backing_off_until.is_(None), ProviderAccount.backing_off_until <= began_at)
    session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account_id, new_wave)
        .values(backing_off_until=until, refused_in_row=ProviderAccount.refused_in_row + 1)
    )


def recovered(session: Session, *, account_id: int, began_at: datetime) -> None:
    """A call that began after the last refusal was taken: one that was in flight beside it proves nothing."""
    since = or_(ProviderAccount.backing_off_until.is_(None), ProviderAccount.backing_off_until <= began_at)
    session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account_id, ProviderAccount.refused_in_row > 0, since)
        .values(backing_off_until=None, refused_in_row=0)
    )
