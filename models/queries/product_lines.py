"""Product lines, and what is tracked of their letters."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.product_line import ProductLine


def all_of_them(session: Session) -> Sequence[ProductLine]:
    return session.scalars(select(ProductLine).order_by(ProductLine.key)).all()


def locked(session: Session, key: str) -> ProductLine | None:
    return session.scalar(select(ProductLine).where(ProductLine.key == key).with_for_update())
