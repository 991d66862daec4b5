from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class ProductLine(Base):
    """A business whose themes, customers and offers are kept apart from others'."""

    __tablename__ = "product_lines"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    currency: Mapped[str]  # ISO 4217
    tracks_opens: Mapped[bool] = mapped_column(server_default="true")  # whether its letters tell that they were opened
    tracks_clicks: Mapped[bool] = mapped_column(server_default="true")  # and which of their links were followed
    least_margin_bp: Mapped[int | None]  # no offer brings the margin of a product below it, where its cost is known
    #: Counted up with every change of its live offers, so that whoever holds them in memory sees it.
    offers_version: Mapped[int] = mapped_column(BigInteger, server_default="0")
