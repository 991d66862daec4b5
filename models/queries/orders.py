"""Products, orders and their lines: brought in, counted, multiplied."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.queries.staging import Merged, merge, stage

#: (sku, name, category, unit price in minor units)
ProductRow = tuple[str, str, str, int]
#: (number, external id of the customer, placed at, kept, kept total in minor units)
OrderRow = tuple[str, str, datetime, bool, int]
#: (order number, position, sku or None for a fee, label, quantity, kept quantity, unit price in minor units)
LineRow = tuple[str, int, str | None, str, int, int, int]


def merge_products(session: Session, product_line_id: int, rows: Iterable[ProductRow]) -> Merged:
    columns = {"sku": "text", "name": "text", "category": "text", "unit_price_minor": "integer"}
    stage(session, "staged_products", columns, rows)
    return merge(
        session,
        """
        INSERT INTO products (product_line_id, sku, name, category, unit_price_minor)
        SELECT :product_line_id, sku, name, category, unit_price_minor FROM staged_products
        ON CONFLICT (product_line_id, sku) DO UPDATE
        SET name = excluded.name, category = excluded.category, unit_price_minor = excluded.unit_price_minor
        WHERE (products.name, products.category, products.unit_price_minor)
              IS DISTINCT FROM (excluded.name, excluded.category, excluded.unit_price_minor)
        """,
        product_line_id=product_line_id,
    )


def merge_orders(session: Session, product_line_id: int, rows: Iterable[OrderRow]) -> Merged:
    """Customers must be there already."""
    columns = {"number": "text", "external_id": "text", "placed_at": "timestamptz", "kept": "boolean"}
    stage(session, "staged_orders", columns | {"kept_total_minor": "bigint"}, rows)
    return merge(
        session,
        """
        INSERT INTO orders (product_line_id, customer_id, number, placed_at, kept, kept_total_minor)
        SELECT c.product_line_id, c.id, s.number, s.placed_at, s.kept, s.kept_total_minor
        FROM staged_orders s JOIN customers c ON c.product_line_id = :product_line_id AND c.external_id = s.external_id
        ON CONFLICT (product_line_id, number) DO UPDATE
        SET customer_id = excluded.customer_id, placed_at = excluded.placed_at,
            kept = excluded.kept, kept_total_minor = excluded.kept_total_minor
        WHERE (orders.customer_id, orders.placed_at, orders.kept, orders.kept_total_minor)
              IS DISTINCT FROM (excluded.customer_id, excluded.placed_at, excluded.kept, excluded.kept_total_minor)
        """,
        product_line_id=product_line_id,
    )


def merge_order_lines(session: Session, product_line_id: int, rows: Iterable[LineRow]) -> Merged:
    """Orders and products must be there already."""
    columns = {"number": "text", "position": "integer", "sku": "text", "label": "text", "quantity": "integer"}
    stage(session, "staged_lines", columns | {"kept_quantity": "integer", "unit_price_minor": "integer"}, rows)
    return merge(
        session,
        """
        INSERT INTO order_lines (order_id, position, product_id, label, quantity, kept_quantity, unit_price_minor)
        SELECT o.id, s.position, p.id, s.label, s.quantity, s.kept_quantity, s.unit_price_minor
        FROM staged_lines s
        JOIN orders o ON o.product_line_id = :product_line_id AND o.number = s.number
        LEFT JOIN products p ON p.product_line_id = :product_line_id AND p.sku = s.sku
        ON CONFLICT (order_id, position) DO UPDATE
        SET product_id = excluded.product_id, label = excluded.label, quantity = excluded.quantity,
            kept_quantity = excluded.kept_quantity, unit_price_minor = excluded.unit_price_minor
        WHERE (order_lines.product_id, order_lines.label, order_lines.quantity,
               order_lines.kept_quantity, order_lines.unit_price_minor)
              IS DISTINCT FROM
              (excluded.product_id, excluded.label, excluded.quantity,
               excluded.kept_quantity, excluded.unit_price_minor)
        """,
        product_line_id=product_line_id,
    )


def generate_orders(session: Session) -> None:
    """Orders for the customers that `generate_customers` has just made, each after its pattern's; without lines."""
    session.execute(
        text(
            """
            INSERT INTO orders (product_line_id, customer_id, number, placed_at, kept, kept_total_minor)
            SELECT o.product_line_id, g.customer_id, o.number || '-g' || g.number,
                   o.placed_at, o.kept, o.kept_total_minor
            FROM generated g JOIN orders o ON o.customer_id = g.pattern_id
            """
        )
    )
