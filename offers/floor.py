"""Below what no offer brings a product: its lowest price, and the guard of its margin. Amounts are minor units."""

from offers.allocation import WHOLE


def floor_of(*, price: int, lowest: int | None, cost: int | None, least_margin_bp: int | None) -> int:
    """Of one unit. What is sold below its floor already is not raised.

    Args:
        price: what a unit costs before any offer.
        lowest: the lowest price that is set for it; None: there is none.
        cost: what it was bought for; None: not known, so that no margin can be kept.
        least_margin_bp: the share of the price that has to be left above the cost, basis points; None: any.
    """
    by_margin = 0 if cost is None or least_margin_bp is None else -(-cost * WHOLE // (WHOLE - least_margin_bp))
    return min(price, max(lowest or 0, by_margin))
