"""Products, as offers name them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.product import Product
from models.queries.arrays import text_array
from models.queries.staging import Merged, merge, stage

# Scopes tell products apart by shop, category and brand, and by the SKUs that they name: of those that they do not name
# one for each shop, category and brand stands for all.
_REPRESENTATIVES = text("""
    SELECT sku, name, shop, category, brand FROM products
    WHERE product_line_id = :product_line_id AND sku = ANY(CAST(:named AS text[]))
    UNION ALL
    SELECT p.sku, p.name, p.shop, p.category, p.brand FROM (
        SELECT min(sku) AS sku FROM products
        WHERE product_line_id = :product_line_id AND sku <> ALL(CAST(:named AS text[]))
        GROUP BY shop, category, brand
    ) AS first JOIN products p ON p.product_line_id = :product_line_id AND p.sku = first.sku
    ORDER BY sku
""")


#: (sku, name, category, unit price, brand, shop, cost and floor of a unit), money in minor units
ProductRow = tuple[str, str, str, int, str | None, str | None, int | None, int | None]
_OPTIONAL = {"brand": "text", "shop": "text", "cost_minor": "integer", "floor_minor": "integer"}

# Of products that no offer tells apart and that cost the same, the one that is dearest to buy in stands for all; of
# those whose cost is not known any one does.
_PRICED = text("""
    SELECT DISTINCT ON (shop, category, brand, unit_price_minor, floor_minor, cost_minor IS NULL, named)
           sku, name, unit_price_minor, cost_minor, floor_minor, shop, category, brand
    FROM (
        SELECT *, CASE WHEN sku = ANY(CAST(:named AS text[])) THEN sku END AS named FROM products
        WHERE product_line_id = :product_line_id AND unit_price_minor > 0
    ) AS p
    ORDER BY shop, category, brand, unit_price_minor, floor_minor, cost_minor IS NULL, named, cost_minor DESC, sku
""")


@dataclass(frozen=True, slots=True)
class PricedProduct:
    """Money is of one unit, in minor units."""

    sku: str
    name: str
    price: int
    cost: int | None
    floor: int | None
    shop: str | None
    category: str
    brand: str | None


@dataclass(frozen=True, slots=True)
class CatalogueProduct:
    sku: str
    name: str
    shop: str | None
    category: str
    brand: str | None


def categories(session: Session) -> Sequence[str]:
    return session.scalars(select(Product.category).distinct().order_by(Product.category)).all()


def representatives(session: Session, *, product_line_id: int, named: Collection[str]) -> Sequence[CatalogueProduct]:
    """Products that stand for the whole catalogue of a product line before scopes that name no other SKUs.

    Whether two such scopes share a product is the same among these as among all; there may be a million of those.
    """
    values = {"product_line_id": product_line_id, "named": text_array(sorted(named))}
    return [CatalogueProduct(*row) for row in session.execute(_REPRESENTATIVES, values)]


def priced(session: Session, *, product_line_id: int, named: Collection[str]) -> Sequence[PricedProduct]:
    """Products at whose prices and costs the worst of all stands, before scopes that name no other SKUs."""
    values = {"product_line_id": product_line_id, "named": text_array(sorted(named))}
    return [PricedProduct(*row) for row in session.execute(_PRICED, values)]


def merge_products(
    session: Session, product_line_id: int, rows: Iterable[ProductRow], *, columns: Collection[str]
) -> Merged:
    """Bring products in. What of `brand`, `shop`, `cost` and `floor` is not among the `columns` stays as it is."""
    types = {"sku": "text", "name": "text", "category": "text", "unit_price_minor": "integer"}
    stage(session, "staged_products", types | _OPTIONAL, rows)
    return merge(
        session,
        """
        INSERT INTO products AS p (product_line_id, sku, name, category, unit_price_minor, brand, shop, cost_minor,
                                   floor_minor)
        SELECT :product_line_id, s.sku, s.name, s.category, s.unit_price_minor,
               CASE WHEN :brand THEN s.brand ELSE old.brand END,
               CASE WHEN :shop THEN s.shop ELSE old.shop END,
               CASE WHEN :cost THEN s.cost_minor ELSE old.cost_minor END,
               CASE WHEN :floor THEN s.floor_minor ELSE old.floor_minor END
        FROM staged_products s
        LEFT JOIN products old ON old.product_line_id = :product_line_id AND old.sku = s.sku
        ORDER BY s.sku
        ON CONFLICT (product_line_id, sku) DO UPDATE
        SET name = excluded.name, category = excluded.category, unit_price_minor = excluded.unit_price_minor,
            brand = excluded.brand, shop = excluded.shop, cost_minor = excluded.cost_minor,
            floor_minor = excluded.floor_minor
        WHERE (p.name, p.category, p.unit_price_minor, p.brand, p.shop, p.cost_minor, p.floor_minor)
              IS DISTINCT FROM (excluded.name, excluded.category, excluded.unit_price_minor,
                                excluded.brand, excluded.shop, excluded.cost_minor, excluded.floor_minor)
        """,
        product_line_id=product_line_id,
        **{name: name in columns for name in ("brand", "shop", "cost", "floor")},
    )
