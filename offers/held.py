"""A coupon in somebody's hands, as it is told."""

from dataclasses import dataclass
from datetime import datetime

from offers.states import HeldState, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCouponView:
    """`offer` and `package` are named as THEME/OFFER. It may be used from `valid_from`, and before `valid_to`."""

    id: int
    offer: str
    state: HeldState
    source: Source
    claimed_at: datetime
    valid_from: datetime
    valid_to: datetime
    package: str | None = None
    locked_for: str | None = None
