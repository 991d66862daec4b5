"""Giving a plan back."""

from collections import Counter

from sqlalchemy import delete, literal, select, update
from sqlalchemy.orm import Session

from channels.states import MAY_BE_REACHED_STATES, Channel, DeliveryState
from models.delivery import Attempt, Delivery, Distribution, DistributionState


def delete_untried(session: Session, *, theme_id: int) -> dict[Channel, int]:
    """Delete the rows of a theme that nobody ever tried to send; returns how many per channel."""
    tried = select(literal(1)).where(Attempt.delivery_seq == Delivery.seq).exists()
    maybe = [DeliveryState.SENDING, *MAY_BE_REACHED_STATES]
    never = (Delivery.tries == 0) & Delivery.call_began_at.is_(None) & Delivery.state.not_in(maybe)
    statement = (
        delete(Delivery)
        .where(Delivery.theme_id == theme_id, never, ~tried)
        .returning(Delivery.channel)
        .execution_options(synchronize_session=False)
    )
    return dict(Counter(session.scalars(statement)))


def close_distributions(session: Session, *, theme_id: int) -> None:
    """Delete the distributions of a theme that have no row any more; close the others."""
    own = Distribution.theme_id == theme_id
    has_rows = select(literal(1)).where(Delivery.distribution_id == Distribution.id).exists()
    unsynchronised = {"synchronize_session": False}
    session.execute(delete(Distribution).where(own, ~has_rows), execution_options=unsynchronised)
    closed = update(Distribution).where(own).values(state=DistributionState.CANCELLED)
    session.execute(closed, execution_options=unsynchronised)
