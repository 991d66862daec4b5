"""What an import found in a file and did with it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from audience.retail import RetailImport


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Of one kind of thing: how many the file has, and how many of them were new or different."""

    in_file: int
    inserted: int
    updated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    product_line: str
    currency: str
    rows: int
    rejected: int
    rejected_by_reason: Mapping[str, int]
    registered: int
    visitors: int
    kept_orders: int
    cancellations: Mapping[str, int]
    changed: Mapping[str, Changed]  # products, customers, addresses, orders, order_lines
    countries: int
    by_country: Mapping[str, Mapping[str, int]]  # ISO code -> registered, visitors
    by_channel: Mapping[str, Mapping[str, int]]  # channel -> addresses, consenting
    by_category: Mapping[str, str]  # share of the kept value, "12.3 %"
    segments: Mapping[str, int]
    segments_as_of: datetime


def rejected_by_reason(retail: RetailImport) -> dict[str, int]:
    return dict(Counter(row.reason for row in retail.rejected).most_common())


def category_shares(retail: RetailImport) -> dict[str, str]:
    """Share of each category in the kept value of products, most first, to a tenth of a per cent."""
    categories = {product.sku: product.category for product in retail.products}
    values: Counter[str] = Counter()
    for order in retail.orders:
        for line in order.lines:
            if line.sku is not None:
                values[categories[line.sku]] += line.kept_quantity * line.unit_price_minor
    total = values.total()
    return {category: _percent(value, total) for category, value in values.most_common()}


def cancellation_counts(retail: RetailImport) -> dict[str, int]:
    netted = retail.cancellations
    return {
        "netted": netted.whole,
        "netted_in_part": netted.partly,
        "without_an_earlier_line": netted.unmatched,
        "without_a_customer": netted.without_customer,
    }


def _percent(part: int, whole: int) -> str:
    tenths = (part * 2000 + whole) // (2 * whole) if whole else 0
    return f"{tenths // 10}.{tenths % 10} %"
