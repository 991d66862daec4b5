"""Who has had all the messages that the caps of a product line allow, as far as is known before anybody is claimed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import FromClause, Integer, Select, Text, cast, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from sqlalchemy.orm import Session

from audience.caps import Since, counting
from audience.limits_file import Limits
from channels.states import Channel
from models.customer import Customer
from models.limits import CapReservation, LineLimits
from models.queries.arrays import plain_array, text_array
from models.queries.eligibility import Bounds, within

Capping = Sequence[Since]


def limits_of(session: Session, product_line_id: int) -> Limits | None:
    found = session.get(LineLimits, product_line_id, populate_existing=True)
    return None if found is None else Limits.model_validate(found.content)


def capping(session: Session, *, product_line_id: int, channel: Channel, now: datetime) -> Capping:
    """The caps on a channel for every zone that customers live in; empty where nothing is capped."""
    limits = limits_of(session, product_line_id)
    caps = limits.caps_on(channel) if limits is not None else ()
    if limits is None or not caps:
        return ()
    zones = select(Customer.timezone).where(Customer.product_line_id == product_line_id).distinct()
    return counting(caps, timezones=session.scalars(zones).all(), fallback=limits.fallback, now=now)


def capped_among(
    people: FromClause, since: Capping, *, bounds: Bounds | None = None, but_of: int | None = None
) -> Select[tuple[int, str]] | None:
    """Of `people`, with a column customer_id: who has had enough, and by which cap. None where nothing is capped.

    Messages of the distribution `but_of` do not count.
    """
    if not since:
        return None
    caps = _counting(since)
    reserved = (
        select(CapReservation.customer_id, caps.c.cap)
        .join_from(people, Customer, Customer.id == people.c.customer_id)
        .join(CapReservation, CapReservation.customer_id == Customer.id)
        .join(caps, caps.c.timezone == Customer.timezone)
        .where(
            within(bounds, CapReservation.customer_id),
            true() if but_of is None else CapReservation.distribution_id != but_of,
            CapReservation.reserved_at >= min(one.since for one in since),
            CapReservation.reserved_at >= caps.c.since,
            cast(CapReservation.channel, Text) == func.any(func.string_to_array(caps.c.channels, ",")),
        )
        .group_by(CapReservation.customer_id, caps.c.cap, caps.c.most)
        .having(func.count() >= caps.c.most)
        .subquery("reserved")
    )
    return select(reserved.c.customer_id, func.min(reserved.c.cap).label("cap")).group_by(reserved.c.customer_id)


def _counting(since: Capping) -> FromClause:
    columns = (
        (text_array(one.cap.name for one in since), Text),
        (plain_array(one.cap.most for one in since), Integer),
        (text_array(one.timezone for one in since), Text),
        (plain_array(one.since for one in since), TIMESTAMP(timezone=True)),
        (text_array(",".join(sorted(one.cap.channels)) for one in since), Text),
    )
    arrays = [cast(literal(value, Text), ARRAY(kind)) for value, kind in columns]
    return func.unnest(*arrays).table_valued("cap", "most", "timezone", "since", "channels").render_derived("counting")
