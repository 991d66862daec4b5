from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class OfferExclusion(Base):
    """Two offers of different themes that may not take effect together; once, the theme of the lower id first.

    It stays as long as the file of either side names it.
    """

    __tablename__ = "exclusions"
    __table_args__ = (
        CheckConstraint("one_theme_id < other_theme_id", name="once"),
        CheckConstraint("by_one OR by_other", name="named"),
        Index("ix_exclusions_other_theme_id", "other_theme_id"),
    )

    one_theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"), primary_key=True)
    one_offer: Mapped[str] = mapped_column(primary_key=True)
    other_theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"), primary_key=True)
    other_offer: Mapped[str] = mapped_column(primary_key=True)
    by_one: Mapped[bool]  # whether the file of its theme names the pair
    by_other: Mapped[bool]
