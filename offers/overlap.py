"""Which scopes share a product of the catalogue: an actual one, whatever their lists say."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from offers.scope import Goods, Scope

AnyGoods = TypeVar("AnyGoods", bound=Goods)


class Reach(Generic[AnyGoods]):
    """What scopes cover of a catalogue. Each scope is held against it once, however many others it may meet."""

    def __init__(self, catalogue: Sequence[AnyGoods]) -> None:
        self._catalogue = catalogue
        self._covered: dict[Scope, int] = {}  # a bit for each product

    def shared(self, one: Scope, other: Scope) -> AnyGoods | None:
        """The first product that both cover; None: they do not meet."""
        both = self._bits(one) & self._bits(other)
        return self._catalogue[(both & -both).bit_length() - 1] if both else None

    def covers_any(self, scope: Scope) -> bool:
        return bool(self._bits(scope))

    def _bits(self, scope: Scope) -> int:
        if scope not in self._covered:
            marks = "".join("1" if scope.covers(goods) else "0" for goods in reversed(self._catalogue))
            self._covered[scope] = int(marks or "0", 2)
        return self._covered[scope]
