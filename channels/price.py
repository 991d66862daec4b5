"""What a message costs: an amount per recipient, or per segment of a text, in the product line's currency."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class PricedPer(StrEnum):
    RECIPIENT = "recipient"
    SEGMENT = "segment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """`amount` is in whole units of the currency, such as pounds: one message may cost less than a penny."""

    amount: Decimal
    per: PricedPer

    def of(self, *, recipients: int, segments: int | None = None) -> Decimal:
        """`segments` are those of all the messages together; needed where they are what is paid for."""
        if self.per is PricedPer.RECIPIENT:
            return self.amount * recipients
        if segments is None:
            raise ValueError("this price is per segment: say how many there are")
        return self.amount * segments
