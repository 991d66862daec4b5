"""One theme's way as people see it in Prefect's UI: returned, asked about again, approved, sent, retried."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from approval.identity import STEP_SECONDS, code_at
from channels.service.distribution import progress
from channels.states import Channel, DeliveryState, ErrorClass
from console.demo.approvers import answer, wait_for, waiting_question
from console.supervisor.layout import Layout, read_private
from tests.acceptance import stage as stages
from tests.acceptance.prefect_ui import AnswerForm, PrefectUi, browser_at, chromium
from tests.acceptance.stage import Stage
from themes.lifecycle import ThemeState

THEME = "ui-womens-day"
TITLE = "Women's Day · 三八妇女节，逛吃逛喝我买单"
COMMENT = "The budget is above what was agreed: 20000, please."
FINANCE = ("ui-carl", "ui-cyn", "ui-cora")

pytestmark = pytest.mark.skipif(chromium() is None, reason="the browser test needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def stage(installation: Any) -> Stage:
    built = stages.build(installation.environment)
    built.draft_and_submit(THEME, title=TITLE, budget="25000.00")
    return built


@pytest.fixture(scope="module")
def ui(installation: Any) -> Iterator[PrefectUi]:
    auth = read_private(Layout(installation.themeline.state_dir).prefect_auth)
    executable = chromium()
    assert auth
    assert executable
    with browser_at(installation.addresses["prefect_ui"], auth, executable=executable) as opened:
        yield opened


@pytest.fixture(scope="module")
def resubmitted(stage: Stage) -> Stage:
    """Ann has done as she was asked, and the first level is asked again."""
    stage.draft_and_submit(THEME, title=TITLE, budget="20000.00")
    return stage


@pytest.fixture(scope="module")
def failed(resubmitted: Stage) -> Stage:
    """Two of finance have approved, the theme is live, and nobody takes its mails."""
    for login in FINANCE[:2]:
        answer(resubmitted.api, THEME, login, resubmitted.app(login), decision="approve")
    wait_for("the launch", lambda: resubmitted.theme_state(THEME) is ThemeState.LIVE)
    wait_for("the failures", lambda: all_failed(resubmitted))
    resubmitted.api.wait(resubmitted.launch_run(THEME))
    return resubmitted


def all_failed(stage: Stage) -> bool:
    mail = mail_of(stage)
    return bool(mail) and mail.planned == mail.failed.get(ErrorClass.DOWN, 0) > 0


def mail_of(stage: Stage) -> Any:
    theme_id = stage.theme_id(THEME)
    with stage.database.begin() as session:
        channels = progress(session, theme_id=theme_id, now=datetime.now(UTC))
    return next((one for one in channels if one.channel is Channel.EMAIL), None)


def open_question(ui: PrefectUi, stage: Stage, login: str) -> AnswerForm:
    """As she comes to it: her inbox, the run in it, its form."""
    stage.question_to(login, THEME)
    questions = ui.open_inbox(login)
    assert questions.count() == 1
    questions.click()
    return ui.open_form()


def wrong_code(secret: str) -> str:
    """A code that is right at no moment near this one."""
    now = datetime.now(UTC).timestamp()
    near = {code_at(secret, datetime.fromtimestamp(now + n * STEP_SECONDS, UTC)) for n in range(-5, 6)}
    return next(code for code in (f"{n:06}" for n in range(20)) if code not in near)


def test_an_approver_returns_a_theme_to_its_drafter_with_a_comment(ui: PrefectUi, stage: Stage) -> None:
    form = open_question(ui, stage, "ui-bob")
    ui.picture("first-question")
    assert "Budget 25000.00 GBP" in form.brief.inner_text()
    form.answer("return to drafter", login="ui-bob", code=stage.code("ui-bob"), comment=COMMENT)
    ui.picture("return")
    form.submit_and_close()
    wait_for("the draft", lambda: stage.theme_state(THEME) is ThemeState.DRAFT)
    assert stage.decisions(THEME) == [("ui-bob", "return to drafter", COMMENT)]


def test_an_empty_answer_is_refused_and_the_question_waits_on(ui: PrefectUi, resubmitted: Stage) -> None:
    before = resubmitted.question_to("ui-bob", THEME)
    form = open_question(ui, resubmitted, "ui-bob")
    form.submit()
    form.card.get_by_text("'decision' is a required property").wait_for()
    for name in ("login", "code"):
        assert form.card.get_by_text(f"'{name}' is a required property").is_visible()
    ui.picture("empty-answer")
    assert form.card.is_visible()
    after = resubmitted.api.flow_run(before["id"])
    assert (after["state_name"], after["state_id"]) == ("Suspended", before["state_id"])
    assert len(resubmitted.decisions(THEME)) == 1


def test_after_a_wrong_code_the_question_comes_back_with_the_reason_in_its_first_line(
    ui: PrefectUi, resubmitted: Stage
) -> None:
    before = resubmitted.question_to("ui-bob", THEME)
    form = open_question(ui, resubmitted, "ui-bob")
    form.answer("approve", login="ui-bob", code=wrong_code(resubmitted.app("ui-bob").secret))
    form.submit_and_close()
    wait_for("the question again", lambda: asked_anew(resubmitted, before))
    form = open_question(ui, resubmitted, "ui-bob")
    ui.picture("asked-again")
    first = form.brief.inner_text().splitlines()[0]
    assert first.startswith("Asked again: The one-time code is not right now.")
    assert len(resubmitted.decisions(THEME)) == 1


def asked_anew(stage: Stage, before: dict[str, Any]) -> bool:
    """The same run, waiting with another form."""
    now = waiting_question(stage.api, "ui-bob", THEME)
    return now is not None and now["id"] == before["id"] and pause_key(now) != pause_key(before)


def pause_key(run: dict[str, Any]) -> str:
    return str(run["state"]["state_details"]["pause_key"])


def test_an_approver_finds_reads_and_answers_her_question_and_the_next_level_is_asked(
    ui: PrefectUi, resubmitted: Stage
) -> None:
    form = open_question(ui, resubmitted, "ui-bob")
    brief = form.brief.inner_text()
    for told in (TITLE, "Budget 20000.00 GBP", "Level 1 of 2, operations", "25000.00 GBP → 20000.00 GBP", COMMENT):
        assert told in brief
    assert resubmitted.content_hash(THEME) in re.sub(r"\s", "", brief)
    assert not re.search(r"&#?\w+;|\\|\*\*", brief), "markup shows as text"
    form.answer("approve", login="ui-bob", code=resubmitted.code("ui-bob"), comment="As agreed.")
    ui.picture("approve")
    form.submit_and_close()
    for login in FINANCE:
        resubmitted.question_to(login, THEME)
    assert resubmitted.decisions(THEME)[1:] == [("ui-bob", "approve", "As agreed.")]

    form = open_question(ui, resubmitted, "ui-carl")
    ui.picture("next-level")
    brief = form.brief.inner_text()
    for told in ("Level 2 of 2, finance · Who must agree 2 of 3", "Bob of Operations", "As agreed."):
        assert told in brief
    ui.page.set_viewport_size({"width": 1280, "height": 1300})
    ui.documentation_picture("approval-form", form.card)
    ui.page.set_viewport_size({"width": 1280, "height": 1000})


def test_ops_start_a_retry_from_the_form_of_the_deployment_and_see_what_it_would_take(
    ui: PrefectUi, failed: Stage
) -> None:
    form = ui.open_custom_run("by-ops", name=f"retry {THEME}")
    form.write("theme", THEME)
    form.switch_on("dry_run")
    ui.picture("retry-form")
    form.submit()
    ui.page.get_by_text("scheduled to start").first.wait_for()
    (run,) = failed.api.filter_flow_runs({"name": {"any_": [f"retry {THEME}"]}})
    run = failed.api.wait(run["id"])
    count = mail_of(failed).planned
    assert (run["state_type"], run["state"]["message"]) == ("COMPLETED", f"would take {count}; left: none")
    ui.open(f"/runs/flow-run/{run['id']}")
    ui.page.get_by_text("Artifacts", exact=True).click()
    artifact = ui.page.get_by_role("link", name="retry-deliveries-theme").get_attribute("href")
    ui.open(str(artifact))  # anew: the run's page tells the same in short, and stays until the other is there
    ui.page.get_by_text(f"would take {count} deliveries").wait_for()
    ui.picture("retry-result")
    assert mail_of(failed).states[DeliveryState.FAILED] == count


def test_the_timeline_of_the_theme_is_there_to_be_read(ui: PrefectUi, failed: Stage) -> None:
    ui.page.set_viewport_size({"width": 1280, "height": 800})
    ui.open(f"/artifacts/key/timeline-theme-{failed.theme_id(THEME)}")
    ui.page.locator("a[href*='/artifacts/artifact/']").first.click()
    rows = ui.page.locator("tbody tr")
    rows.first.wait_for()
    ui.documentation_picture("timeline", ui.page.locator("body"))
    told = [row.split("\t") for row in rows.all_inner_texts()]
    outcomes = {cells[0].strip(): cells[-1].strip() for cells in told}
    assert outcomes["round 1 · operations"] == "returned"
    assert outcomes["round 2 · operations"] == outcomes["round 2 · finance"] == "approved"
    assert outcomes["send · email"] == f"{mail_of(failed).planned} failed"
