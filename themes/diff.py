"""What changed between two contents of a theme, in words."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from themes import money
from themes.local_time import in_zone

_LABELS = {
    "at": "from an amount of",
    "all": "everything",
    "author": "author",
    "except": "except",
    "from": "begins",
    "gmv": "GMV",
    "html": "HTML template",
    "key": "theme",
    "per_customer": "per customer",
    "redeem_in": "redeem in",
    "to": "ends",
    "excluded_from": "not together with",
}
_NAMED = {"placements": "placement", "templates": "template"}  # kept by name, which is no word of ours
_TIMES = frozenset({"from", "to"})
_HIDDEN = frozenset({"format", "theme.coupons", "theme.activities"})  # the offers themselves tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs. `before` None: it is new; `after` None: it is gone."""

    path: str
    label: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.label}: added {self.after}"
        if self.after is None:
            return f"{self.label}: removed {self.before}"
        return f"{self.label}: {self.before} → {self.after}"


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """The changes from one revision's content to another's, the theme first, then its offers by id."""
    changes = [*_part(old, new, "theme"), *_offers(old, new)]
    return [change for change in changes if change.before != change.after]


def _part(old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> Iterator[Change]:
    yield from _compare(old.get(name), new.get(name), (name,), Words(old), Words(new))


def _offers(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before, after = old.get("offers", {}), new.get("offers", {})
    for offer_id in sorted({*before, *after}):
        was, now = before.get(offer_id), after.get(offer_id)
        if was is None or now is None:
            yield Change(
                path=f"offers.{offer_id}",
                label=f"{(was or now)['kind']} {offer_id}",
                before=_offer(was),
                after=_offer(now),
            )
        else:
            yield from _compare(was, now, ("offers", offer_id), Words(old), Words(new))


def _offer(values: Mapping[str, Any] | None) -> str | None:
    return f"{values['name']} ({values['preset']})" if values is not None else None


@dataclass(frozen=True, slots=True)
class Words:
    """How the values of one content read: its times are local to its zone."""

    content: Mapping[str, Any]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.content["theme"]["timezone"])

    def value(self, value: Any, name: str) -> str | None:  # noqa: ANN401 - JSON
        if value is None:
            return None
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, str):
            return f"{in_zone(datetime.fromisoformat(value), self.zone)} {self.zone}" if name in _TIMES else value
        if isinstance(value, list):
            items = (" + ".join(item) if isinstance(item, list) else str(self.value(item, name)) for item in value)
            return ", ".join(items) or None
        if isinstance(value, Mapping):
            return self.mapping(value)
        return str(value)

    def mapping(self, value: Mapping[str, Any]) -> str:
        if value.keys() == {"minor", "currency"}:
            return money.in_words(value["minor"], value["currency"])
        if value.keys() == {"basis_points"}:
            whole, rest = divmod(value["basis_points"], 100)
            return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + " %"
        said = {name: inner for name, inner in value.items() if inner is not False}
        return ", ".join(f"{_word(name)} {self.value(inner, name)}" for name, inner in said.items())


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
        yield Change(
            path=".".join(path),
            label=_label(path, after, before),
            before=before.value(old, path[-1]),
            after=after.value(new, path[-1]),
        )


def _is_record(value: object) -> bool:
    """A mapping that is compared key by key; an amount or a percentage is one value."""
    return isinstance(value, Mapping) and not ({"minor", "basis_points"} & value.keys())


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
    return Change(path=".".join(path), label=_label(path, words, words), before="\n".join(gone), after="\n".join(come))


def _label(path: tuple[str, ...], *contents: Words) -> str:
    if path[0] == "theme" and path[1] in _NAMED:
        return " · ".join([_NAMED[path[1]], *path[2:3], *(_word(name) for name in path[3:])])
    if path[0] != "offers":
        return " · ".join(_word(name) for name in path[1:])
    kinds = [words.content["offers"].get(path[1], {}).get("kind") for words in contents]
    names = [name for name in path[2:] if name != "parameters"]
    return " · ".join([f"{next(filter(None, kinds), 'offer')} {path[1]}", *(_word(name) for name in names)])


def _word(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " "))
