"""Reading scenario files: every scenario with its place, its steps with their lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.scenarios.grammar import ScenarioInvalid
from tests.scenarios.language import GRAMMAR
from tests.scenarios.step_list import Step, StepReader, check_keys, place_of, read_yaml, value_of

HERE = Path(__file__).parent
#: How far a scenario is played: everything through the services, some through gate runs, some of these by clicking.
WAYS = ("service", "gates", "browser")
EXPECTED = (
    *("theme", "rounds", "chains", "levels", "open", "tasks", "decisions", "acts", "acts_end", "alerts"),
    *("reminders", "due_in_hours", "skipped"),
)
_STEPS = StepReader(grammar=GRAMMAR, expected=EXPECTED)
_KEYS = ("scenario", "policy", "through", "steps", "expect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    name: str
    where: str
    policy: Mapping[str, Any]
    policies: Mapping[str, Mapping[str, Any]]  # of its file
    through: str
    steps: tuple[Step, ...]
    expect: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.name.replace(" ", "-")


@cache
def all_scenarios() -> list[Scenario]:
    return [scenario for path in sorted(HERE.glob("*.yaml")) for scenario in read_file(path)]


def read_file(path: Path) -> list[Scenario]:
    """The scenarios of a file.

    Raises:
        ScenarioInvalid: with the file, the scenario and the line.
    """
    return read_text(path.read_text(encoding="utf-8"), name=path.name)


def read_text(text: str, *, name: str) -> list[Scenario]:
    content, root = read_yaml(text)
    check_keys(content, ("policies", "scenarios"), where=name)
    nodes = value_of(root, "scenarios").value
    return [
        _scenario(content["policies"], values, node, file=name)
        for values, node in zip(content["scenarios"], nodes, strict=True)
    ]


def _scenario(policies: Mapping[str, Any], values: Mapping[str, Any], node: yaml.Node, *, file: str) -> Scenario:
    named = values.get("scenario", "a scenario without a name")
    where = place_of(node, file=file, named=named)
    check_keys(values, _KEYS, where=where)
    policy = values["policy"]
    if policy not in policies:
        raise ScenarioInvalid(where=where, found=policy, allowed=f"a policy of this file: {', '.join(policies)}")
    through = values.get("through", WAYS[0])
    if through not in WAYS:
        raise ScenarioInvalid(where=where, found=through, allowed=f"one of {', '.join(WAYS)}")
    expect = values.get("expect", {})
    check_keys(expect, EXPECTED, where=where)
    return Scenario(
        name=named,
        where=where,
        policy={"policy": policy, **policies[policy]},
        policies={key: {"policy": key, **content} for key, content in policies.items()},
        through=through,
        steps=_STEPS.steps(values, node, file=file, named=named),
        expect=expect,
    )
