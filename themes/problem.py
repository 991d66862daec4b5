"""What is wrong with a theme file: every problem with its place, what was found, and what is allowed."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from themes.errors import ThemeError

SHOWN_AT_MOST = 12
SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to put right.

    `path` is the place in the file (`coupons[0].claim.to`), "" for the file as a whole; `line` counts from 1 in the
    theme file, or in the template that the message names.
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


class ThemeInvalid(ThemeError):
    """The theme file has problems; all that could be seen at once are in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "the theme file has a problem" if count == 1 else f"the theme file has {count} problems"
        super().__init__("\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)]))


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
