"""Orders that customers placed, as the carts that they were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

_CARTS = text("""
    WITH latest AS (
        SELECT DISTINCT ON (o.customer_id) o.id, o.customer_id
        FROM orders o JOIN themes t ON t.id = :theme_id AND t.product_line_id = o.product_line_id
        WHERE o.kept AND o.kept_total_minor >= :at_least
          AND EXISTS (SELECT FROM deliveries d WHERE d.theme_id = t.id AND d.customer_id = o.customer_id)
        ORDER BY o.customer_id, o.placed_at DESC, o.id
    )
    SELECT c.external_id, p.sku, l.kept_quantity AS qty, l.unit_price_minor AS price
    FROM (SELECT * FROM latest ORDER BY customer_id LIMIT :most) AS latest
    JOIN customers c ON c.id = latest.customer_id
    JOIN order_lines l ON l.order_id = latest.id AND l.kept_quantity > 0 AND l.unit_price_minor > 0
    JOIN products p ON p.id = l.product_id
    ORDER BY latest.customer_id, l.position
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class RealCart:
    """What a customer bought once. `lines`: sku, qty, price of one unit in minor units."""

    customer: str
    lines: Sequence[Mapping[str, Any]]


def of_addressed(session: Session, *, theme_id: int, at_least: int, most: int) -> Sequence[RealCart]:
    """The last orders of customers whom a theme was sent to, of at least so much in minor units."""
    rows = session.execute(_CARTS, {"theme_id": theme_id, "at_least": at_least, "most": most}).mappings().all()
    return [
        RealCart(customer=customer, lines=[{name: row[name] for name in ("sku", "qty", "price")} for row in own])
        for customer, own in groupby(rows, key=itemgetter("external_id"))
    ]
