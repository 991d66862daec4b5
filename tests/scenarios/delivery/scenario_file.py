"""Reading scenario files of delivery: every scenario with its guarantee in words, its steps with their lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from channels.states import Channel
from tests.scenarios.delivery.language import Sentence, read_sentence
from tests.scenarios.language import ScenarioInvalid

HERE = Path(__file__).parent
#: What can be expected; told in docs/scenarios.md.
EXPECTED = (
    *("only_states", "sums", "rows_at_most", "corrected", "totals", "totals_of_all"),
    *("accounts_used_at_least", "doubtful_at_least", "calls_in_any_second_at_most"),
    *("rows", "provider", "calls_at_most", "left_out", "failed", "distributions", "accounts"),
    *("attempts", "tries_at_most", "doubtful", "suppressed", "opted_out", "taken", "left", "text", "left_at"),
    *("token_calls", "held_until", "new", "accounts_used", "receipts"),
)
STARTS_AT = datetime(2027, 3, 6, 10, tzinfo=UTC)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C where it was built
_KEYS = ("scenario", "guarantee", "customers", "channels", "at", "steps", "expect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something happens, which may be refused; or what is so by now is looked at."""

    where: str
    text: str
    sentence: Sentence | None = None
    refused: str | None = None
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    guarantee: str
    where: str
    customers: int
    channels: tuple[Channel, ...]
    at: datetime
    steps: tuple[Step, ...]
    expect: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.name.replace(" ", "-")


@cache
def all_scenarios() -> list[Scenario]:
    return [scenario for path in sorted(HERE.glob("*.yaml")) for scenario in read_file(path)]


def read_file(path: Path) -> list[Scenario]:
    """Raises ScenarioInvalid, with the file, the scenario and the line."""
    return read_text(path.read_text(encoding="utf-8"), name=path.name)


def read_text(text: str, *, name: str) -> list[Scenario]:
    loader = _LOADER(text)
    root: Any = loader.get_single_node()
    content = loader.construct_document(root)
    return [_scenario(values, node, file=name) for values, node in zip(content, root.value, strict=True)]


def _scenario(values: Mapping[str, Any], node: Any, *, file: str) -> Scenario:
    named = str(values.get("scenario", "a scenario without a name"))
    where = f"{file}:{_line(node)}: {named!r}"
    _check_keys(values, _KEYS, where=where)
    for key in ("scenario", "guarantee", "customers", "channels", "steps", "expect"):
        if not values.get(key):
            raise ScenarioInvalid(where=where, found=key, allowed=f"a scenario says its {key}")
    _check_keys(values["expect"], EXPECTED, where=where)
    steps = next(value for name, value in node.value if name.value == "steps").value
    return Scenario(
        name=named,
        guarantee=str(values["guarantee"]),
        where=where,
        customers=int(values["customers"]),
        channels=tuple(_channel(name, where) for name in values["channels"]),
        at=_instant(values.get("at"), where),
        steps=tuple(
            _step(step, where=f"{file}:{_line(place)}: {named!r}")
            for step, place in zip(values["steps"], steps, strict=True)
        ),
        expect=values["expect"],
    )


def _channel(name: str, where: str) -> Channel:
    if name not in set(Channel):
        raise ScenarioInvalid(where=where, found=name, allowed=f"a channel is one of {', '.join(Channel)}")
    return Channel(name)


def _instant(text: str | None, where: str) -> datetime:
    try:
        return STARTS_AT if text is None else datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise ScenarioInvalid(where=where, found=str(text), allowed="at is 2027-03-06 10:00, in UTC") from None


def _step(step: object, *, where: str) -> Step:
    """A sentence; a sentence and `refused: …`; or `expect: {…}`. YAML reads what has a colon in it as a mapping too."""
    if isinstance(step, str):
        return Step(where=where, text=step, sentence=read_sentence(step, where=where))
    if not isinstance(step, dict):
        raise ScenarioInvalid(where=where, found=str(step), allowed="a sentence, or expect: {…}")
    if "expect" in step:
        _check_keys(step["expect"], EXPECTED, where=where)
        return Step(where=where, text="expect", expect=step["expect"])
    said = [(key, value) for key, value in step.items() if key != "refused"]
    if len(said) != 1:
        raise ScenarioInvalid(where=where, found=str(step), allowed="one sentence a step, with refused: beside it")
    key, value = said[0]
    text = f"{key}: {value}" if value else str(key)
    return Step(where=where, text=text, sentence=read_sentence(text, where=where), refused=step.get("refused"))


def _check_keys(found: Mapping[str, Any], known: tuple[str, ...], *, where: str) -> None:
    for key in found:
        if key not in known:
            raise ScenarioInvalid(where=where, found=key, allowed=f"the keys here are {', '.join(known)}")


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
