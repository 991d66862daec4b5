"""Products, as offers name them."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.product import Product


def categories(session: Session) -> Sequence[str]:
    return session.scalars(select(Product.category).distinct().order_by(Product.category)).all()
