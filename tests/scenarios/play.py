"""Playing a scenario: each step is done, or refused as expected; what holds always is looked at after each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from approval.errors import ApprovalError
from tests.scenarios.grammar import ScenarioInvalid, Sentence, duration_of
from tests.scenarios.scenario_file import Scenario
from tests.scenarios.seen import differences
from tests.scenarios.step_list import Step
from themes.errors import ThemeError

#: What a service says no with.
REFUSALS = (ApprovalError, ThemeError)


class SaidNo(ApprovalError):
    """A refusal as Prefect shows it: its text is there, its class is not."""


class Driver(Protocol):
    """Does what sentences say: a method `do_<meaning>` for each that it can play."""

    def look(self, wanted: Sequence[str]) -> Mapping[str, Any]: ...
    def broken(self) -> list[str]: ...


class ScenarioFailed(AssertionError):
    """Something was not as the scenario says."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        super().__init__("\n".join([where, *problems]))


def play(scenario: Scenario, driver: Driver) -> None:
    applies = any(step.sentence and step.sentence.meaning == "apply" for step in scenario.steps)
    if not applies:
        act(driver, Sentence(meaning="apply", values={"policy": str(scenario.policy["policy"])}, reason=""))
    for step in scenario.steps:
        _play_step(step, driver)
    _compare(scenario.where, scenario.expect, driver)


def _play_step(step: Step, driver: Driver) -> None:
    place = f"{step.where}: {step.text!r}"
    if step.sentence is None:
        _compare(place, step.expect, driver)
        return
    refusal = _refusal(driver, step.sentence)
    if refusal is not None and step.refused is None:
        raise ScenarioFailed(place, [f"was refused: {_told(refusal)}"]) from refusal
    if step.refused is not None and (refusal is None or not is_meant(step.refused, refusal)):
        raise ScenarioFailed(place, [f"expected to be refused: {step.refused}", f"found {_told(refusal)}"])
    if problems := driver.broken():
        raise ScenarioFailed(place, problems)


def _refusal(driver: Driver, sentence: Sentence) -> Exception | None:
    try:
        act(driver, sentence)
    except REFUSALS as refusal:
        return refusal
    return None


def act(driver: Driver, sentence: Sentence) -> None:
    method: Callable[..., None] | None = getattr(driver, f"do_{sentence.meaning}", None)
    if method is None:
        raise ScenarioInvalid(where=type(driver).__name__, found=sentence.meaning, allowed="it cannot be played here")
    values = {
        name: duration_of(value) if name in {"duration", "later"} else value for name, value in sentence.values.items()
    }
    method(**values, **({"reason": sentence.reason} if sentence.reason else {}))


def is_meant(expected: str, refusal: Exception) -> bool:
    """`NotAsked`, `NotAsked: part of its text`, or a part of its text alone."""
    name, _, part = expected.partition(":")
    if not (name.isidentifier() and name[0].isupper()):
        return expected in str(refusal)
    known = isinstance(refusal, SaidNo) or name in {kind.__name__ for kind in type(refusal).__mro__}
    return known and part.strip() in str(refusal)


def _told(refusal: Exception | None) -> str:
    return "no refusal" if refusal is None else f"{type(refusal).__name__}: {refusal}"


def _compare(where: str, expected: Mapping[str, Any], driver: Driver) -> None:
    if problems := differences(expected, driver.look(list(expected))):
        raise ScenarioFailed(where, problems)
