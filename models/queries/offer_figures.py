"""What came of the offers of launched themes: counted by them, and by the orders that used them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.offer import HeldCoupon, LiveOffer

# Orders that were cancelled are none, whether or not their offers came back.
_ORDERS = text("""
    WITH kept AS (
        SELECT DISTINCT CASE WHEN CAST(:by_offer AS bool) THEN o.offer ELSE '' END AS offer, r.id
        FROM live_offers o
        JOIN redemption_uses u ON u.offer_id = o.id
        JOIN redemptions r ON r.id = u.redemption_id AND r.state = 'redeemed'
        WHERE o.theme_id = :theme_id
    )
    SELECT kept.offer, count(*) AS orders, coalesce(sum(r.payable_minor), 0)::bigint AS gmv,
           coalesce(sum(r.refunded_minor), 0)::bigint AS refunded,
           CASE WHEN bool_and(r.cost_minor IS NOT NULL)
                THEN sum(r.list_minor - r.discount_minor - r.cost_minor - coalesce(back.goods, 0))::bigint
           END AS profit,
           count(DISTINCT r.customer_id) FILTER (WHERE r.new_customer) AS new_customers
    FROM kept
    JOIN redemptions r ON r.id = kept.id
    LEFT JOIN LATERAL (
        SELECT sum(goods_minor) AS goods FROM order_refunds f WHERE f.redemption_id = r.id
    ) AS back ON true
    GROUP BY kept.offer
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFigures:
    """Of orders that are kept; money in minor units."""

    orders: int = 0
    gmv: int = 0  # what was paid for goods and freight, before refunds
    refunded: int = 0
    profit: int | None = None  # None: not known of every order
    new_customers: int = 0


def of_theme(session: Session, theme_id: int) -> Sequence[LiveOffer]:
    """As its launched revision has them, coupons first."""
    query = select(LiveOffer).where(LiveOffer.theme_id == theme_id)
    return session.scalars(query.order_by(LiveOffer.kind.desc(), LiveOffer.offer)).all()


def coupons_claimed(session: Session, theme_id: int) -> int:
    """What came in a package counts, the package itself does not: nobody holds one."""
    query = select(func.count()).select_from(HeldCoupon).join(LiveOffer, LiveOffer.id == HeldCoupon.offer_id)
    return session.scalar(query.where(LiveOffer.theme_id == theme_id)) or 0


def orders_by_offer(session: Session, theme_id: int) -> Mapping[str, OrderFigures]:
    """An order that used several offers counts with each."""
    return _orders(session, theme_id, by_offer=True)


def orders_of(session: Session, theme_id: int) -> OrderFigures:
    """Each order once."""
    return _orders(session, theme_id, by_offer=False).get("", OrderFigures())


def _orders(session: Session, theme_id: int, *, by_offer: bool) -> Mapping[str, OrderFigures]:
    rows = session.execute(_ORDERS, {"theme_id": theme_id, "by_offer": by_offer}).mappings()
    found: dict[str, OrderFigures] = {}
    for row in rows:
        values: dict[str, Any] = {name: value for name, value in row.items() if name != "offer"}
        found[row["offer"]] = OrderFigures(**values)
    return found
