"""The file in which a product line's catalogue comes: CSV with a header, a product a row."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from documents.problem import did_you_mean
from offers.errors import ProductsInvalid

NEEDED = ("sku", "name", "category", "price")
COLUMNS = (*NEEDED, "brand", "shop", "cost", "floor")
MOST_TOLD = 20
#: Of a price or a cost, in minor units: what the database keeps.
HIGHEST = 2_147_483_647


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductRow:
    """`price`, `cost` and `floor`, below which no offer brings it, are of one unit, in minor units. None: not known."""

    sku: str
    name: str
    category: str
    price: int
    brand: str | None = None
    shop: str | None = None
    cost: int | None = None
    floor: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFile:
    columns: frozenset[str]
    rows: Sequence[ProductRow]


def read_products(lines: Iterable[str], *, where: str, minor_units: Callable[[str], int]) -> ProductFile:
    """Read a file of products.

    Args:
        lines: of the CSV.
        where: what the file is called.
        minor_units: an amount as people write it, in minor units; raises ValueError where it is none.

    Raises:
        ProductsInvalid: with the first problems; nothing of the file is to be used then.
    """
    reader = csv.DictReader(lines)
    header = [name.strip().lower() for name in reader.fieldnames or ()]
    if wrong := list(_of_header(header)):
        raise ProductsInvalid(where=where, problems=wrong)
    reader.fieldnames = header
    reading = _Reading(minor_units)
    rows = [row for values in reader if (row := reading.row(reader.line_num, values))]
    if reading.problems:
        raise ProductsInvalid(where=where, problems=list(islice(reading.problems, MOST_TOLD)))
    return ProductFile(columns=frozenset(header), rows=rows)


def _of_header(header: Sequence[str]) -> Iterator[str]:
    for name in header:
        if name not in COLUMNS:
            yield f"line 1: {name!r} is not a known column{did_you_mean(name, COLUMNS)}"
    for name in COLUMNS:
        if header.count(name) > 1:
            yield f"line 1: the column {name!r} is there twice"
    for name in NEEDED:
        if name not in header:
            yield f"line 1: the column {name!r} is missing"


class _Reading:
    def __init__(self, minor_units: Callable[[str], int]) -> None:
        self.problems: list[str] = []
        self._minor_units = minor_units
        self._lines: dict[str, int] = {}  # where each SKU stood first

    def row(self, line: int, values: Mapping[str | None, str | list[str] | None]) -> ProductRow | None:
        before = len(self.problems)
        if None in values or None in values.values():
            self.problems.append(f"line {line}: has more or fewer fields than the header")
            return None
        given = {str(name): str(value).strip() for name, value in values.items()}
        for name in NEEDED:
            if not given[name]:
                self.problems.append(f"line {line}: {name} is empty")
        if (first := self._lines.setdefault(given["sku"], line)) != line:
            self.problems.append(f"line {line}: the SKU {given['sku']!r} stands in line {first} already")
        price, cost, floor = (self._amount(line, name, given) for name in ("price", "cost", "floor"))
        if price is not None and floor is not None and floor > price:
            self.problems.append(f"line {line}: floor {given['floor']!r} is more than the price")
        if len(self.problems) > before or price is None:
            return None
        return ProductRow(
            sku=given["sku"],
            name=given["name"],
            category=given["category"],
            price=price,
            brand=given.get("brand") or None,
            shop=given.get("shop") or None,
            cost=cost,
            floor=floor,
        )

    def _amount(self, line: int, name: str, given: Mapping[str, str]) -> int | None:
        if not given.get(name):
            return None
        try:
            amount = self._minor_units(given[name])
        except ValueError as error:
            self.problems.append(f"line {line}: {name} {given[name]!r} is {error}")
            return None
        if amount > HIGHEST:
            self.problems.append(f"line {line}: {name} {given[name]!r} is more than can be kept")
        return amount
