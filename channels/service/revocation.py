"""Undoing one channel of a theme that was taken down, and telling those whom it had reached."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from channels.service.distribution import account_for
from channels.states import Channel, DeliveryState, Purpose
from models.delivery import Distribution, DistributionState
from models.queries import codes_reserved, corrections, deliveries, distributions, pending, takedowns
from models.theme import Theme

#: So many rows of a channel are cancelled in one transaction at most; what is left over the next look takes.
CANCEL_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLook:
    """What a look at a channel did, and what may still leave."""

    cancelled: int
    claimable: int
    under_way: int


def cancel_channel(session: Session, *, theme_id: int, channel: Channel, now: datetime) -> int:
    """Cancel what no sender holds of one channel, a good part of it at once; returns how many."""
    return pending.finish_pending(
        session, theme_id=theme_id, channel=channel, state=DeliveryState.CANCELLED, now=now, limit=CANCEL_AT_ONCE
    )


def undo_channel(session: Session, *, theme_id: int, channel: Channel, now: datetime) -> ChannelLook:
    """Cancel what is left of one channel, whatever its revision, and count what may still leave.

    What a sender holds is not touched: its outcome is recorded by the sender, or its lease runs out. Once nothing is
    left the channel's distributions are closed, and as planners wait for that, nothing can come after it. Codes of
    those whom nothing reached are free again.
    """
    own = [one for one in distributions.lock_of_theme(session, theme_id) if one.channel is channel]
    deliveries.reap_dead_senders(session, now=now)
    cancelled = cancel_channel(session, theme_id=theme_id, channel=channel, now=now)
    left = takedowns.what_is_left(session, [one.id for one in own])
    if not any(left):
        for distribution in own:
            distribution.state = DistributionState.CANCELLED
        codes_reserved.give_back(session, theme_id=theme_id)
    return ChannelLook(cancelled=cancelled, claimable=left.claimable, under_way=left.under_way)


def open_correction(session: Session, *, theme: Theme, channel: Channel, account: str, now: datetime) -> int:
    """Open a correction to all whom the theme reached on a channel, or may have; returns how many they are.

    Its rows are planned afterwards, by `channels.service.corrections`, in transactions of their own.
    """
    return corrections.count_reached(
        session, _correction(session, theme=theme, channel=channel, account=account, now=now)
    )


def _correction(session: Session, *, theme: Theme, channel: Channel, account: str, now: datetime) -> Distribution:
    revision_id = theme.revision_id
    if revision_id is None:
        raise LookupError(f"theme {theme.key!r} was live without a revision")
    return distributions.open_if_missing(
        session,
        theme_id=theme.id,
        revision_id=revision_id,
        channel=channel,
        account_id=account_for(session, theme=theme, channel=channel, key=account).id,
        segment_as_of=now,
        purpose=Purpose.CORRECTION,
    )
