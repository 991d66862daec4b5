"""Takedowns and their revocations, one a channel."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from channels.states import CLAIMABLE_STATES, Channel, DeliveryState, Purpose
from models.approval import Alert
from models.delivery import Distribution
from models.person import Person
from models.queries import tallies
from models.takedown import Revocation, Takedown
from models.theme import Theme
from themes.lifecycle import ThemeState
from themes.revocation import ClaimedRule, RevocationState


class Left(NamedTuple):
    """Rows of a channel that may still leave."""

    claimable: int
    under_way: int  # held by senders


def add(
    session: Session,
    *,
    theme_id: int,
    login: str,
    comment: str,
    claimed: ClaimedRule,
    correction: dict[str, Any] | None,
    cancelled: dict[Channel, int],
    now: datetime,
) -> Takedown:
    """A takedown, with a revocation for each channel that `cancelled` names."""
    person_id = session.scalars(select(Person.id).where(Person.login == login)).one()
    takedown = Takedown(
        theme_id=theme_id,
        person_id=person_id,
        comment=comment,
        claimed=claimed,
        correction=correction,
        taken_down_at=now,
    )
    session.add(takedown)
    session.flush()
    for channel, count in cancelled.items():
        session.add(
            Revocation(takedown_id=takedown.id, channel=channel, state=RevocationState.PENDING, cancelled=count)
        )
    session.flush()
    return takedown


def of_theme(session: Session, theme_id: int) -> tuple[Takedown, str] | None:
    """The theme's takedown and the login of who did it."""
    query = select(Takedown, Person.login).join(Person, Person.id == Takedown.person_id)
    row = session.execute(query.where(Takedown.theme_id == theme_id)).one_or_none()
    return None if row is None else (row[0], row[1])


def revocations(session: Session, takedown_id: int) -> Sequence[Revocation]:
    query = select(Revocation).where(Revocation.takedown_id == takedown_id).order_by(Revocation.channel)
    return session.scalars(query, execution_options={"populate_existing": True}).all()


def themes_to_undo(session: Session) -> Sequence[int]:
    return session.scalars(select(Theme.id).where(Theme.state == ThemeState.REVOKING).order_by(Theme.id)).all()


def channels_of(session: Session, theme_id: int) -> frozenset[Channel]:
    """The channels on which the theme was opened, in whatever revision."""
    return frozenset(session.scalars(select(Distribution.channel).where(Distribution.theme_id == theme_id).distinct()))


def what_is_left(session: Session, distribution_ids: Collection[int]) -> Left:
    counted = [tallies.by_state(tallies.counts(session, one)) for one in distribution_ids]
    claimable = sum(states.get(state, 0) for states in counted for state in CLAIMABLE_STATES)
    return Left(claimable, sum(states.get(DeliveryState.SENDING, 0) for states in counted))


def count_cancelled(session: Session, *, theme_id: int, channel: Channel) -> int:
    own = (Distribution.theme_id == theme_id) & (Distribution.channel == channel)
    query = select(Distribution.id).where(own, Distribution.purpose == Purpose.THEME)
    return sum(tallies.of(session, one, DeliveryState.CANCELLED) for one in session.scalars(query).all())


def forget_alerts(session: Session, keys: Collection[str]) -> None:
    """What ops had to know is so no more."""
    session.execute(delete(Alert).where(Alert.key.in_(keys)))
