"""What time does to coupons by itself."""

from collections.abc import Callable
from datetime import datetime, timedelta

from prefect import task
from sqlalchemy.orm import Session

from offers.service import expiry
from tasks.connection import clock, database

#: In one transaction, so that nobody waits long for what it holds.
AT_ONCE = 5_000
#: So long the answer to a request is kept; nobody sends it again later.
KEPT_FOR = timedelta(days=30)


@task(name="settle coupons", retries=3, retry_delay_seconds=1)
def settle_coupons() -> str:
    """Locks of orders that were never placed end, coupons whose time is over expire, old answers are forgotten."""
    unlocked = _all_of(lambda session, now: expiry.unlock_late(session, now=now, most=AT_ONCE))
    expired = _all_of(lambda session, now: expiry.expire_held(session, now=now, most=AT_ONCE))
    forgotten = _all_of(lambda session, now: expiry.forget_answers(session, before=now - KEPT_FOR, most=AT_ONCE))
    return f"{unlocked} unlocked, {expired} expired, {forgotten} answers forgotten"


def _all_of(some: Callable[[Session, datetime], int]) -> int:
    done, more = 0, True
    while more:
        with database().begin() as session:
            count = some(session, clock())
        done, more = done + count, count == AT_ONCE
    return done
