"""What changed between two contents of a theme, in words."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from approval.wording import field_word
from themes import money
from themes.local_time import in_zone

_NAMED = {"placements": "placement", "templates": "template"}  # kept by name, which is no word of ours
_TIMES = frozenset({"from", "to"})
_CHOICES = frozenset({"codes", "kind", "per", "redeem_in"})  # whose values are words of ours
_FREE = frozenset({"data", "extras", "params", "templates"})  # whose names and values are the marketer's own
_HIDDEN = frozenset({"format", "theme.coupons", "theme.activities"})  # the offers themselves tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs. `before` None: it is new; `after` None: it is gone."""

    path: str
    label: str
    before: str | None
    after: str | None
    offer_id: str | None = None  # of an offer's field

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.label}: added {self.after}"
        if self.after is None:
            return f"{self.label}: removed {self.before}"
        return f"{self.label}: {self.before} → {self.after}"


def diff(old: Mapping[str, Any], new: Mapping[str, Any], locale: str = "en") -> list[Change]:
    """The changes from one revision's content to another's, the theme first, then its offers by id."""
    before, after = Words(old, locale), Words(new, locale)
    changes = [*_compare(old["theme"], new["theme"], ("theme",), before, after), *_offers(before, after)]
    return [change for change in changes if change.before != change.after]


def _offers(before: "Words", after: "Words") -> Iterator[Change]:
    for offer_id in sorted({*before.content["offers"], *after.content["offers"]}):
        was, now = (words.content["offers"].get(offer_id) for words in (before, after))
        if was is None or now is None:
            yield Change(
                path=f"offers.{offer_id}",
                label=f"{after.word((was or now)['kind'])} {offer_id}",
                before=_offer(was),
                after=_offer(now),
                offer_id=offer_id,
            )
        else:
            yield from _compare(was, now, ("offers", offer_id), before, after)


def _offer(values: Mapping[str, Any] | None) -> str | None:
    return f"{values['name']} ({values['preset']})" if values is not None else None


@dataclass(frozen=True, slots=True)
class Words:
    """How the values of one content read in a language: its times are local to its zone."""

    content: Mapping[str, Any]
    locale: str = "en"

    def word(self, name: str) -> str:
        return field_word(name, self.locale)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.content["theme"]["timezone"])

    def value(self, value: Any, name: str) -> str | None:  # noqa: ANN401 - JSON
        if value is None:
            return None
        if isinstance(value, bool):
            return self.word("yes" if value else "no")
        if isinstance(value, str):
            return self._text(value, name)
        if isinstance(value, list):
            items = (" + ".join(item) if isinstance(item, list) else str(self.value(item, name)) for item in value)
            return ", ".join(items) or None
        if isinstance(value, Mapping):
            return self._own(value) if name in _FREE else self.mapping(value)
        return str(value)

    def _own(self, value: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} {inner}" for name, inner in value.items())

    def mapping(self, value: Mapping[str, Any]) -> str:
        if value.keys() == {"minor", "currency"}:
            return money.in_words(value["minor"], value["currency"])
        if value.keys() == {"basis_points"}:
            whole, rest = divmod(value["basis_points"], 100)
            return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + " %"
        if value.keys() == _TIMES:
            return f"{self._text(value['from'], 'from')} → {self._text(value['to'], 'to')}"
        said = {name: inner for name, inner in value.items() if inner is not False}
        return ", ".join(self._said(name, inner) for name, inner in said.items())

    def _said(self, name: str, value: Any) -> str:  # noqa: ANN401 - JSON
        return self.word(name) if value is True else f"{self.word(name)} {self.value(value, name)}"

    def _text(self, value: str, name: str) -> str:
        if name in _TIMES:
            return f"{in_zone(datetime.fromisoformat(value), self.zone)} {self.zone}"
        return self.word(value) if name in _CHOICES else value


def _compare(old: Any, new: Any, path: tuple[str, ...], before: Words, after: Words) -> Iterator[Change]:  # noqa: ANN401 - JSON
    if old == new or ".".join(path) in _HIDDEN:
        return
    if _is_record(old) and _is_record(new):
        for name in sorted({*old, *new}):
            yield from _compare(old.get(name), new.get(name), (*path, name), before, after)
    elif _by_place(old, new):
        yield from _compare(_places(old), _places(new), path, before, after)
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        yield _text_change(old, new, path, after)
    else:
        name = "" if path[-2] in _FREE else path[-1]
        yield Change(
            path=".".join(path),
            label=_label(path, after, before),
            before=before.value(old, name),
            after=after.value(new, name),
            offer_id=_offer_id(path),
        )


def _is_record(value: object) -> bool:
    """A mapping that is compared key by key; an amount or a percentage is one value."""
    return isinstance(value, Mapping) and value.keys() not in ({"minor", "currency"}, {"basis_points"})


def _by_place(old: object, new: object) -> bool:
    lists = [value for value in (old, new) if value]
    return all(
        isinstance(value, list) and all(isinstance(item, Mapping) and "place" in item for item in value)
        for value in lists
    ) and bool(lists)


def _places(placements: list[Mapping[str, Any]] | None) -> dict[str, Mapping[str, Any]]:
    return {item["place"]: item for item in placements or ()}


def _text_change(old: str, new: str, path: tuple[str, ...], words: Words) -> Change:
    """Of a long text only the lines that differ."""
    lines = list(difflib.ndiff(old.splitlines(), new.splitlines()))
    gone = [line[2:] for line in lines if line.startswith("- ")]
    come = [line[2:] for line in lines if line.startswith("+ ")]
    return Change(
        path=".".join(path),
        label=_label(path, words, words),
        before="\n".join(gone),
        after="\n".join(come),
        offer_id=_offer_id(path),
    )


def _offer_id(path: tuple[str, ...]) -> str | None:
    return path[1] if path[0] == "offers" else None


def _label(path: tuple[str, ...], *contents: Words) -> str:
    said = contents[0].word
    if path[0] == "theme" and path[1] in _NAMED:
        return " · ".join([said(_NAMED[path[1]]), *path[2:3], *(said(name) for name in path[3:])])
    if path[0] != "offers":
        return " · ".join(name if path[at] in _FREE else said(name) for at, name in enumerate(path[1:]))
    kinds = [words.content["offers"].get(path[1], {}).get("kind") for words in contents]
    names = [name for name in path[2:] if name != "parameters"]
    return " · ".join([f"{said(next(filter(None, kinds), 'offer'))} {path[1]}", *(said(name) for name in names)])
