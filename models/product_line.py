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
