"""What persons do to deliveries: retry the failed, settle the doubtful; and what a theme's end does to the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, update
from sqlalchemy.orm import Session

from channels.states import CLAIMABLE_STATES, Channel, DeliveryState, ErrorClass, Purpose
from models.customer import Consent, Suppression
from models.delivery import Attempt, Delivery, Distribution, DistributionState
from models.theme import Theme
from themes.lifecycle import ThemeState
from themes.revocation import TAKEN_DOWN

_RETRYABLE_THEMES = (ThemeState.LIVE, ThemeState.PAUSED)
_OVER = (ThemeState.ENDED, *TAKEN_DOWN)
#: A correction leaves when its theme is taken down, and as long as it takes.
_OF_CORRECTION = Delivery.purpose == Purpose.CORRECTION


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedFilter:
    """Which failed deliveries of a theme are meant; what is None does not matter."""

    theme_id: int
    channel: Channel | None = None
    error_class: ErrorClass | None = None
    error_code: str | None = None
    since: datetime | None = None

    def condition(self, *states: DeliveryState) -> ColumnElement[bool]:
        wanted = [Delivery.theme_id == self.theme_id, Delivery.state.in_(states)]
        if self.channel is not None:
            wanted.append(Delivery.channel == self.channel)
        if self.error_class is not None:
            wanted.append(Delivery.error_class == self.error_class)
        if self.error_code is not None:
            wanted.append(Delivery.error_code == self.error_code)
        if self.since is not None:
            wanted.append(Delivery.changed_at >= self.since)
        return and_(*wanted)


def _verdict(now: datetime) -> ColumnElement[str]:
    """Why a failed row is left, or 'taken'."""
    suppressed = (
        select(literal(1))
        .where(
            Suppression.product_line_id == Theme.product_line_id,
            Suppression.channel == Delivery.channel,
            Suppression.address == Delivery.address,
        )
        .exists()
    )
    consented = (
        select(literal(1))
        .where(Consent.customer_id == Delivery.customer_id, Consent.channel == Delivery.channel, Consent.granted)
        .exists()
    )
    return case(
        (and_(~_OF_CORRECTION, or_(Theme.ends_at <= now, Theme.state.in_(_OVER))), "theme_over"),
        (and_(~_OF_CORRECTION, Theme.state.not_in(_RETRYABLE_THEMES)), "theme_not_live"),
        (Theme.revision_id.is_distinct_from(Distribution.revision_id), "other_revision"),
        (suppressed, "suppressed"),
        (~consented, "no_consent"),
        else_="taken",
    )


def judge_failed(session: Session, *, wanted: FailedFilter, now: datetime) -> Mapping[tuple[Channel, str], int]:
    """Failed rows that match, counted per channel and verdict; `taken` is the one that a retry takes."""
    verdict = _verdict(now).label("verdict")
    statement = (
        select(Delivery.channel, verdict, func.count())
        .join(Distribution, Distribution.id == Delivery.distribution_id)
        .join(Theme, Theme.id == Delivery.theme_id)
        .where(wanted.condition(DeliveryState.FAILED))
        .group_by(Delivery.channel, verdict)
    )
    return {(channel, why): count for channel, why, count in session.execute(statement)}


def take_failed(session: Session, *, wanted: FailedFilter, now: datetime) -> Mapping[Channel, int]:
    """Make the failed rows that match and may go due now, with a fresh budget; returns how many per channel.

    The condition is asked again of a row that another transaction has just changed, so a row is taken once however
    many ask at once.
    """
    statement = (
        update(Delivery)
        .where(
            Delivery.distribution_id == Distribution.id,
            Theme.id == Delivery.theme_id,
            wanted.condition(DeliveryState.FAILED),
            _verdict(now) == "taken",
        )
        .values(
            state=DeliveryState.RETRYING,
            due_at=now,
            first_tried_at=None,
            changed_at=now,
            error_class=None,
            error_code=None,
        )
        .returning(Delivery.channel)
        .execution_options(synchronize_session=False)
    )
    taken: dict[Channel, int] = {}
    for channel in session.scalars(statement):
        taken[channel] = taken.get(channel, 0) + 1
    return taken


def count_unknown(session: Session, wanted: FailedFilter) -> Mapping[Channel, int]:
    """Doubtful rows beside the failed ones: a retry leaves them alone."""
    statement = (
        select(Delivery.channel, func.count()).where(wanted.condition(DeliveryState.UNKNOWN)).group_by(Delivery.channel)
    )
    return {row[0]: row[1] for row in session.execute(statement)}


def reopen_complete(session: Session, *, theme_id: int, channels: Sequence[Channel]) -> None:
    session.execute(
        update(Distribution)
        .where(
            Distribution.theme_id == theme_id,
            Distribution.channel.in_(channels),
            Distribution.state == DistributionState.COMPLETE,
        )
        .values(state=DistributionState.SENDING, completed_at=None)
    )


def settle_unknown(
    session: Session, *, ids: Sequence[UUID], values: Mapping[str, Any], note: str, now: datetime
) -> tuple[Sequence[UUID], Mapping[int, set[Channel]]]:
    """Move rows that are in doubt, and write who decided that beside their attempts.

    Returns which were moved, and the channels of their themes.
    """
    statement = (
        update(Delivery)
        .where(
            Delivery.id.in_(ids), Delivery.state == DeliveryState.UNKNOWN, Distribution.id == Delivery.distribution_id
        )
        .values(**values, lease_owner=None, lease_until=None, call_began_at=None, key=None, changed_at=now)
        .returning(Delivery.id, Delivery.tries, Delivery.theme_id, Delivery.channel, Distribution.account_id)
        .execution_options(synchronize_session=False)
    )
    moved = session.execute(statement).all()
    themes: dict[int, set[Channel]] = {}
    for row in moved:
        session.add(_word_of_a_person(row.id, row.tries, row.account_id, note, now))
        themes.setdefault(row.theme_id, set()).add(row.channel)
    session.flush()
    return [row.id for row in moved], themes


def _word_of_a_person(delivery_id: UUID, number: int, account_id: int, note: str, now: datetime) -> Attempt:
    return Attempt(
        delivery_id=delivery_id,
        number=number,
        account_id=account_id,
        began_at=now,
        latency_ms=0,
        error_class=None,
        code="settled",
        detail=note,
    )


def finish_pending(
    session: Session,
    *,
    theme_id: int,
    state: DeliveryState,
    now: datetime,
    channel: Channel | None = None,
    limit: int | None = None,
) -> int:
    """Move what no sender holds of the theme's own messages to `state`; returns how many rows, at most `limit`.

    Rows that somebody is changing this moment are passed over, never waited for.
    """
    # By distribution, for that is what the index of pending rows is of.
    own = select(Distribution.id).where(Distribution.theme_id == theme_id, Distribution.purpose == Purpose.THEME)
    if channel is not None:
        own = own.where(Distribution.channel == channel)
    pending = Delivery.distribution_id.in_(own) & Delivery.state.in_(CLAIMABLE_STATES)
    picked = select(Delivery.id).where(pending).limit(limit).with_for_update(skip_locked=True).cte("picked")
    statement = (
        update(Delivery)
        .where(Delivery.id == picked.c.id)
        .values(state=state, changed_at=now)
        .execution_options(synchronize_session=False)
    )
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined] # a CursorResult, which the stubs widen


def themes_with_pending(session: Session, *, now: datetime) -> Sequence[Theme]:
    """Themes that are over and still have rows that would have gone out."""
    waiting = (Delivery.theme_id == Theme.id, Delivery.purpose == Purpose.THEME, Delivery.state.in_(CLAIMABLE_STATES))
    pending = select(literal(1)).where(*waiting).exists()
    over = or_(Theme.ends_at <= now, Theme.state.in_(_OVER))
    return session.scalars(select(Theme).where(over, pending).order_by(Theme.id)).all()


def themes_taken_down_of(session: Session, ids: Sequence[UUID]) -> Sequence[str]:
    """Keys of the taken down themes whose own messages, not their corrections, are among these deliveries."""
    query = select(Theme.key).distinct().join(Delivery, Delivery.theme_id == Theme.id)
    return session.scalars(query.where(Delivery.id.in_(ids), ~_OF_CORRECTION, Theme.state.in_(TAKEN_DOWN))).all()
