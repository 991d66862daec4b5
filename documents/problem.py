"""What is wrong with a file that somebody wrote: the place, what was found, and what is allowed."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass

SHOWN_AT_MOST = 12
SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to put right.

    `path` is the place in the file (`coupons[0].claim.to`), "" for the file as a whole; `line` counts from 1 in the
    file, or in the template that the message names.
    """

    path: str
    message: str
    found: str = ""
    allowed: str = ""
    line: int | None = None

    def __str__(self) -> str:
        where = self.path or "the file"
        place = f"{where} (line {self.line})" if self.line else where
        found = f"; found {self.found}" if self.found else ""
        allowed = f"; allowed: {self.allowed}" if self.allowed else ""
        return f"{place}: {self.message}{found}{allowed}"


def nearest(word: str, known: Collection[str]) -> str | None:
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def did_you_mean(word: str, known: Collection[str]) -> str:
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""


def listed(names: Collection[str]) -> str:
    """The names in order, cut short where there are too many to read."""
    ordered = sorted(names)
    more = len(ordered) - SHOWN_AT_MOST
    return ", ".join(ordered[:SHOWN_AT_MOST]) + (f" and {more} more" if more > 0 else "") or "none"


def shown(value: object) -> str:
    """What was found, short enough for one line."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."
