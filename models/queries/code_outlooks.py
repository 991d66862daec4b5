"""What a preflight says of codes: how many people need one of a coupon, and how many there are for them."""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Integer, cast, func, select, union
from sqlalchemy.orm import Session

from channels.states import Channel, DeliveryState
from models.offer import Code, CodePool
from models.queries.eligibility import verdicts
from models.queries.outlooks import Staged


class CodeCount(NamedTuple):
    recipients: int  # people whom some message with a code of the coupon would reach
    codes: int  # those that are theirs already, and the free ones


def count_codes(
    session: Session, staged: Staged, *, theme_id: int, coupon: str, channels: Collection[Channel], product_line_id: int
) -> CodeCount | None:
    """None where all share one code. Of people who share an address one gets the message, and needs a code."""
    pool = session.execute(
        select(CodePool.id, CodePool.shared).where(CodePool.theme_id == theme_id, CodePool.offer == coupon)
    ).one_or_none()
    if pool is not None and pool.shared is not None:
        return None
    found = [verdicts(staged.members, channel=one, product_line_id=product_line_id).subquery() for one in channels]
    reached = union(
        *(
            select(func.min(one.c.customer_id).label("id"))
            .where(one.c.verdict == DeliveryState.PLANNED.value)
            .group_by(one.c.address)
            for one in found
        )
    ).subquery("reached")
    of_pool = Code.pool_id == (None if pool is None else pool.id)
    own = select(func.count(), func.count(Code.number)).select_from(reached)
    recipients, theirs = session.execute(own.outerjoin(Code, of_pool & (Code.customer_id == reached.c.id))).one()
    free = select(cast(func.count(), Integer)).where(of_pool, Code.customer_id.is_(None), Code.held_id.is_(None))
    return CodeCount(recipients, theirs + session.scalars(free).one())
