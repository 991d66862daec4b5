"""Planning: one row per address of the audience, and one line for everybody who gets none; and giving it back."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.states import MAY_BE_REACHED_STATES, Channel, DeliveryState, Purpose
from models.customer import Address, Consent, Suppression
from models.delivery import Attempt, Delivery, Distribution, DistributionState, LeftOut


def insert_missing(
    session: Session, *, distribution: Distribution, product_line_id: int, audience: Select[Any], now: datetime
) -> int:
    """Insert the rows that are not there yet, in one statement; returns how many.

    `audience` selects customer ids. Who has a valid address and gave consent gets a row; an address that is suppressed
    gets one too, in state `suppressed`, so that the rows of a distribution always sum to what was planned. Of customers
    that share an address the first one has the row.
    """
    customer_id = audience.subquery("audience").c[0]
    suppressed = (
        select(literal(1))
        .where(
            Suppression.product_line_id == product_line_id,
            Suppression.channel == distribution.channel,
            Suppression.address == Address.address,
        )
        .exists()
    )
    name = f"{distribution.theme_id}:{distribution.revision_id}:{distribution.channel.value}:"
    columns: Mapping[Any, Any] = {
        Delivery.id: func.delivery_id(literal(name).concat(Address.address)),
        Delivery.distribution_id: literal(distribution.id),
        Delivery.theme_id: literal(distribution.theme_id),
        Delivery.channel: literal(distribution.channel, Delivery.channel.type),
        Delivery.customer_id: Address.customer_id,
        Delivery.address: Address.address,
        Delivery.state: case(
            (suppressed, literal(DeliveryState.SUPPRESSED, Delivery.state.type)),
            else_=literal(DeliveryState.PLANNED, Delivery.state.type),
        ),
        Delivery.changed_at: literal(now),
    }
    rows = (
        select(*columns.values())
        .join_from(
            Address, Consent, and_(Consent.customer_id == Address.customer_id, Consent.channel == Address.channel)
        )
        .where(
            Address.customer_id.in_(select(customer_id)),
            Address.channel == distribution.channel,
            Address.valid,
            Consent.granted,
        )
        .order_by(Address.customer_id, Address.id)
    )
    statement = insert(Delivery).from_select(list(columns), rows).on_conflict_do_nothing()
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined] # a CursorResult, which the stubs widen


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


def list_left_out(session: Session, *, distribution: Distribution, audience: Select[Any]) -> None:
    """Write anew who of the audience has no row, and why."""
    session.execute(delete(LeftOut).where(LeftOut.distribution_id == distribution.id))
    customer_id = audience.subquery("audience").c[0]
    reason = case(
        (Address.id.is_(None), "no_address"),
        (~Address.valid, "invalid"),
        (Consent.granted.is_not(True), "no_consent"),
        else_="duplicate",
    )
    own_row = and_(
        Delivery.distribution_id == distribution.id,
        Delivery.address == Address.address,
        Delivery.customer_id == customer_id,
    )
    rows = (
        select(literal(distribution.id), customer_id, Address.address, reason)
        .outerjoin_from(
            customer_id.table,
            Address,
            and_(Address.customer_id == customer_id, Address.channel == distribution.channel),
        )
        .outerjoin(Consent, and_(Consent.customer_id == customer_id, Consent.channel == distribution.channel))
        .where(
            or_(Address.id.is_(None), ~select(literal(1)).where(own_row).correlate(Address, customer_id.table).exists())
        )
    )
    columns = [LeftOut.distribution_id, LeftOut.customer_id, LeftOut.address, LeftOut.reason]
    session.execute(insert(LeftOut).from_select(columns, rows).on_conflict_do_nothing())


def left_out_by_reason(session: Session, distribution_id: int) -> dict[str, int]:
    counted = (
        select(LeftOut.reason, func.count()).where(LeftOut.distribution_id == distribution_id).group_by(LeftOut.reason)
    )
    return {row[0]: row[1] for row in session.execute(counted.order_by(LeftOut.reason))}
