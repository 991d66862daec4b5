"""What time does by itself: coupons expire, locks of orders that were never placed end, old answers are forgotten."""

from datetime import datetime

from sqlalchemy.orm import Session

from models.queries import expiry
from offers.service import kept_answers


def expire_held(session: Session, *, now: datetime, most: int) -> int:
    """Coupons that can no longer be used, some at a time. Returns how many: `most` of them, and there may be more.

    Nothing waits for it: whoever uses a coupon looks at its time, not at its state.
    """
    return expiry.expire(session, now=now, most=most)


def unlock_late(session: Session, *, now: datetime, most: int) -> int:
    """Coupons whose order was not placed in time. Returns how many."""
    return expiry.unlock(session, now=now, most=most)


def forget_answers(session: Session, *, before: datetime, most: int) -> int:
    """Answers to requests that nobody sends again. Returns how many."""
    return kept_answers.forget(session, before=before, most=most)
