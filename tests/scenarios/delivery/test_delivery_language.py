"""Scenarios of delivery are read strictly: what is not understood fails, with its place and the nearest known."""

from typing import Any

import pytest

from channels.states import Channel
from tests.scenarios.delivery.driver import DeliveryDriver
from tests.scenarios.delivery.language import GRAMMAR, SENTENCES, numbers_of
from tests.scenarios.delivery.scenario_file import HERE, all_scenarios, read_text
from tests.scenarios.delivery.seen import View, differences
from tests.scenarios.grammar import ScenarioInvalid, duration_of

FILE = """\
- scenario: A scenario
  guarantee: Something holds
  customers: 3
  channels: [push]
  steps:
    - spring is launched
    - the senders work
  expect:
    rows: {push: {sent: 3}}
"""


@pytest.mark.parametrize("meaning", SENTENCES)
def test_every_sentence_means_one_thing_and_can_be_played(meaning: str) -> None:
    assert GRAMMAR.read(GRAMMAR.example(meaning), where="here").meaning == meaning
    assert hasattr(DeliveryDriver, f"do_{meaning}")


def test_values_are_read_out_of_a_sentence() -> None:
    read = GRAMMAR.read("the provider of push refuses customers 3-5 with 1011", where="here")
    assert read.meaning == "refuse_customers"
    assert read.values == {"channel": "push", "customers": "3-5", "code": "1011"}
    assert list(numbers_of("3-5")) == [3, 4, 5]
    assert list(numbers_of("7")) == [7]
    assert duration_of("10 minutes").total_seconds() == 600


@pytest.mark.parametrize(
    ("written", "instead", "line", "allowed"),
    [
        ("- the senders work", "- the sender works", 7, "the nearest sentence is 'the senders work'"),
        ("[push]", "[fax]", 1, "a channel is one of sms, email, push, mini_program"),
        ("  guarantee: Something holds\n", "", 1, "a scenario says its guarantee"),
        ("rows:", "rouws:", 1, "the keys here are"),
        ("  customers: 3", "  customers: 3\n  at: tomorrow", 1, "at is 2027-03-06 10:00, in UTC"),
        ("- the senders work", "- [the senders work]", 7, "a sentence, or expect: {…}"),
    ],
)
def test_what_a_file_should_not_have_is_named_with_its_place(
    written: str, instead: str, line: int, allowed: str
) -> None:
    with pytest.raises(ScenarioInvalid) as refused:
        read_text(FILE.replace(written, instead), name="some.yaml")
    assert refused.value.where == f"some.yaml:{line}: 'A scenario'"
    assert allowed in str(refused.value)


def test_whatever_is_listed_must_be_all_there_is() -> None:
    found = {
        "rows": {"push": {"sent": 3, "failed": 1}},
        "only_states": {"push": ["sent", "failed"]},
        "calls_at_most": {"push": 3},
        "provider": {"push": 3, "sms": 2},
        "text": {"push": ["an approved text", "another"]},
    }
    for met in (
        {"rows": {"push": {"sent": 3, "failed": 1}}, "provider": {"push": 3}},
        {"only_states": {"push": ["sent", "failed", "unknown"]}, "calls_at_most": {"push": 3}},
    ):
        assert not differences(met, found)
    not_met: list[dict[str, Any]] = [
        {"rows": {"push": {"sent": 3}}},
        {"rows": {}},
        {"only_states": {"push": ["sent"]}},
        {"calls_at_most": {"push": 2}},
        {"provider": {"push": 4}},
        {"text": {"push": "approved"}},
    ]
    for unmet in not_met:
        (difference,) = differences(unmet, found)
        assert "expected" in difference
        assert "found" in difference


def test_there_are_as_many_scenarios_as_the_docs_say_each_with_its_guarantee() -> None:
    scenarios = all_scenarios()
    assert len(scenarios) >= 60
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    assert all(len(scenario.guarantee) > 20 for scenario in scenarios)
    assert {channel for scenario in scenarios for channel in scenario.channels} == set(Channel)


def test_whatever_a_scenario_expects_can_be_looked_at() -> None:
    told = {"taken", "left", "new", "settled"}
    for scenario in all_scenarios():
        for expect in (scenario.expect, *(step.expect for step in scenario.steps)):
            for name in expect:
                assert name in told or hasattr(View, name), f"{scenario.where}: {name}"


def test_every_file_of_scenarios_is_played() -> None:
    modules = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_scenarios_of_*.py"))
    for path in HERE.glob("*.yaml"):
        assert f'"{path.stem}"' in modules, f"no test plays {path.name}"
