"""Coupons whose time, or whose lock, has passed: some at a time, and never one that somebody is using just now."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

_EXPIRE = text("""
    UPDATE held_coupons SET state = 'expired', locked_for = NULL, locked_until = NULL, changed_at = :now
    WHERE id IN (
        SELECT id FROM held_coupons WHERE state IN ('issued', 'returned', 'locked') AND valid_to <= :now
        ORDER BY valid_to LIMIT :most FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING id
""")
_UNLOCK = text("""
    UPDATE held_coupons SET state = 'issued', locked_for = NULL, locked_until = NULL, changed_at = :now
    WHERE id IN (
        SELECT id FROM held_coupons WHERE state = 'locked' AND locked_until <= :now
        ORDER BY locked_until LIMIT :most FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING id
""")


def expire(session: Session, *, now: datetime, most: int) -> int:
    """Returns how many."""
    return len(session.scalars(_EXPIRE, {"now": now, "most": most}).all())


def unlock(session: Session, *, now: datetime, most: int) -> int:
    """Returns how many."""
    return len(session.scalars(_UNLOCK, {"now": now, "most": most}).all())
