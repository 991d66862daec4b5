"""How an amount of money is parted: the parts are whole, and always sum to what was given out.

Largest remainder (Hamilton's method): each part gets its share rounded down, and what is left goes, a minor unit each,
to those that lost most by the rounding, to the earlier of two that lost the same.
"""

from collections.abc import Sequence
from operator import le

WHOLE = 10_000  # basis points


def share_of(amount: int, basis_points: int) -> int:
    """So many basis points of an amount that is not negative, rounded half up."""
    return (amount * basis_points + WHOLE // 2) // WHOLE


def split(amount: int, weights: Sequence[int], caps: Sequence[int] | None = None) -> list[int]:
    """Part an amount by weights; no part is larger than its cap, where there are caps, and a weight of 0 takes nothing.

    What a capped part cannot take is split over the others, by their weights again. The parts sum to the amount, or to
    all that can be taken where that is less.
    """
    if caps is None:
        return _by_largest_remainder(amount, weights)
    room = [cap if weight else 0 for weight, cap in zip(weights, caps, strict=True)]
    if amount >= sum(room):
        return room
    parts, left = [0] * len(weights), amount
    while left:
        still_open = [weight if most > part else 0 for weight, most, part in zip(weights, room, parts, strict=True)]
        parts = [part + more for part, more in zip(parts, _by_largest_remainder(left, still_open), strict=True)]
        if all(map(le, parts, room)):
            return parts
        parts = [min(part, most) for part, most in zip(parts, room, strict=True)]
        left = amount - sum(parts)
    return parts


def _by_largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    short = amount - sum(parts)
    if short:
        lost = [amount * weight % total for weight in weights]
        # sorting is stable, backwards too: of two that lost the same the earlier stays first
        for at in sorted(range(len(weights)), key=lost.__getitem__, reverse=True)[:short]:
            parts[at] += 1
    return parts
