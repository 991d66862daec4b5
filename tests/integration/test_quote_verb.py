"""`themeline quote`: one answer for each document, in order, whatever the others are. Needs no database."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.integration.command_line import CommandLine, app

ROOT = Path(__file__).parents[2]
CASES = yaml.safe_load((ROOT / "tests" / "cases" / "offers.yaml").read_text(encoding="utf-8"))["cases"]
SOUND = """\
cart: {freight: 800, lines: [{qty: 3, price: 2999, sku: teapot}, {qty: 1, price: 12000}]}
offers:
- {id: kitchen-day, kind: activity, scope: {sku: [teapot]}, effect: {type: percent, bp: 1000, per: line}}
- {id: "[red]20-off-100[/red]", condition: {min_amount: 10000}, effect: {type: amount, value: 2000}}
- {id: rich, condition: {min_amount: 50000}, effect: {type: freight_percent, bp: 10000}}
- {id: mug, effect: {type: gift, sku: mug, price: 900}}
return: {0: 1}
"""
MISSPELT = "cart: {lines: [{qty: 1, price: 5}]}\nofers: []\n"
BROKEN = "cart: [\n"


@pytest.fixture
def quotes(tmp_path: Path) -> "Quotes":
    return Quotes(tmp_path)


class Quotes:
    def __init__(self, folder: Path) -> None:
        self._file = folder / "quotes.yaml"
        self.cli = CommandLine({"THEMELINE_STATE_DIR": str(folder / "state"), "COLUMNS": "100"})

    def file(self, *documents: str) -> str:
        self._file.write_text("---\n".join(documents), encoding="utf-8")
        return str(self._file)

    def asked(self, *documents: str) -> Result:
        return self.cli.run("quote", self.file(*documents))

    def lines(self, *documents: str) -> tuple[int, list[Any]]:
        outcome = self.cli.run("quote", self.file(*documents), "--json")
        return outcome.exit_code, [json.loads(line) for line in outcome.stdout.splitlines()]


def test_each_document_gets_one_line_of_json_in_its_order(quotes: Quotes) -> None:
    priced = [case for case in CASES if case["kind"] == "price" and "by_mode" not in case["expect"]]
    keys = ("cart", "offers", "mode", "forced")
    documents = [yaml.safe_dump({key: case[key] for key in keys if key in case}) for case in priced]
    status, answers = quotes.lines(*documents)
    assert status == 0
    assert len(answers) == len(priced)
    for case, answer in zip(priced, answers, strict=True):
        assert {name: answer[name] for name in case["expect"]} == case["expect"], case["id"]


def test_a_bad_document_is_told_in_its_place_and_stops_none_of_the_others(quotes: Quotes) -> None:
    status, answers = quotes.lines(SOUND, MISSPELT, SOUND, BROKEN, "", SOUND)
    assert status == 1
    assert [answer.get("document") for answer in answers] == [None, 2, None, 4, 5, None]
    assert [answer.get("payable") for answer in answers] == [18897, None, 18897, None, None, 18897]
    misspelt, broken, empty = (answers[at]["error"] for at in (1, 3, 4))
    assert misspelt["name"] == "QuoteInvalid"
    (problem,) = misspelt["problems"]
    assert problem["path"] == "ofers"
    assert problem["line"] == 10
    assert problem["message"] == "is not a known key; did you mean 'offers'?"
    assert "ofers (line 10)" in misspelt["message"]
    assert "is not YAML" in broken["message"]
    assert "is not a quote" in empty["message"]


def test_people_get_lines_steps_reasons_and_totals(quotes: Quotes) -> None:
    outcome = quotes.asked(SOUND)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in outcome.stdout.splitlines() if "│" in row]
    assert ["teapot", "3", "2999", "1706", "7291"] in rows
    assert ["freight", "", "800", "0", "800"] in rows
    assert ["kitchen-day", "item", "900 off teapot"] in rows
    assert ["[red]20-off-100[/red]", "coupon", "806 off teapot, 1194 off line 1"] in rows
    assert ["mug", "gift", "gives 1 × mug"] in rows
    assert ["rich", "18097 is spent of the 50000 that it needs"] in rows
    assert ["to pay", "18897"] in rows
    assert ["refund, prorated", "2431"] in rows
    assert ["refund, reprice", "2699"] in rows


def test_people_are_told_of_a_bad_document_and_shown_the_others(quotes: Quotes) -> None:
    outcome = quotes.asked(BROKEN, SOUND)
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("error: document 1: the quote document has a problem:")
    assert "Document 2" in outcome.stdout


def test_standard_input_is_read_where_the_file_is_a_dash(quotes: Quotes) -> None:
    runner = CliRunner(env=dict(quotes.cli.environment))
    outcome = runner.invoke(app, ["quote", "-", "--json"], input=f"{SOUND}---\n{MISSPELT}", catch_exceptions=False)
    assert outcome.exit_code == 1
    first, second = (json.loads(line) for line in outcome.stdout.splitlines())
    assert (first["payable"], second["document"]) == (18897, 2)
    broken = runner.invoke(app, ["quote", "-"], input=b"\xff", catch_exceptions=False)
    assert (broken.exit_code, broken.stdout) == (2, "")
    assert broken.stderr.startswith("error: standard input cannot be read")


def test_a_file_that_cannot_be_read_is_refused(quotes: Quotes, tmp_path: Path) -> None:
    assert "none.yaml cannot be read" in quotes.cli.refusal("quote", str(tmp_path / "none.yaml"))


def test_the_command_itself_answers_a_pipe_without_an_installation(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "console.cli", "quote", "-", "--json"],
        input=f"{SOUND}---\n{BROKEN}---\n{SOUND}",
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"THEMELINE_STATE_DIR": str(tmp_path), "PATH": ""},
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    assert ["payable" in json.loads(line) for line in ran.stdout.splitlines()] == [True, False, True]
