"""Permits: what a sender may send over an account right now, so that all of them together keep within its windows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.rate import Counted, Permits, RateWindow
from channels.windows import AccountWindows
from models.account import AccountUse
from models.delivery import ProviderAccount

__all__ = ["Permits", "counted", "left", "read_windows", "stored_windows", "take"]

#: A paused account is looked at again after this; the others wait so long at once for the answer to a probe,
_LOOK_AGAIN = timedelta(seconds=1)
#: and so long at most, should whoever tries die over it.
_PROBE_LASTS = timedelta(seconds=10)


def take(
    session: Session, *, account_id: int, wanted: int, now: datetime, distribution_id: int | None = None
) -> Permits:
    """Take up to `wanted` permits, counted as the account's windows count (`counted`).

    The transaction should end at once: until then all senders of the account wait. The windows are kept by the clock
    of the database, which all machines share; `now` is the sender's, for the breaker and for `again_at`. Permits are
    shared evenly among the distributions that want more than there is.
    """
    account = session.execute(
        select(ProviderAccount.paused_because, ProviderAccount.backing_off_until, ProviderAccount.windows).where(
            ProviderAccount.id == account_id
        )
    ).one()
    if account.paused_because is not None:
        return Permits(granted=0, again_at=now + _LOOK_AGAIN)
    if account.backing_off_until is not None:
        if account.backing_off_until > now:
            return Permits(granted=0, again_at=account.backing_off_until)
        if not _may_probe(session, account_id, now):
            return Permits(granted=0, again_at=now + _LOOK_AGAIN)
        wanted = wanted if counted(account.windows) is Counted.RECIPIENTS else min(wanted, 1)
    if not account.windows:
        return Permits(granted=wanted, again_at=None)
    use = AccountWindows(read_windows(account.windows), _held(session, account_id))
    # Only now: whoever waited for the row must not ask for a moment that has passed.
    clock = session.scalars(select(func.clock_timestamp())).one()
    permits = use.take(wanted=wanted, theme=str(distribution_id), clock=clock, now=now)
    session.execute(
        update(AccountUse)
        .where(AccountUse.account_id == account_id)
        .values(kept=use.as_json(clock))
        .execution_options(synchronize_session=False)
    )
    return permits


def read_windows(stored: Sequence[Mapping[str, Any]]) -> tuple[RateWindow, ...]:
    return tuple(
        RateWindow(per=timedelta(seconds=one["per_seconds"]), at_most=one["at_most"], counts=Counted(one["counts"]))
        for one in stored
    )


def stored_windows(windows: Sequence[RateWindow]) -> list[dict[str, Any]]:
    """As a row keeps them; `read_windows` reads them again."""
    return [
        {"per_seconds": one.per // timedelta(seconds=1), "at_most": one.at_most, "counts": one.counts.value}
        for one in windows
    ]


def counted(stored: Sequence[Mapping[str, Any]]) -> Counted:
    """What the windows of an account count; all count the same."""
    return Counted(stored[0]["counts"]) if stored else Counted.CALLS


def left(session: Session, *, account: ProviderAccount) -> Mapping[timedelta, int]:
    """What the longer windows of an account still have."""
    kept = session.scalar(select(AccountUse.kept).where(AccountUse.account_id == account.id)) or {}
    windows = AccountWindows(read_windows(account.windows), kept)
    return windows.free(session.scalars(select(func.clock_timestamp())).one())


def _may_probe(session: Session, account_id: int, now: datetime) -> bool:
    """After a back-off one sender tries the account for all of them."""
    nobody_tries = or_(ProviderAccount.probe_until.is_(None), ProviderAccount.probe_until <= now)
    taken = session.execute(
        update(ProviderAccount)
        .where(ProviderAccount.id == account_id, ProviderAccount.backing_off_until <= now, nobody_tries)
        .values(probe_until=now + _PROBE_LASTS)
        .returning(ProviderAccount.id)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


def _held(session: Session, account_id: int) -> Mapping[str, Any]:
    held = select(AccountUse.kept).where(AccountUse.account_id == account_id).with_for_update()
    kept: Mapping[str, Any] | None = session.scalar(held)
    if kept is None:
        session.execute(insert(AccountUse).values(account_id=account_id, kept={}).on_conflict_do_nothing())
        kept = session.scalars(held).one()
    return kept
