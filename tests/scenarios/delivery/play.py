"""Playing a scenario: each step is done, or refused as expected; what holds always is looked at after each."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from approval.errors import ApprovalError
from channels.errors import ChannelError
from tests.scenarios.delivery.scenario_file import Scenario
from tests.scenarios.delivery.seen import differences
from tests.scenarios.grammar import ScenarioInvalid, Sentence
from tests.scenarios.play import ScenarioFailed, is_meant
from tests.scenarios.step_list import Step
from themes.errors import ThemeError

#: What a service says no with.
REFUSALS = (ApprovalError, ChannelError, ThemeError)


class Driver(Protocol):
    """Does what sentences say: a method `do_<meaning>` for each."""

    def look(self, wanted: Sequence[str]) -> Mapping[str, Any]: ...
    def broken(self) -> list[str]: ...


def play(scenario: Scenario, driver: Driver) -> None:
    for step in scenario.steps:
        place = f"{step.where}: {step.text!r}"
        if step.sentence is None:
            _compare(place, step.expect, driver)
            continue
        began = time.monotonic()
        _do(step, step.sentence, place, driver)
        problems = driver.broken()
        print(f"{time.monotonic() - began:6.1f} s  {step.text}")  # noqa: T201 - shown where a scenario fails
        if problems:
            raise ScenarioFailed(place, problems)
    _compare(scenario.where, scenario.expect, driver)


def _do(step: Step, sentence: Sentence, place: str, driver: Driver) -> None:
    refusal = _refusal(driver, sentence)
    if refusal is not None and step.refused is None:
        raise ScenarioFailed(place, [f"was refused: {type(refusal).__name__}: {refusal}"]) from refusal
    if step.refused is not None and (refusal is None or not is_meant(step.refused, refusal)):
        raise ScenarioFailed(place, [f"expected to be refused: {step.refused}", f"found {refusal!r}"])


def _refusal(driver: Driver, sentence: Sentence) -> Exception | None:
    method: Callable[..., None] | None = getattr(driver, f"do_{sentence.meaning}", None)
    if method is None:
        raise ScenarioInvalid(where=type(driver).__name__, found=sentence.meaning, allowed="it cannot be played here")
    try:
        method(**sentence.values)
    except REFUSALS as refusal:
        return refusal
    return None


def _compare(where: str, expected: Mapping[str, Any], driver: Driver) -> None:
    if problems := differences(expected, driver.look(list(expected))):
        raise ScenarioFailed(where, problems)
