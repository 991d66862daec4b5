"""Recipients without a value that a message needs."""

from collections.abc import Sequence
from dataclasses import dataclass

_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacking:
    """How many they are, and the first of them by name."""

    count: int
    names: Sequence[str]

    def __str__(self) -> str:
        more = self.count - min(_SHOWN, len(self.names))
        names = ", ".join(self.names[:_SHOWN])
        return f"{self.count:,} recipients: {names}" + (f" and {more:,} more" if more else "")
