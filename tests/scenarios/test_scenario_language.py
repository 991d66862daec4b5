"""Scenarios are read strictly: what is not understood fails, with its place and the nearest thing that would be."""

from collections import Counter
from typing import Any

import pytest

from approval.errors import AlreadyDecided, NotAsked
from tests.scenarios.grammar import ScenarioInvalid
from tests.scenarios.language import GRAMMAR, SENTENCES
from tests.scenarios.play import is_meant
from tests.scenarios.scenario_file import WAYS, all_scenarios, read_text
from tests.scenarios.seen import differences
from tests.scenarios.service_driver import ServiceDriver

FILE = """\
policies:
  any: {fallback: fay, theme: none, coupon: none, activity: none}
scenarios:
  - scenario: A scenario
    policy: any
    steps:
      - ann drafts the theme
      - ann submits
"""


@pytest.mark.parametrize("meaning", SENTENCES)
def test_every_sentence_means_one_thing_and_is_played_by_the_services(meaning: str) -> None:
    assert GRAMMAR.read(GRAMMAR.example(meaning), where="here").meaning == meaning
    assert hasattr(ServiceDriver, f"do_{meaning}")


def test_values_and_the_reason_are_read_out_of_a_sentence() -> None:
    read = GRAMMAR.read("dan returns coupon wander-20 to level operations: a look: again", where="here")
    assert read.meaning == "return_to_level"
    assert read.values == {"who": "dan", "offer": "wander-20", "level": "operations"}
    assert read.reason == "a look: again"


@pytest.mark.parametrize(
    ("said", "nearest"),
    [
        ("ann aproves", "ann approves: because"),
        ("ann submits: because", "ann submits"),  # no reason is asked there
        ("the weather changes", "the sweep runs"),
    ],
)
def test_unknown_sentence_fails_with_file_scenario_line_and_the_nearest_known_one(said: str, nearest: str) -> None:
    with pytest.raises(ScenarioInvalid) as refused:
        read_text(FILE.replace("ann submits", said), name="some.yaml")
    assert refused.value.where == "some.yaml:8: 'A scenario'"
    assert said in str(refused.value)
    assert f"the nearest sentence is {nearest!r}" in str(refused.value)


@pytest.mark.parametrize(
    ("written", "instead", "allowed"),
    [
        ("policy: any", "policy: some", "a policy of this file: any"),
        ("policy: any", "policy: any\n    through: telepathy", "one of service, gates, browser"),
        ("policy: any", "policy: any\n    expct: {}", "the keys here are"),
        ("- ann submits", "- expect: {mood: good}", "the keys here are theme"),
        ("- ann submits", "- {bob approves: , carl approves: }", "one sentence a step"),
    ],
)
def test_what_a_file_should_not_have_is_named_with_its_place(written: str, instead: str, allowed: str) -> None:
    with pytest.raises(ScenarioInvalid, match=r"^some\.yaml:\d+: 'A scenario'") as refused:
        read_text(FILE.replace(written, instead), name="some.yaml")
    assert allowed in str(refused.value)


def test_a_refusal_is_known_by_its_class_its_text_or_both() -> None:
    refusal = NotAsked(login="dan")
    for meant in ("NotAsked", "DecisionRefused", "dan was not asked", "NotAsked: dan was not asked"):
        assert is_meant(meant, refusal)
    for other in ("AlreadyDecided", "bob was not asked", "NotAsked: bob", "AlreadyDecided: dan was not asked"):
        assert not is_meant(other, refusal)
    assert not is_meant("NotAsked", AlreadyDecided(login="dan"))


def test_whatever_is_listed_must_be_all_there_is() -> None:
    found = {"open": {"bob": ["board"], "carl": ["board"]}, "acts_end": ["a", "b"], "alerts": ["locked: bob", "x"]}
    assert not differences({"open": {"bob": "board", "carl": "board"}}, found)
    assert not differences({"acts_end": ["b"], "alerts": ["locked", "x"]}, found)
    not_all: list[dict[str, Any]] = [
        {"open": {"bob": "board"}},
        {"acts_end": ["a"]},
        {"acts_end": []},
        {"alerts": ["locked"]},
    ]
    for expected in not_all:
        (difference,) = differences(expected, found)
        assert "expected" in difference
        assert "found" in difference


def test_there_are_as_many_scenarios_as_the_docs_say() -> None:
    scenarios = all_scenarios()
    assert len(scenarios) >= 60
    assert len({scenario.name for scenario in scenarios}) == len(scenarios)
    through = Counter(scenario.through for scenario in scenarios)
    assert (through["gates"] + through["browser"], through["browser"]) == (15, 5)
    assert set(through) == set(WAYS)
