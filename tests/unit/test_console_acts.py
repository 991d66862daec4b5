"""The verbs that somebody signs: what each of them asks the deployment theme-action to do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from console.commands import acts
from themes.service.acts import ACTS, NEEDS

SIGNED = ["--login", "bob", "--code", "123456", "--comment", "why"]
#: Verb with its own words -> act, and what is said beside key, login, code and comment.
VERBS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "approve KEY": ("approve", {}),
    "approve KEY --offer five": ("approve", {"offer": "five"}),
    "return KEY": ("return to drafter", {}),
    "return KEY --to previous --offer five": ("return to previous level", {"offer": "five"}),
    "return KEY --to finance": ("return to chosen level", {"to_level": "finance"}),
    "reject KEY --offer five": ("reject", {"offer": "five"}),
    "take-back KEY": ("take back", {}),
    "delegate KEY cyn": ("delegate", {"person": "cyn"}),
    "transfer KEY cyn": ("transfer", {"person": "cyn"}),
    "add-signer KEY cyn": ("add signer after", {"person": "cyn"}),
    "add-signer KEY cyn --where before": ("add signer before", {"person": "cyn"}),
    "remove-signer KEY cyn": ("remove signer", {"person": "cyn"}),
    "override KEY approve": ("override: approve", {}),
    "override KEY return": ("override: return to drafter", {}),
    "override KEY reject": ("override: reject", {}),
    "withdraw KEY": ("withdraw", {}),
    "recall KEY": ("recall", {}),
    "takedown KEY --claimed void": ("takedown", {"claimed": "void"}),
    "pause KEY": ("pause", {}),
    "resume KEY": ("resume", {}),
    "launch-now KEY": ("launch now", {}),
    "move-start KEY --start-at 2027-03-06T09:00+00:00": ("move start", {"start_at": "2027-03-06T09:00:00+00:00"}),
    "drop KEY": ("drop", {}),
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Mapping[str, Any]]]:
    runs: list[tuple[str, Mapping[str, Any]]] = []

    def run(deployment: str, parameters: Mapping[str, Any]) -> dict[str, str]:
        runs.append((deployment, parameters))
        return {"message": "done", "url": "http://prefect"}

    monkeypatch.setattr(acts, "run_flow", run)
    return runs


def call(*words: str) -> None:
    app = typer.Typer()
    acts.add_to(app)
    outcome = CliRunner().invoke(app, [*words, *SIGNED])
    assert outcome.exit_code == 0, outcome.output


@pytest.mark.parametrize("words", VERBS)
def test_a_verb_asks_for_its_act_with_all_that_it_was_told(
    words: str, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    call(*words.split())
    act, said = VERBS[words]
    signed = {"theme": "KEY", "login": "bob", "code": "123456", "comment": "why"}
    assert asked == [("theme-action/from-form", {**signed, "action": act, **said})]


def test_a_correction_is_sent_as_it_stands_in_its_file(
    tmp_path: Path, asked: list[tuple[str, Mapping[str, Any]]]
) -> None:
    file = tmp_path / "sorry.yaml"
    file.write_text("channels: {}\n", encoding="utf-8")
    call("takedown", "KEY", "--claimed", "honour", "--correction", str(file))
    assert asked[0][1]["correction"] == "channels: {}\n"


def test_every_act_has_a_verb() -> None:
    assert {act for act, _ in VERBS.values()} == set(ACTS)


def test_what_an_act_cannot_do_without_its_verb_asks_for() -> None:
    names = {"start_at", "person", "to_level", "claimed"}
    told = {act: set(said) & names for act, said in VERBS.values()}
    assert {act: set(needs) for act, needs in NEEDS.items()} == {act: told[act] for act in NEEDS}
