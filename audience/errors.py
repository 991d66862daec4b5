"""What can go wrong with an audience. The class is the fact; its docstring is the message."""

from collections.abc import Sequence
from difflib import get_close_matches


class AudienceError(Exception):
    """An audience could not be had as asked."""


class NoRetailFile(AudienceError):
    """The file is not CSV in the format of the Online Retail data set."""

    def __init__(
        self,
        *,
        found: Sequence[str] = (),
        expected: Sequence[str] = (),
        line: int | None = None,
        reason: str | None = None,
    ) -> None:
        self.found, self.expected, self.line, self.reason = tuple(found), tuple(expected), line, reason
        if reason is None:
            first = ",".join(found)[:120] or "nothing"
            text = f"its first line is {first!r}; the columns must be {','.join(expected)}"
        else:
            text = f"line {line} is not CSV: {reason}" if line else reason
        super().__init__(f"not a retail file: {text}")


class SegmentUnknown(AudienceError):
    """No segment has that name."""

    def __init__(self, *, name: str, known: Sequence[str]) -> None:
        self.name, self.known = name, tuple(known)
        near = get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        super().__init__(f"no segment {name!r}{hint} Known: {', '.join(known)}")


class SegmentDaysOutOfRange(AudienceError):
    """A segment's number of days is out of range."""

    def __init__(self, *, name: str, days: int, lowest: int, highest: int) -> None:
        self.name, self.days, self.lowest, self.highest = name, days, lowest, highest
        super().__init__(f"segment {name!r} counts {days} days; {lowest} to {highest} are allowed")


class ProductLineUnknown(AudienceError):
    """No product line has that key."""

    def __init__(self, *, key: str, known: Sequence[str]) -> None:
        self.key, self.known = key, tuple(known)
        have = ", ".join(known) or "none yet"
        super().__init__(f"no product line {key!r} (there are: {have}); `themeline import retail FILE` makes one")


class CurrencyDiffers(AudienceError):
    """The product line counts in another currency."""

    def __init__(self, *, key: str, currency: str, asked: str) -> None:
        self.key, self.currency, self.asked = key, currency, asked
        super().__init__(
            f"product line {key!r} counts in {currency}, the import in {asked}: "
            f"import into another product line (--product-line), or with --currency {currency}"
        )


class NothingToMultiply(AudienceError):
    """There are no registered customers to take the distribution from."""

    def __init__(self, *, key: str) -> None:
        self.key = key
        super().__init__(f"product line {key!r} has no imported customers: `themeline import retail FILE` first")


class LimitsInvalid(AudienceError):
    """A limits file cannot be used. Holds every problem that could be seen at once."""

    def __init__(self, *, where: str, problems: Sequence[str]) -> None:
        self.where, self.problems = where, tuple(problems)
        super().__init__("\n".join([f"{where} cannot be used as it is:", *(f"  {problem}" for problem in problems)]))
