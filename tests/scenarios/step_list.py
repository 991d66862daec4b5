"""What scenario files of every kind share: YAML that knows its lines, and the list of a scenario's steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.scenarios.grammar import Grammar, ScenarioInvalid, Sentence

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C where it was built


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something happens, which may be refused; or what is so by now is looked at."""

    where: str
    text: str
    sentence: Sentence | None = None
    refused: str | None = None
    expect: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReader:
    """A language: its sentences, and what can be expected."""

    grammar: Grammar
    expected: Sequence[str]

    def steps(self, values: Mapping[str, Any], node: yaml.Node, *, file: str, named: str) -> tuple[Step, ...]:
        """Those of one scenario. Raises ScenarioInvalid, with the file, the line and the scenario."""
        places = value_of(node, "steps").value
        return tuple(
            self._step(step, where=place_of(place, file=file, named=named))
            for step, place in zip(values["steps"], places, strict=True)
        )

    def _step(self, step: object, *, where: str) -> Step:
        """A sentence; one and `refused: …`; or `expect: {…}`. YAML reads what has a colon in it as a mapping too."""
        if isinstance(step, str):
            return Step(where=where, text=step, sentence=self.grammar.read(step, where=where))
        if not isinstance(step, dict):
            raise ScenarioInvalid(where=where, found=str(step), allowed="a sentence, or expect: {…}")
        if "expect" in step:
            check_keys(step["expect"], self.expected, where=where)
            return Step(where=where, text="expect", expect=step["expect"])
        said = [(sentence, reason) for sentence, reason in step.items() if sentence != "refused"]
        if len(said) != 1:
            raise ScenarioInvalid(where=where, found=str(step), allowed="one sentence a step, with refused: beside it")
        sentence, reason = said[0]
        if not isinstance(reason, str | None):  # YAML takes a bare no for false
            raise ScenarioInvalid(where=where, found=str(reason), allowed="a reason is text: put it in quotes")
        text = f"{sentence}: {reason}" if reason else str(sentence)
        read = self.grammar.read(text, where=where)
        return Step(where=where, text=text, sentence=read, refused=step.get("refused"))


def read_yaml(text: str) -> tuple[Any, yaml.Node]:
    """What a file says, and where."""
    loader = _LOADER(text)
    node: Any = loader.get_single_node()
    return loader.construct_document(node), node


def value_of(node: yaml.Node, key: str) -> Any:
    return next(value for name, value in node.value if name.value == key)


def place_of(node: yaml.Node, *, file: str, named: str) -> str:
    return f"{file}:{node.start_mark.line + 1}: {named!r}"


def check_keys(found: Mapping[str, Any], known: Sequence[str], *, where: str) -> None:
    for key in found:
        if key not in known:
            raise ScenarioInvalid(where=where, found=key, allowed=f"the keys here are {', '.join(known)}")
