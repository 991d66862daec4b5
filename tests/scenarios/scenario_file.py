"""Reading scenario files: every scenario with its place, its steps with their lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.scenarios.language import ScenarioInvalid, Sentence, read_sentence

HERE = Path(__file__).parent
#: How far a scenario is played: everything through the services, some through gate runs, some of these by clicking.
WAYS = ("service", "gates", "browser")
EXPECTED = (
    *("theme", "rounds", "chains", "levels", "open", "tasks", "decisions", "acts", "acts_end", "alerts"),
    *("reminders", "due_in_hours", "skipped"),
)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C where it was built
_KEYS = ("scenario", "policy", "through", "steps", "expect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Somebody does something, which may be refused; or what is so by now is looked at."""

    where: str
    text: str
    sentence: Sentence | None = None
    refused: str | None = None
    expect: Mapping[str, Any] = field(default_factory=dict)


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
    loader = _LOADER(text)
    root: Any = loader.get_single_node()
    content = loader.construct_document(root)
    _check_keys(content, ("policies", "scenarios"), where=name)
    nodes = _value(root, "scenarios").value
    return [
        _scenario(content["policies"], values, node, file=name)
        for values, node in zip(content["scenarios"], nodes, strict=True)
    ]


def _scenario(policies: Mapping[str, Any], values: Mapping[str, Any], node: yaml.Node, *, file: str) -> Scenario:
    named = values.get("scenario", "a scenario without a name")
    where = f"{file}:{_line(node)}: {named!r}"
    _check_keys(values, _KEYS, where=where)
    policy = values["policy"]
    if policy not in policies:
        raise ScenarioInvalid(where=where, found=policy, allowed=f"a policy of this file: {', '.join(policies)}")
    through = values.get("through", WAYS[0])
    if through not in WAYS:
        raise ScenarioInvalid(where=where, found=through, allowed=f"one of {', '.join(WAYS)}")
    steps = zip(values["steps"], _value(node, "steps").value, strict=True)
    expect = values.get("expect", {})
    _check_keys(expect, EXPECTED, where=where)
    return Scenario(
        name=named,
        where=where,
        policy={"policy": policy, **policies[policy]},
        policies={key: {"policy": key, **content} for key, content in policies.items()},
        through=through,
        steps=tuple(_step(step, where=f"{file}:{_line(place)}: {named!r}") for step, place in steps),
        expect=expect,
    )


def _step(step: object, *, where: str) -> Step:
    """A sentence; a sentence and `refused: …`; or `expect: {…}`. YAML reads `ann rejects: why` as a mapping too."""
    if isinstance(step, str):
        return Step(where=where, text=step, sentence=read_sentence(step, where=where))
    if not isinstance(step, dict):
        raise ScenarioInvalid(where=where, found=str(step), allowed="a sentence, or expect: {…}")
    if "expect" in step:
        _check_keys(step["expect"], EXPECTED, where=where)
        return Step(where=where, text="expect", expect=step["expect"])
    refused = step.get("refused")
    said = [(sentence, reason) for sentence, reason in step.items() if sentence != "refused"]
    if len(said) != 1:
        raise ScenarioInvalid(where=where, found=str(step), allowed="one sentence a step, with refused: beside it")
    sentence, reason = said[0]
    if not isinstance(reason, str | None):  # YAML takes a bare no for false
        raise ScenarioInvalid(where=where, found=str(reason), allowed="a reason is text: put it in quotes")
    text = f"{sentence}: {reason}" if reason else sentence
    return Step(where=where, text=text, sentence=read_sentence(text, where=where), refused=refused)


def _check_keys(found: Mapping[str, Any], known: tuple[str, ...], *, where: str) -> None:
    for key in found:
        if key not in known:
            raise ScenarioInvalid(where=where, found=key, allowed=f"the keys here are {', '.join(known)}")


def _value(node: yaml.Node, key: str) -> Any:
    return next(value for name, value in node.value if name.value == key)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
