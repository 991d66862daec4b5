"""Keys of the HTTP API."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.api_key import ApiKey
from models.product_line import ProductLine
from themes.theme import RedeemIn


def insert_if_new(
    session: Session,
    *,
    product_line_id: int,
    name: str,
    channel: RedeemIn,
    per_second: int,
    hash_: str,
    by: str,
    now: datetime,
) -> bool:
    """False where the product line has a key of that name."""
    new = insert(ApiKey).values(
        product_line_id=product_line_id,
        channel=channel,
        name=name,
        hash=hash_,
        per_second=per_second,
        created_by=by,
        created_at=now,
    )
    made = new.on_conflict_do_nothing(index_elements=["product_line_id", "name"]).returning(ApiKey.id)
    return session.scalars(made).one_or_none() is not None


def by_name(session: Session, *, product_line_id: int, name: str) -> ApiKey | None:
    return session.scalar(select(ApiKey).where(ApiKey.product_line_id == product_line_id, ApiKey.name == name))


def locked_by_name(session: Session, *, product_line_id: int, name: str) -> ApiKey | None:
    query = select(ApiKey).where(ApiKey.product_line_id == product_line_id, ApiKey.name == name)
    return session.scalar(query.with_for_update())


def names(session: Session, *, product_line_id: int) -> Sequence[str]:
    return session.scalars(select(ApiKey.name).where(ApiKey.product_line_id == product_line_id)).all()


def with_product_line(session: Session) -> Sequence[tuple[ApiKey, str]]:
    """All keys, with the keys of their product lines."""
    query = select(ApiKey, ProductLine.key).join(ProductLine, ProductLine.id == ApiKey.product_line_id)
    return [(key, line) for key, line in session.execute(query.order_by(ProductLine.key, ApiKey.name))]


def valid(session: Session, hash_: str) -> ApiKey | None:
    """The key of this hash, unless it was revoked."""
    return session.scalar(select(ApiKey).where(ApiKey.hash == hash_, ApiKey.revoked_at.is_(None)))
