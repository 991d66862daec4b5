"""Whom a theme would reach, counted before anything is planned."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, and_, func, literal, or_, select
from sqlalchemy.orm import Session

from channels.states import Channel
from models.customer import Address, Consent, Customer, Suppression


def size(session: Session, audience: Select[Any]) -> int:
    return session.scalars(select(func.count()).select_from(audience.subquery())).one()


def recipients(session: Session, *, audience: Select[Any], channel: Channel, product_line_id: int) -> int:
    """Distinct addresses that planning would give a delivery that may leave."""
    query = select(func.count(func.distinct(Address.address)))
    return int(session.scalars(_reachable(query, audience, channel, product_line_id)).one())


def lacking(
    session: Session, *, audience: Select[Any], channel: Channel, product_line_id: int, column: str
) -> Sequence[str]:
    """External ids of the recipients in whose row a column is empty."""
    value = Customer.__table__.c[column]
    query = select(Customer.external_id).distinct().order_by(Customer.external_id)
    empty = or_(value.is_(None), func.trim(value) == "")
    return session.scalars(_reachable(query, audience, channel, product_line_id).where(empty)).all()


def sample_customer(
    session: Session, *, audience: Select[Any], channel: Channel, product_line_id: int
) -> Customer | None:
    """The first recipient, for a preview; None where the channel reaches nobody."""
    query = select(Customer).order_by(Customer.id).limit(1)
    found: Customer | None = session.scalar(_reachable(query, audience, channel, product_line_id))
    return found


def _reachable(query: Select[Any], audience: Select[Any], channel: Channel, product_line_id: int) -> Select[Any]:
    suppressed = select(literal(1)).where(
        Suppression.product_line_id == product_line_id,
        Suppression.channel == channel,
        Suppression.address == Address.address,
    )
    consented = and_(Consent.customer_id == Customer.id, Consent.channel == channel, Consent.granted)
    return (
        query.select_from(Customer)
        .join(Address, and_(Address.customer_id == Customer.id, Address.channel == channel, Address.valid))
        .join(Consent, consented)
        .where(Customer.id.in_(audience), ~suppressed.exists())
    )
