"""Cancellations against what was ordered before: what remains of each line is kept."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of an order; `kept_quantity` is what cancellations have left of `quantity`."""

    invoice: str
    buyer: str
    at: datetime
    code: str
    sku: str | None  # None: a fee, no product
    label: str
    quantity: int
    kept_quantity: int
    unit_price_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    buyer: str
    at: datetime
    code: str
    quantity: int  # positive: how many are given back
    unit_price_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Netting:
    """The lines after netting, in the order they came in, and what became of the cancellations."""

    lines: tuple[Line, ...]
    whole: int  # cancellations that earlier lines took up whole
    partly: int
    unmatched: int  # of something ordered before the file begins, or a discount that no line bears
    without_customer: int  # nobody's lines to net against


def net(lines: Sequence[Line], cancellations: Sequence[Cancellation], *, without_customer: int = 0) -> Netting:
    """Takes each cancellation, earliest first, off the same buyer's earlier lines of the same code.

    Lines at the very price of the cancellation come first, and among equals the latest.
    """
    kept = [line.kept_quantity for line in lines]
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        places[line.buyer, line.code].append(index)
    counts = {"whole": 0, "partly": 0, "unmatched": 0}
    for cancellation in sorted(cancellations, key=lambda given: given.at):
        candidates = [index for index in places[cancellation.buyer, cancellation.code] if kept[index]]
        left = _take(lines, kept, candidates, cancellation)
        counts["whole" if not left else "unmatched" if left == cancellation.quantity else "partly"] += 1
    return Netting(
        lines=tuple(replace(line, kept_quantity=kept[index]) for index, line in enumerate(lines)),
        without_customer=without_customer,
        **counts,
    )


def _take(lines: Sequence[Line], kept: list[int], candidates: list[int], cancellation: Cancellation) -> int:
    """Lowers `kept` and returns how many could not be taken off anything."""

    def nearness(index: int) -> tuple[bool, datetime, int]:
        return lines[index].unit_price_minor == cancellation.unit_price_minor, lines[index].at, index

    left = cancellation.quantity
    earlier = [index for index in candidates if lines[index].at <= cancellation.at]
    for index in sorted(earlier, key=nearness, reverse=True):
        taken = min(left, kept[index])
        kept[index] -= taken
        left -= taken
    return left
