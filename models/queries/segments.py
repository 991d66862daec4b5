"""Who is in a segment, by one pass over customers and orders for any number of segments."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, func, or_, select
from sqlalchemy.orm import Session

from audience.segments import Segment
from models.customer import Customer
from models.order import Order


def audience_select(
    *, include: Sequence[Segment], exclude: Sequence[Segment], product_line_id: int, as_of: datetime
) -> Select[tuple[int]]:
    """Ids of the customers in any of `include` and none of `exclude`; nobody when `include` is empty."""
    facts = _facts(product_line_id, as_of)
    included = or_(False, *(_holds(segment, facts, as_of) for segment in include))  # noqa: FBT003 - the empty or
    excluded = or_(False, *(_holds(segment, facts, as_of) for segment in exclude))  # noqa: FBT003 - the empty or
    return select(facts.c.customer_id).where(included, ~excluded)


def members_select(
    *, include: Sequence[Segment], exclude: Sequence[Segment], product_line_id: int, as_of: datetime
) -> Select[Any]:
    """The same customers: customer_id, country, timezone; for each of `include` a column, whether they are in it."""
    facts = _facts(product_line_id, as_of)
    flags = [_holds(segment, facts, as_of).label(segment.name) for segment in include]
    excluded = or_(False, *(_holds(segment, facts, as_of) for segment in exclude))  # noqa: FBT003 - the empty or
    place = (facts.c.country, facts.c.timezone)
    return select(facts.c.customer_id, *place, *flags).where(or_(False, *flags), ~excluded)  # noqa: FBT003 - the empty or


def audience_size(
    session: Session,
    *,
    include: Sequence[Segment],
    exclude: Sequence[Segment],
    product_line_id: int,
    as_of: datetime,
) -> int:
    chosen = audience_select(include=include, exclude=exclude, product_line_id=product_line_id, as_of=as_of)
    return session.scalars(select(func.count()).select_from(chosen.subquery())).one()


def segment_counts(
    session: Session, segments: Sequence[Segment], *, product_line_id: int, as_of: datetime
) -> dict[str, int]:
    """Customers per segment name; the segments overlap."""
    facts = _facts(product_line_id, as_of)
    counts = [func.count().filter(_holds(segment, facts, as_of)) for segment in segments]
    row = session.execute(select(*counts).select_from(facts)).one()
    return {segment.name: count for segment, count in zip(segments, row, strict=True)}


def _facts(product_line_id: int, as_of: datetime) -> Subquery:
    """Per customer what segments ask: orders placed, orders kept, the last kept one; all up to the instant."""
    ordered = (
        select(
            Order.customer_id,
            func.count().label("placed"),
            func.count().filter(Order.kept).label("kept"),
            func.max(Order.placed_at).filter(Order.kept).label("last_kept_at"),
        )
        .where(Order.product_line_id == product_line_id, Order.placed_at <= as_of)
        .group_by(Order.customer_id)
        .subquery("ordered")
    )
    return (
        select(
            Customer.id.label("customer_id"),
            Customer.registered,
            Customer.country,
            Customer.timezone,
            func.coalesce(ordered.c.placed, 0).label("placed"),
            func.coalesce(ordered.c.kept, 0).label("kept"),
            ordered.c.last_kept_at,  # NULL only where `kept` is 0, which settles every condition that asks for it
        )
        .outerjoin(ordered, ordered.c.customer_id == Customer.id)
        .where(Customer.product_line_id == product_line_id)
        .subquery("facts")
    )


def _holds(segment: Segment, facts: Subquery, as_of: datetime) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [facts.c.registered.is_(segment.registered)]
    if segment.has_kept_order is not None:
        conditions.append(facts.c.kept > 0 if segment.has_kept_order else facts.c.kept == 0)
    if segment.fewest_orders is not None:
        conditions.append(facts.c.placed >= segment.fewest_orders)
    if segment.most_orders is not None:
        conditions.append(facts.c.placed <= segment.most_orders)
    if segment.kept_order_within is not None:
        conditions.append(facts.c.last_kept_at > as_of - segment.kept_order_within)
    if segment.no_kept_order_within is not None:
        conditions.append(facts.c.last_kept_at <= as_of - segment.no_kept_order_within)
    return and_(*conditions)
