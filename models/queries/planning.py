"""Rows of corrections, and giving a plan back; the plan of a theme itself is in `plans`."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.states import MAY_BE_REACHED_STATES, Channel, DeliveryState, Purpose
from models.customer import Consent, Suppression
from models.delivery import Attempt, Delivery, Distribution, DistributionState


def insert_corrections(session: Session, *, distribution: Distribution, product_line_id: int, now: datetime) -> int:
    """One row for everybody whom the theme reached, or may have, on the channel of a correction; returns how many.

    Who was suppressed or withdrew consent since has a row as well, in state `suppressed`.
    """
    theirs = Delivery.__table__.alias("reached")
    blocked = select(literal(1)).where(
        Suppression.product_line_id == product_line_id,
        Suppression.channel == distribution.channel,
        Suppression.address == theirs.c.address,
    )
    consented = select(literal(1)).where(
        Consent.customer_id == theirs.c.customer_id, Consent.channel == distribution.channel, Consent.granted
    )
    name = f"{distribution.theme_id}:{distribution.revision_id}:{distribution.channel.value}:{Purpose.CORRECTION}:"
    columns: Mapping[Any, Any] = {
        Delivery.id: func.delivery_id(literal(name).concat(theirs.c.address)),
        Delivery.distribution_id: literal(distribution.id),
        Delivery.theme_id: literal(distribution.theme_id),
        Delivery.channel: literal(distribution.channel, Delivery.channel.type),
        Delivery.purpose: literal(Purpose.CORRECTION, Delivery.purpose.type),
        Delivery.customer_id: theirs.c.customer_id,
        Delivery.address: theirs.c.address,
        Delivery.state: case(
            (or_(blocked.exists(), ~consented.exists()), literal(DeliveryState.SUPPRESSED, Delivery.state.type)),
            else_=literal(DeliveryState.PLANNED, Delivery.state.type),
        ),
        Delivery.changed_at: literal(now),
    }
    reached = select(*columns.values()).where(
        theirs.c.theme_id == distribution.theme_id,
        theirs.c.channel == distribution.channel,
        theirs.c.purpose == Purpose.THEME,
        theirs.c.state.in_(MAY_BE_REACHED_STATES),
    )
    statement = insert(Delivery).from_select(list(columns), reached).on_conflict_do_nothing()
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined] # a CursorResult, which the stubs widen


def delete_untried(session: Session, *, theme_id: int) -> dict[Channel, int]:
    """Delete the rows of a theme that nobody ever tried to send; returns how many per channel."""
    tried = select(literal(1)).where(Attempt.delivery_seq == Delivery.seq).exists()
    never = (Delivery.tries == 0) & Delivery.call_began_at.is_(None) & (Delivery.state != DeliveryState.SENDING)
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
