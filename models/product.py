from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Product(Base):
    __tablename__ = "products"
    __table_args__ = (UniqueConstraint("product_line_id", "sku"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    sku: Mapped[str]
    name: Mapped[str]
    category: Mapped[str] = mapped_column(index=True)
    unit_price_minor: Mapped[int]  # in the product line's currency
    shop: Mapped[str | None]
    brand: Mapped[str | None]
    cost_minor: Mapped[int | None]  # of one unit, in the same currency; None: not known
    floor_minor: Mapped[int | None]  # no offer brings one unit below it; None: nothing keeps it up
