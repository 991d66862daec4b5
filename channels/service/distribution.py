"""A distribution from its opening to its end: open, plan, count, complete, give back, and what ends it early."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from types import MappingProxyType

from sqlalchemy.orm import Session

from channels.service.account import account_by_key
from channels.service.codes import give_back_codes
from channels.service.errors import (
    AccountUnfit,
    DeliveryThemeUnknown,
    DistributionUnknown,
    NothingToGiveBack,
    RevisionMissing,
)
from channels.service.provider import limits_of
from channels.states import FINAL_STATES, Channel, DeliveryState, ErrorClass, Purpose
from models.delivery import Distribution, DistributionState, ProviderAccount
from models.queries import (
    codes_reserved,
    deliveries,
    distributions,
    pending,
    planning,
    plans,
    provider_accounts,
    tallies,
    themes,
)
from models.queries.deliveries import Reaped
from models.queries.distributions import Gate
from models.theme import Theme
from themes.lifecycle import ThemeState
from themes.revocation import TAKEN_DOWN

_BEFORE_LIVE = frozenset(
    {ThemeState.DRAFT, ThemeState.IN_REVIEW, ThemeState.APPROVED, ThemeState.SCHEDULED, ThemeState.MISSED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelProgress:
    """How far one channel is. The sum over `states` is what was planned, at every moment."""

    distribution_id: int
    channel: Channel
    state: DistributionState
    stopped_because: str | None
    states: Mapping[DeliveryState, int]
    failed: Mapping[ErrorClass, int]
    left_out: Mapping[str, int]
    closed_because: str | None

    @property
    def planned(self) -> int:
        return sum(self.states.values())

    @property
    def settled(self) -> int:
        """Rows that nothing more happens to by itself."""
        return sum(count for state, count in self.states.items() if state in FINAL_STATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    reaped: Reaped
    expired: int
    cancelled: int
    completed: Sequence[int]  # distribution ids
    codes: int = 0  # free again, for their messages reach nobody


def theme_by_key(session: Session, key: str) -> Theme:
    theme = distributions.theme_by_key(session, key)
    if theme is None:
        raise DeliveryThemeUnknown(key)
    return theme


def open_distributions(
    session: Session,
    *,
    theme: Theme,
    accounts: Mapping[Channel, str],
    segment_as_of: datetime,
    expires_at: Mapping[Channel, datetime] = MappingProxyType({}),
) -> Sequence[Distribution]:
    """One distribution a channel for the theme's approved revision, by account key; opening twice is opening once.

    None is opened of a theme that was taken down. Of a channel nothing leaves after its `expires_at`, nor after the
    theme's end.

    Raises:
        RevisionMissing, AccountUnknown, AccountUnfit
    """
    if theme.revision_id is None:
        raise RevisionMissing(theme.key)
    opened: list[Distribution] = []
    for channel, key in accounts.items() if theme.state not in TAKEN_DOWN else ():
        account = account_for(session, theme=theme, channel=channel, key=key)
        opened.append(
            distributions.open_if_missing(
                session,
                theme_id=theme.id,
                revision_id=theme.revision_id,
                channel=channel,
                account_id=account.id,
                segment_as_of=segment_as_of,
                expires_at=min(theme.ends_at, expires_at.get(channel, theme.ends_at)),
            )
        )
    return opened


def account_for(session: Session, *, theme: Theme, channel: Channel, key: str) -> ProviderAccount:
    """The account of a key, where it serves this channel of this theme.

    Raises:
        AccountUnknown, AccountUnfit
    """
    account = account_by_key(session, key)
    if account.channel is not channel or account.product_line_id != theme.product_line_id:
        raise AccountUnfit(key=key, problem=f"does not serve {channel} for the product line of theme {theme.key!r}")
    return account


def gate(session: Session, *, distribution_id: int, now: datetime) -> Gate:
    """Whether calls of the distribution may leave now, or why not."""
    return distributions.gate(session, distribution_id=distribution_id, now=now)


def senders_wanted(session: Session, *, distribution_id: int, batch: int, now: datetime) -> int:
    """How many senders are of use now: none where nothing is due or may leave.

    As many as the account wants, of a pool the one that wants most, but no more than have a `batch` of rows each.
    """
    if distributions.gate(session, distribution_id=distribution_id, now=now).closed_because is not None:
        return 0
    due = distributions.next_due(session, distribution_id=distribution_id, now=now)
    if due is None or due > now:
        return 0
    serving = provider_accounts.serving(session, distribution_id=distribution_id)
    most = max((limits_of(account).senders for account in serving), default=1)
    waiting = tallies.of(session, distribution_id, DeliveryState.PLANNED, DeliveryState.RETRYING)
    return max(1, min(most, ceil(waiting / batch)))


def progress(
    session: Session, *, theme_id: int, now: datetime, purpose: Purpose = Purpose.THEME
) -> Sequence[ChannelProgress]:
    """Counted from the rows, channel by channel."""
    found = distributions.of_theme(session, theme_id, purpose=purpose)
    return [_progress(session, distribution, now) for distribution in found]


def stop_distribution(session: Session, *, distribution_id: int, because: str) -> None:
    distributions.stop(session, distribution_id=distribution_id, because=because)


def resume_distribution(session: Session, *, distribution_id: int) -> bool:
    """Let a stopped distribution go on; False when it was not stopped."""
    distribution, _ = _locked(session, distribution_id)
    if distribution.state is not DistributionState.STOPPED:
        return False
    distribution.state, distribution.stopped_because = DistributionState.SENDING, None
    session.flush()
    return True


def complete_if_done(session: Session, *, distribution_id: int, now: datetime) -> bool:
    """Complete the distribution when every row is final or handed to a person; True when it is complete."""
    distributions.complete_settled(session, now=now, distribution_id=distribution_id)
    distribution, _ = _locked(session, distribution_id)
    return distribution.state is DistributionState.COMPLETE


def cancel_pending(session: Session, *, theme_id: int, now: datetime) -> int:
    """Cancel what no sender holds; what one holds comes back within seconds, and is cancelled then."""
    return pending.finish_pending(session, theme_id=theme_id, state=DeliveryState.CANCELLED, now=now)


def expire_after_end(session: Session, *, theme_id: int, now: datetime) -> int:
    """Expire what has not left; a late message about a theme that is over is worse than none."""
    return pending.finish_pending(session, theme_id=theme_id, state=DeliveryState.EXPIRED, now=now)


def give_back(session: Session, *, theme_id: int, now: datetime) -> dict[str, int]:
    """Give back what is reserved for a theme that is recalled before it was live; channel -> deliveries given back.

    Codes that were reserved for its messages are free again. The plan goes as a whole, with its rows: a later launch,
    of the same revision or another, plans everybody afresh. Should anybody have been tried after all, that row stays,
    so that the person is not reached twice.

    Raises:
        NothingToGiveBack: the theme is or was live; what it reserved ends with a takedown or with the theme.
    """
    theme = themes.theme_by_id(session, theme_id, lock=True)
    if theme.state not in _BEFORE_LIVE:
        raise NothingToGiveBack(theme_key=theme.key, state=theme.state)
    distributions.lock_of_theme(session, theme_id)
    given_back = planning.delete_untried(session, theme_id=theme_id)
    pending.finish_pending(session, theme_id=theme_id, state=DeliveryState.CANCELLED, now=now)
    planning.close_distributions(session, theme_id=theme_id)
    codes_reserved.give_back(session, theme_id=theme_id)
    return {channel.value: count for channel, count in sorted(given_back.items())}


def sweep_deliveries(session: Session, *, now: datetime) -> Sweep:
    """What a crash or a race left behind: leases that ran out, rows of themes that are over, finished distributions."""
    reaped = deliveries.reap_dead_senders(session, now=now)
    expired, cancelled = pending.expire_over(session, now=now), 0
    over = pending.themes_with_pending(session, now=now)
    for theme in over:
        if theme.state in TAKEN_DOWN:
            cancelled += cancel_pending(session, theme_id=theme.id, now=now)
        else:
            expired += expire_after_end(session, theme_id=theme.id, now=now)
    tallies.fold(session)
    distributions.reopen_waiting(session)
    completed = distributions.complete_settled(session, now=now)
    at_once = {theme.id for theme in over} | distributions.themes_of(session, completed)
    codes = give_back_codes(session, now=now, at_once=at_once)
    return Sweep(reaped=reaped, expired=expired, cancelled=cancelled, completed=completed, codes=codes)


def _progress(session: Session, distribution: Distribution, now: datetime) -> ChannelProgress:
    counted = tallies.counts(session, distribution.id)
    return ChannelProgress(
        distribution_id=distribution.id,
        channel=distribution.channel,
        state=distribution.state,
        stopped_because=distribution.stopped_because,
        states=tallies.by_state(counted),
        failed={
            error: count
            for (state, error), count in counted.items()
            if state is DeliveryState.FAILED and error is not None
        },
        left_out=plans.left_out_by_reason(session, distribution.id),
        closed_because=distributions.gate(session, distribution_id=distribution.id, now=now).closed_because,
    )


def _locked(session: Session, distribution_id: int) -> tuple[Distribution, Theme]:
    found = distributions.lock(session, distribution_id)
    if found is None:
        raise DistributionUnknown(distribution_id)
    return found
