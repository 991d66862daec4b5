"""`themeline inbox` and `themeline theme waiting-for`, over a database and without Prefect."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import typer
from typer.testing import CliRunner

from approval.keys import inbox_path
from approval.service import questions
from console.commands.waiting import waiting_for
from tests.integration.command_line import CommandLine, command_line_over
from tests.integration.scene import KEY, Scene

ROOT = Path(__file__).parents[2]
PREFECT = "https://approver:secret@prefect.example.com/api"
UI = "https://prefect.example.com"


@pytest.fixture
def cli(scene: Scene, tmp_path: Path) -> Iterator[CommandLine]:
    scene.draft()
    scene.submit()
    with command_line_over(scene.database, tmp_path, PREFECT_API_URL=PREFECT) as cli:
        yield cli


def show_gate(scene: Scene) -> str:
    run = uuid4()
    with scene.begin() as session:
        questions.note_gate_run(session, task_id=scene.question_to("bob"), attempt=1, flow_run_id=run)
    return str(run)


def test_inbox_tells_what_is_asked_and_where_to_answer_without_a_password(cli: CommandLine, scene: Scene) -> None:
    run = show_gate(scene)
    (one,) = cli.json("inbox", "bob")
    assert (one["theme_key"], one["object_kind"], one["level_name"], one["kind"]) == (
        KEY, "theme", "operations", "decision"
    )  # fmt: skip
    assert one["run_url"] == f"{UI}/runs/flow-run/{run}"
    assert one["inbox_url"] == UI + inbox_path("bob")
    told = cli.run("inbox", "bob").stdout
    assert one["run_url"] in told
    assert told.splitlines()[-1] == f"in the Prefect UI: {UI}{inbox_path('bob')}"
    assert "secret" not in told


def test_address_of_the_ui_that_people_use_goes_before_the_one_of_the_api(cli: CommandLine, scene: Scene) -> None:
    show_gate(scene)
    (one,) = cli.json("inbox", "bob", THEMELINE_PREFECT_UI_URL="https://approvals.example.com/")
    assert one["inbox_url"] == "https://approvals.example.com" + inbox_path("bob")


def test_without_a_prefect_server_the_inbox_is_told_all_the_same(cli: CommandLine) -> None:
    (one,) = cli.json("inbox", "bob", PREFECT_API_URL=None)
    assert (one["inbox_url"], one["run_url"]) == (None, None)
    assert cli.json("inbox", "carl") == []


def test_waiting_for_names_people_and_since_when_and_due_when(cli: CommandLine, scene: Scene) -> None:
    show_gate(scene)
    app = typer.Typer()
    app.command()(waiting_for)
    runner = CliRunner(env=dict(cli.environment))
    told = runner.invoke(app, [KEY], catch_exceptions=False).stdout
    assert told.startswith(f"{KEY} is in_review and waits")
    assert "bob is asked about theme" in told
    scene.answer("bob", "reject", "no")
    assert runner.invoke(app, [KEY], catch_exceptions=False).stdout == f"{KEY} is rejected: it waits for nothing\n"


def test_inbox_imports_neither_briefs_nor_providers_nor_the_engine() -> None:
    slow = "[name for name in ('prefect', 'jinja2', 'requests', 'approval.service.brief') if name in sys.modules]"
    command = f"import sys, console.commands.inbox; print({slow})"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
