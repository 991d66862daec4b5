from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class RulePreset(Base):
    """A version of a rule preset that was applied beside those that come with the project. It never changes."""

    __tablename__ = "rule_presets"
    __table_args__ = (UniqueConstraint("name", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int]
    content: Mapped[str]  # JSON, its keys in the order in which they are shown
    hash: Mapped[str]  # SHA-256 of the content
    applied_by: Mapped[str]
    applied_at: Mapped[datetime]
