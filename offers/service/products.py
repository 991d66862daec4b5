"""The catalogue of a product line, brought in."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from models.queries import catalogue, live_offers, themes
from offers.errors import ProductLineUnknown
from offers.product_file import read_products
from themes import money


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    product_line: str
    in_file: int
    inserted: int
    updated: int


def import_products(session: Session, lines: Iterable[str], *, where: str, product_line: str) -> Imported:
    """Bring in all products of a file, or none. The same file again changes nothing; nothing is taken away.

    Raises:
        ProductLineUnknown
        ProductsInvalid: with the first problems of the file.
    """
    line = themes.product_line_by_key(session, product_line)
    if line is None:
        raise ProductLineUnknown(key=product_line, known=themes.product_line_keys(session))
    read = read_products(lines, where=where, minor_units=partial(money.minor_units, currency=line.currency))
    rows = ((row.sku, row.name, row.category, row.price, row.brand, row.shop, row.cost, row.floor) for row in read.rows)
    merged = catalogue.merge_products(session, line.id, rows, columns=read.columns)
    if merged.inserted or merged.updated:
        live_offers.changed(session, product_line_id=line.id)  # what a gift is worth comes from here
    return Imported(product_line=line.key, in_file=len(read.rows), inserted=merged.inserted, updated=merged.updated)


def guard_margin(session: Session, *, product_line: str, least: int | None) -> None:
    """Let no offer bring a product's margin below a share of what is paid, basis points; None: any margin will do.

    Of a product whose cost is not known there is no margin to keep.

    Raises:
        ProductLineUnknown
    """
    line = themes.product_line_by_key(session, product_line)
    if line is None:
        raise ProductLineUnknown(key=product_line, known=themes.product_line_keys(session))
    line.least_margin_bp = least
    live_offers.changed(session, product_line_id=line.id)
