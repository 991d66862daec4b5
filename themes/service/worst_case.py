"""The worst case of a theme over the catalogue of its product line."""

from collections.abc import Collection, Iterator

from sqlalchemy.orm import Session

from models.product_line import ProductLine
from models.queries import catalogue, themes
from offers.floor import floor_of
from offers.service.presets import catalogue_of
from offers.worst import Product
from themes.theme import Theme
from themes.worst_case import Stacks, stacks_of


def stacks(session: Session, value: Theme) -> Stacks:
    """What its products are sold for at worst, as they are priced now; nothing where nothing is in scope."""
    line = themes.product_line_by_key(session, value.product_line)
    if line is None:
        return {}
    return stacks_of(value, catalogue_of(session), lambda named: _products(session, line, named))


def _products(session: Session, line: ProductLine, named: Collection[str]) -> Iterator[Product]:
    for found in catalogue.priced(session, product_line_id=line.id, named=named):
        yield Product(
            sku=found.sku,
            name=found.name,
            price=found.price,
            cost=found.cost,
            floor=floor_of(
                price=found.price, lowest=found.floor, cost=found.cost, least_margin_bp=line.least_margin_bp
            ),
            shop=found.shop,
            category=found.category,
            brand=found.brand,
        )
