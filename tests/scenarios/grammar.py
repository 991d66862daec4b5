"""How sentences of scenarios are read, whatever they are about: a small fixed grammar, each with its one meaning."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

_REASON, _BECAUSE = " …", ": because"
_UNITS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


class ScenarioInvalid(Exception):
    """A scenario file says what the language does not know."""

    def __init__(self, *, where: str, found: str, allowed: str) -> None:
        self.where, self.found, self.allowed = where, found, allowed
        super().__init__(f"{where}: {found!r} is not known; {allowed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What a sentence says: its meaning, the values named in it, and the reason given after its colon."""

    meaning: str
    values: Mapping[str, str]
    reason: str


class Grammar:
    """`values`: name -> pattern and example. `sentences`: meaning -> sentence; `…` at the end: a reason follows."""

    def __init__(self, *, values: Mapping[str, tuple[str, str]], sentences: Mapping[str, str]) -> None:
        self._values, self._sentences = values, sentences
        # A sentence that is the beginning of another comes after it: a value would swallow the rest.
        self._patterns = [
            (meaning, self._pattern(template), template.endswith(_REASON))
            for meaning, template in sorted(sentences.items(), key=lambda item: -len(item[1]))
        ]

    def example(self, meaning: str) -> str:
        """A sentence of this meaning, as somebody would write it."""
        template = self._sentences[meaning]
        written = re.sub(r"{([a-z ]+)}", lambda value: self._values[value[1]][1], template.removesuffix(_REASON))
        return f"{written}{_BECAUSE}" if template.endswith(_REASON) else written

    def read(self, text: str, *, where: str) -> Sentence:
        """Read a sentence.

        Raises:
            ScenarioInvalid: there is no such sentence; says where it stands and which known one is nearest.
        """
        said, _, reason = text.partition(": ")
        for meaning, pattern, takes_reason in self._patterns:
            if found := pattern.fullmatch((said if takes_reason else text).rstrip(":")):
                values = {name: value for name, value in found.groupdict().items() if value is not None}
                return Sentence(meaning=meaning, values=values, reason=reason.strip() if takes_reason else "")
        known = {self.example(meaning).removesuffix(_BECAUSE): self.example(meaning) for meaning in self._sentences}
        nearest = known[get_close_matches(said, known, n=1, cutoff=0)[0]]
        raise ScenarioInvalid(where=where, found=text, allowed=f"the nearest sentence is {nearest!r}")

    def _pattern(self, template: str) -> re.Pattern[str]:
        parts = re.split(r"{([a-z ]+)}", template.removesuffix(_REASON))
        written = (self._values[part][0] if index % 2 else re.escape(part) for index, part in enumerate(parts))
        return re.compile("".join(written))


def duration_of(words: str) -> timedelta:
    """`30 hours`, `1 day`."""
    count, _, unit = words.partition(" ")
    return int(count) * _UNITS[unit.removesuffix("s")]
