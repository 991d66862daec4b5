"""What all senders of a provider account know together, beside its settings."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class AccountUse(Base):
    """What the account's windows have given out; whoever takes permits holds the row for that moment."""

    __tablename__ = "account_uses"

    account_id: Mapped[int] = mapped_column(
        ForeignKey("provider_accounts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    kept: Mapped[dict[str, Any]]


class AccountCalls(Base):
    """What came of an account's calls within one hour."""

    __tablename__ = "account_calls"

    account_id: Mapped[int] = mapped_column(
        ForeignKey("provider_accounts.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    hour: Mapped[datetime] = mapped_column(primary_key=True)  # its beginning
    accepted: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
    accepted_at: Mapped[datetime | None]  # the last time
    refused_at: Mapped[datetime | None]
    last_words: Mapped[str | None]  # of the provider, when it last refused
