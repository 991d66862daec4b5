"""Codes as they are typed in at a checkout."""

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.offer import Code


def standing(session: Session, numbers: Collection[int]) -> Mapping[int, tuple[int | None, int | None]]:
    """Whose each is, and the coupon that was claimed with it; None: anybody's, none."""
    if not numbers:
        return {}
    query = select(Code.number, Code.customer_id, Code.held_id).where(Code.number.in_(numbers))
    return {row.number: (row.customer_id, row.held_id) for row in session.execute(query)}
