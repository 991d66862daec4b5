"""Segments: named conditions on customers, evaluated for an instant.

| name | who |
| --- | --- |
| visitors | bought without an account; all other segments are of customers with one |
| registered_no_order | has no kept order |
| ordered_once, at_most_two_orders | has a kept order, and ordered once, or once or twice |
| core | has a kept order, and ordered four times or more |
| lapsed, lapsed_N_days | has a kept order, but none in the last 90, or N, days |
| ordered_last_N_days | has a kept order in the last N days |

An order is kept while cancellations have left anything of it. How often somebody ordered counts what was placed, kept
or not: who bought, cancelled and bought again came back twice. Days are 24 hours, back from the instant.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from audience.errors import SegmentDaysOutOfRange, SegmentUnknown

LAPSED_AFTER = timedelta(days=90)
CORE_ORDERS = 4
LONGEST_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What a customer must fulfil: all that is set. Orders after the instant of evaluation do not count."""

    name: str
    registered: bool = True
    has_kept_order: bool | None = None  # None: either
    fewest_orders: int | None = None
    most_orders: int | None = None
    kept_order_within: timedelta | None = None
    no_kept_order_within: timedelta | None = None


_FIXED = {
    segment.name: segment
    for segment in (
        Segment(name="visitors", registered=False),
        Segment(name="registered_no_order", has_kept_order=False),
        Segment(name="ordered_once", has_kept_order=True, fewest_orders=1, most_orders=1),
        Segment(name="at_most_two_orders", has_kept_order=True, fewest_orders=1, most_orders=2),
        Segment(name="core", has_kept_order=True, fewest_orders=CORE_ORDERS),
        Segment(name="lapsed", has_kept_order=True, no_kept_order_within=LAPSED_AFTER),
    )
}
_WITH_DAYS = re.compile(r"(ordered_last|lapsed)_(\d{1,6})_days", re.ASCII)

#: What error messages list.
KNOWN_NAMES = (*_FIXED, "lapsed_<1-365>_days", "ordered_last_<1-365>_days")


def segment_named(name: str) -> Segment:
    """The segment of that name.

    Raises:
        SegmentUnknown: no segment has it.
        SegmentDaysOutOfRange: the days in it are not 1 to 365.
    """
    if name in _FIXED:
        return _FIXED[name]
    match = _WITH_DAYS.fullmatch(name)
    if match is None:
        raise SegmentUnknown(name=name, known=KNOWN_NAMES)
    days = int(match[2])
    if not 1 <= days <= LONGEST_DAYS:
        raise SegmentDaysOutOfRange(name=name, days=days, lowest=1, highest=LONGEST_DAYS)
    window = timedelta(days=days)
    if match[1] == "lapsed":
        return Segment(name=name, has_kept_order=True, no_kept_order_within=window)
    return Segment(name=name, has_kept_order=True, kept_order_within=window)


def segments_named(names: Sequence[str]) -> tuple[Segment, ...]:
    return tuple(segment_named(name) for name in names)


def every_name() -> frozenset[str]:
    """Each name that a theme's audience may use."""
    with_days = (f"{kind}_{days}_days" for kind in ("lapsed", "ordered_last") for days in range(1, LONGEST_DAYS + 1))
    return frozenset(_FIXED) | frozenset(with_days)
