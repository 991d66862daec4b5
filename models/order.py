from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Order(Base):
    """An order as placed; `kept` while cancellations have left anything of it."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("product_line_id", "number"),
        Index("ix_orders_customer_id_placed_at", "customer_id", "placed_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"))
    number: Mapped[str]
    placed_at: Mapped[datetime]
    kept: Mapped[bool]
    kept_total_minor: Mapped[int] = mapped_column(BigInteger)  # net of cancellations, product line's currency


class OrderLine(Base):
    __tablename__ = "order_lines"
    __table_args__ = (UniqueConstraint("order_id", "position"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    position: Mapped[int]
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"), index=True)  # None: a fee, no product
    label: Mapped[str]
    quantity: Mapped[int]
    kept_quantity: Mapped[int]  # net of cancellations
    unit_price_minor: Mapped[int]
