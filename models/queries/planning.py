"""Planning: one row per address of the audience, and one line for everybody who gets none."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, delete, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.states import DeliveryState
from models.customer import Address, Consent, Suppression
from models.delivery import Delivery, Distribution, LeftOut


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
        Delivery.due_at: literal(now),
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
