"""Reading scenario files of delivery: every scenario with its guarantee in words, its steps with their lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from channels.states import Channel
from tests.scenarios.delivery.language import GRAMMAR
from tests.scenarios.grammar import ScenarioInvalid
from tests.scenarios.step_list import Step, StepReader, check_keys, place_of, read_yaml

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
_STEPS = StepReader(grammar=GRAMMAR, expected=EXPECTED)
_KEYS = ("scenario", "guarantee", "customers", "channels", "at", "steps", "expect")


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
    content, root = read_yaml(text)
    return [_scenario(values, node, file=name) for values, node in zip(content, root.value, strict=True)]


def _scenario(values: Mapping[str, Any], node: Any, *, file: str) -> Scenario:
    named = str(values.get("scenario", "a scenario without a name"))
    where = place_of(node, file=file, named=named)
    check_keys(values, _KEYS, where=where)
    for key in ("scenario", "guarantee", "customers", "channels", "steps", "expect"):
        if not values.get(key):
            raise ScenarioInvalid(where=where, found=key, allowed=f"a scenario says its {key}")
    check_keys(values["expect"], EXPECTED, where=where)
    return Scenario(
        name=named,
        guarantee=str(values["guarantee"]),
        where=where,
        customers=int(values["customers"]),
        channels=tuple(_channel(name, where) for name in values["channels"]),
        at=_instant(values.get("at"), where),
        steps=_STEPS.steps(values, node, file=file, named=named),
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
