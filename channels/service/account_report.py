"""How provider accounts are: may they be called, what came of their calls, what their windows still have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from channels.price import Price
from channels.rate import RateWindow
from channels.service.account import account_by_key
from channels.service.provider import documented_windows, limits_of
from channels.states import Channel
from models.delivery import ProviderAccount
from models.queries import permits, provider_accounts
from models.queries.provider_accounts import Health


class AccountState(StrEnum):
    OPEN = "open"
    BACKING_OFF = "backing_off"  # the breaker is open: no sender calls before its time
    PROBING = "probing"  # its time is over: the next call of one sender decides
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReport:
    window: RateWindow
    left: int | None  # of a window of half a minute or more; shorter ones are paced


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    key: str
    product_line: str
    currency: str
    channel: Channel
    provider: str
    pool: str | None
    weight: int
    state: AccountState
    because: str | None  # why it is not open, in words
    since: datetime | None
    backing_off_until: datetime | None
    refused_in_row: int
    windows: Sequence[WindowReport]
    as_documented: bool  # the windows are the provider's own
    price: Price | None
    health: Health


def account_reports(session: Session, *, now: datetime) -> Sequence[AccountReport]:
    health = provider_accounts.health(session, now=now)
    return [_report(session, account, health, now) for account in provider_accounts.accounts(session)]


def account_report(session: Session, *, key: str, now: datetime) -> AccountReport:
    """Raises AccountUnknown."""
    return _report(session, account_by_key(session, key), provider_accounts.health(session, now=now), now)


def state_of(account: ProviderAccount, now: datetime) -> AccountState:
    if account.paused_because is not None:
        return AccountState.PAUSED
    if account.backing_off_until is None:
        return AccountState.OPEN
    return AccountState.BACKING_OFF if account.backing_off_until > now else AccountState.PROBING


def _report(session: Session, account: ProviderAccount, health: Mapping[int, Health], now: datetime) -> AccountReport:
    state = state_of(account, now)
    left = permits.left(session, account=account)
    line = provider_accounts.product_line_of(session, account)
    windows = permits.read_windows(account.windows)
    found = health.get(account.id, Health())
    return AccountReport(
        key=account.key,
        product_line=line.key,
        currency=line.currency,
        channel=account.channel,
        provider=account.provider,
        pool=account.pool,
        weight=account.weight,
        state=state,
        because=_because(account, state, found),
        since=account.paused_at if state is AccountState.PAUSED else account.refused_since,
        backing_off_until=account.backing_off_until if state is AccountState.BACKING_OFF else None,
        refused_in_row=account.refused_in_row,
        windows=[WindowReport(window=window, left=left.get(window.per)) for window in windows],
        as_documented=_are_documented(account, windows),
        price=provider_accounts.price_of(account),
        health=found,
    )


def _because(account: ProviderAccount, state: AccountState, health: Health) -> str | None:
    match state:
        case AccountState.OPEN:
            return None
        case AccountState.PAUSED:
            return account.paused_because
        case _:
            times = "once" if account.refused_in_row == 1 else f"{account.refused_in_row} times in a row"
            return f"refused {times}: {health.last_words or 'no words of the provider are kept'}"


def _are_documented(account: ProviderAccount, windows: Sequence[RateWindow]) -> bool:
    limits = limits_of(account)
    documented = documented_windows(account.channel, account.provider)
    return limits.windows is None and limits.rate_per_second is None and list(windows) == list(documented)


def in_words(window: RateWindow) -> str:
    return f"{window.at_most:,} {window.counts} in {_span(window.per)}"


def _span(per: timedelta) -> str:
    seconds = per // timedelta(seconds=1)
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
