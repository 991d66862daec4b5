"""Who of an audience gets a message on a channel, and who does not, and why: for preflight and plan alike."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, and_, case, literal, null, select, true
from sqlalchemy.orm import InstrumentedAttribute, aliased

from channels.states import Channel, DeliveryState
from models.customer import Address, Consent, Suppression

NO_ADDRESS, INVALID, NO_CONSENT, DUPLICATE = "no_address", "invalid", "no_consent", "duplicate"
#: A forecast: as things are a cap would stop the message when it is about to leave.
OVER_CAP = "over_cap"
#: There is a row for her once the pool has a code for her.
NO_CODE = "no_code"
#: Verdicts that make a row; all others leave a customer out.
ROW_VERDICTS = (DeliveryState.PLANNED.value, DeliveryState.SUPPRESSED.value, OVER_CAP)


class Bounds(NamedTuple):
    """The lowest and the highest of some customers' ids."""

    first: int
    last: int


def within(bounds: Bounds | None, customer_id: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """What PostgreSQL does not conclude from a join: it need read no more of a table than that."""
    return true() if bounds is None else customer_id.between(*bounds)


def verdicts(
    people: FromClause,
    *,
    channel: Channel,
    product_line_id: int,
    capped: Select[Any] | None = None,
    bounds: Bounds | None = None,
) -> Select[Any]:
    """A row for each customer and address: customer_id, address_id, address, verdict, cap; one for who has no address.

    `people` has a column `customer_id`; `capped` selects who of them has had enough, and by which cap. A verdict is the
    state that the delivery begins in, or the reason why there is none; that of somebody who is over a cap begins
    `planned`. All of `people` lie within the `bounds`.
    """
    customer_id = people.c.customer_id
    stop = aliased(Suppression)
    over = capped.subquery("over_cap") if capped is not None else None
    verdict = case(
        (Address.id.is_(None), NO_ADDRESS),
        (~Address.valid, INVALID),
        (Consent.granted.is_not(True), NO_CONSENT),
        (stop.id.is_not(None), DeliveryState.SUPPRESSED.value),
        *([(over.c.cap.is_not(None), OVER_CAP)] if over is not None else []),
        else_=literal(DeliveryState.PLANNED.value),
    )
    stopped = and_(stop.product_line_id == product_line_id, stop.channel == channel, stop.address == Address.address)
    query = (
        select(
            customer_id,
            Address.id.label("address_id"),
            Address.address,
            verdict.label("verdict"),
            (null() if over is None else over.c.cap).label("cap"),
        )
        .select_from(people)
        .outerjoin(
            Address,
            and_(
                Address.customer_id == customer_id,
                Address.channel == channel,
                within(bounds, Address.customer_id),
            ),
        )
        .outerjoin(
            Consent,
            and_(
                Consent.customer_id == customer_id,
                Consent.channel == channel,
                within(bounds, Consent.customer_id),
            ),
        )
        .outerjoin(stop, stopped)
    )
    return query if over is None else query.outerjoin(over, over.c.customer_id == customer_id)
