"""Letting nothing more of one channel of a theme leave, while the theme and its other channels go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from approval.service.record import Act, write_down
from channels.service.distribution import theme_by_key
from channels.service.errors import ChannelNotOpen
from channels.states import MAY_BE_REACHED_STATES, Channel, DeliveryState
from models.queries import codes_reserved, limits, pending, retries, steps, tallies

#: So many deliveries are cancelled in one transaction at most; what is left over the next look takes.
CANCEL_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    channel: Channel
    cancelled: int  # deliveries that do not leave; more may follow
    reached: int  # that the provider has, or may have: nothing calls those back


def cancel_channel(session: Session, *, theme_key: str, channel: Channel, by: str, now: datetime) -> Cancellation:
    """Close a channel for good and cancel a good part of what waits; `cancel_more` does the rest.

    Codes of those whom nothing reached by any channel are free again: at once where this was all, else by the sweep.
    No call begins after the commit; calls in flight finish. What a sender holds comes back within seconds.

    Raises:
        DeliveryThemeUnknown
        ChannelNotOpen: the theme does not send on this channel, or it was cancelled before.
    """
    theme = theme_by_key(session, theme_key)
    closed = retries.close_channel(session, theme_id=theme.id, channel=channel, because=f"cancelled by {by}")
    if not closed:
        raise ChannelNotOpen(theme_key=theme_key, channel=channel)
    cancelled = _cancel(session, closed, now)
    if cancelled < CANCEL_AT_ONCE:
        codes_reserved.give_back(session, theme_id=theme.id)
    reached = sum(tallies.of(session, one, *MAY_BE_REACHED_STATES) for one in closed)
    outcome = f"cancelled by {by}, {reached} had left"
    steps.finish_step(session, theme_id=theme.id, name=f"send · {channel}", now=now, outcome=outcome)
    act = Act(
        act="cancel channel",
        actor=by,
        object_kind="theme",
        object_key=theme_key,
        theme_key=theme_key,
        details={"channel": channel.value, "reached": reached},
    )
    write_down(session, act, now=now)
    return Cancellation(channel=channel, cancelled=cancelled, reached=reached)


def cancel_more(session: Session, *, theme_id: int | None = None, now: datetime) -> int:
    """Cancel what has come back of cancelled channels, at most CANCEL_AT_ONCE; returns how many."""
    return _cancel(session, retries.cancelled_with_pending(session, theme_id=theme_id), now)


def _cancel(session: Session, distribution_ids: Sequence[int], now: datetime) -> int:
    cancelled = 0
    for distribution_id in distribution_ids:
        cancelled += pending.finish_pending_of(
            session,
            distribution_id=distribution_id,
            state=DeliveryState.CANCELLED,
            now=now,
            limit=CANCEL_AT_ONCE - cancelled,
        )
        limits.give_back_ended(session, distribution_id=distribution_id)
        if cancelled >= CANCEL_AT_ONCE:
            break
    return cancelled
