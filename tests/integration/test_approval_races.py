"""Everybody at once, on a real PostgreSQL. Each race also runs with its guard off, to show that it is one."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from approval.decision import GivenAnswer, Question, check_decision
from approval.errors import ApprovalError, DecisionRefused, LevelSettled
from approval.form import Answer
from approval.service import decisions
from approval.service.decisions import Decided
from approval.service.people import identify
from approval.service.record import Act, write_down
from approval.states import LevelState, TaskState
from models.approval import AuditRow
from models.queries import approvals, audit, themes
from models.queries import people as people_queries
from tests.integration.scene import KEY, MORNING, Scene, theme_text
from themes.lifecycle import ThemeState

AT_ONCE = 10
PATIENCE = 20


def policy(level: str, *more: str) -> str:
    levels = ", ".join([level, *more])
    return f"policy: demo\nfallback: dan\ntheme: [{levels}]\ncoupon: none\nactivity: none\n"


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Run each act in a thread of its own, all let go together. What an act raised stands for what it returned."""
    together = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        together.wait(PATIENCE)
        try:
            return act()
        except (ApprovalError, IntegrityError) as refused:
            return refused

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def answering(scene: Scene, login: str, decision: str = "approve") -> Callable[[], Decided]:
    comment = "" if decision == "approve" else "because"
    answer = Answer.model_validate(
        {"decision": decision, "login": login, "code": scene.code(login), "comment": comment}
    )
    task_id = scene.question_to(login)
    return lambda: scene.decide(task_id, answer)


def kinds(outcomes: Sequence[object]) -> list[str]:
    return sorted(type(outcome).__name__ for outcome in outcomes)


@pytest.fixture
def asked(asked: Scene) -> Scene:
    asked.tick()
    return asked


def without_lock_on_the_theme(monkeypatch: pytest.MonkeyPatch, parties: int) -> None:
    """All have checked their question before the first writes; then they write one after another.

    One after another, since otherwise they would wait for each other's rows, and PostgreSQL would end some of them.
    """
    theme, task, decide = themes.theme_by_id, approvals.task_by_id, Scene.decide
    all_have_checked, turn = Barrier(parties), Lock()

    def check_and_wait_for_a_turn(question: Question, answer: GivenAnswer) -> None:
        check_decision(question, answer)
        all_have_checked.wait(PATIENCE)
        turn.acquire(timeout=PATIENCE)

    def decide_and_pass_the_turn_on(scene: Scene, task_id: int, answer: Answer) -> Decided:
        try:
            return decide(scene, task_id, answer)
        finally:
            turn.release()

    monkeypatch.setattr(themes, "theme_by_id", lambda session, theme_id, **_: theme(session, theme_id))
    monkeypatch.setattr(approvals, "task_by_id", lambda session, task_id, **_: task(session, task_id))
    monkeypatch.setattr(decisions, "check_decision", check_and_wait_for_a_turn)
    monkeypatch.setattr(Scene, "decide", decide_and_pass_the_turn_on)


# ten equal answers


def test_ten_equal_answers_make_one_decision_and_one_step_forward(asked: Scene) -> None:
    outcomes = at_once(*[answering(asked, "bob")] * AT_ONCE)
    assert kinds(outcomes) == ["AlreadyDecided"] * 9 + ["Decided"]
    assert len(asked.decided()) == 1
    assert asked.levels() == {"operations": LevelState.APPROVED, "finance": LevelState.OPEN}
    assert [row.level for row in asked.audit("approve")] == ["operations"]
    assert asked.verify().sound


def test_ten_equal_answers_without_the_lock_are_stopped_by_the_used_code_alone(
    asked: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock_on_the_theme(monkeypatch, AT_ONCE)
    outcomes = at_once(*[answering(asked, "bob")] * AT_ONCE)
    assert kinds(outcomes) == ["CodeReused"] * 9 + ["Decided"]


def test_ten_equal_answers_without_lock_and_code_are_stopped_by_the_unique_constraint(
    asked: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock_on_the_theme(monkeypatch, AT_ONCE)
    monkeypatch.setattr(decisions, "identify", lambda *_, **__: None)
    outcomes = at_once(*[answering(asked, "bob")] * AT_ONCE)
    assert kinds(outcomes) == ["Decided"] + ["IntegrityError"] * 9


def test_ten_equal_answers_without_any_guard_make_ten_decisions(asked: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    without_lock_on_the_theme(monkeypatch, AT_ONCE)
    monkeypatch.setattr(decisions, "identify", lambda *_, **__: None)
    asked.run("ALTER TABLE decisions DROP CONSTRAINT uq_decisions_task_id")
    outcomes = at_once(*[answering(asked, "bob")] * AT_ONCE)
    assert kinds(outcomes) == ["Decided"] * AT_ONCE
    assert len(asked.decided()) == AT_ONCE


# approve and reject at once, under `any`


@pytest.fixture
def two_asked(scene: Scene) -> Scene:
    scene.apply(
        policy("{level: one, approvers: [bob, carl], quorum: any}", "{level: two, approvers: [cyn], quorum: any}")
    )
    scene.draft()
    scene.submit()
    scene.tick()
    return scene


def test_approve_and_reject_at_once_under_any_settle_the_level_once(two_asked: Scene) -> None:
    outcomes = at_once(answering(two_asked, "bob"), answering(two_asked, "carl", "reject"))
    (decided,) = (outcome for outcome in outcomes if isinstance(outcome, Decided))
    (refused,) = (outcome for outcome in outcomes if isinstance(outcome, DecisionRefused))
    assert len(two_asked.decided()) == 1
    if decided.kind == "approve":
        assert two_asked.levels() == {"one": LevelState.APPROVED, "two": LevelState.OPEN}
        assert isinstance(refused, LevelSettled)
    else:
        assert two_asked.theme().state is ThemeState.REJECTED
        assert two_asked.open_to() == []
    assert sorted(two_asked.tasks().values())[:1] == [TaskState.CANCELLED]


def test_approve_and_reject_at_once_without_the_lock_both_count(
    two_asked: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock_on_the_theme(monkeypatch, 2)
    outcomes = at_once(answering(two_asked, "bob"), answering(two_asked, "carl", "reject"))
    assert kinds(outcomes) == ["Decided", "Decided"]
    assert {decision.kind.value for decision in two_asked.decided()} == {"approve", "reject"}


# two last votes under `count`


@pytest.fixture
def one_vote_short(scene: Scene) -> Scene:
    scene.apply(policy("{level: one, approvers: [bob, carl, cyn], quorum: {count: 2}}"))
    scene.draft()
    scene.submit()
    scene.answer("bob")
    scene.tick()
    return scene


def test_two_last_votes_under_count_step_forward_once(one_vote_short: Scene) -> None:
    outcomes = at_once(answering(one_vote_short, "carl"), answering(one_vote_short, "cyn"))
    assert kinds(outcomes) == ["Decided", "RoundClosed"]
    assert len(one_vote_short.audit("approve_chain")) == 4  # the theme's, and three by rule
    assert one_vote_short.theme().state is ThemeState.APPROVED
    assert len(one_vote_short.decided()) == 2


def test_two_last_votes_without_the_lock_step_forward_twice(
    one_vote_short: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock_on_the_theme(monkeypatch, 2)
    outcomes = at_once(answering(one_vote_short, "carl"), answering(one_vote_short, "cyn"))
    assert kinds(outcomes) == ["Decided", "Decided"]
    assert len(one_vote_short.audit("approve_chain")) == 5


def test_the_two_votes_that_are_needed_step_forward_once_when_they_come_together(scene: Scene) -> None:
    scene.apply(policy("{level: one, approvers: [bob, carl, cyn], quorum: {count: 2}}"))
    scene.draft()
    scene.submit()
    scene.tick()
    outcomes = at_once(answering(scene, "bob"), answering(scene, "carl"))
    assert kinds(outcomes) == ["Decided", "Decided"]
    assert scene.theme().state is ThemeState.APPROVED


# one code, two signatures


def test_same_code_used_ten_times_at_once_signs_once(scene: Scene) -> None:
    outcomes = at_once(*[signing(scene)] * AT_ONCE)
    assert kinds(outcomes) == ["CodeReused"] * 9 + ["int"]


def test_the_primary_key_lets_one_have_a_code_that_all_have_found_unused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_queries, "used_steps", lambda *_, **__: frozenset())
    assert kinds(at_once(*[signing(scene)] * AT_ONCE)) == ["CodeReused"] * 9 + ["int"]


def signing(scene: Scene) -> Callable[[], int]:
    code = scene.code("bob")

    def sign() -> int:
        with scene.begin() as session:
            return identify(session, login="bob", code=code, rules=scene.rules, now=scene.now).id

    return sign


def test_one_code_signs_one_of_two_themes_that_are_answered_at_once(asked: Scene) -> None:
    other = "other"
    asked.draft(theme_text(("theme: womens-day-2027", f"theme: {other}")))
    asked.submit(other)
    asked.tick()
    first = answering(asked, "bob")
    answer = Answer(decision="approve", login="bob", code=asked.code("bob"))
    task_id = asked.question_to("bob", other)
    outcomes = at_once(first, lambda: asked.decide(task_id, answer))
    assert kinds(outcomes) == ["CodeReused", "Decided"]


# wrong codes


def test_ten_wrong_codes_at_once_lock_once_and_stay_locked(asked: Scene) -> None:
    wrong, task_id = asked.wrong_code("bob"), asked.question_to("bob")
    answer = Answer(decision="approve", login="bob", code=wrong)
    outcomes = at_once(*[lambda: asked.decide(task_id, answer)] * AT_ONCE)
    assert kinds(outcomes) == ["CodeWrong"] * 5 + ["PersonLocked"] * 5
    assert len(asked.alerts()) == 1
    assert asked.person("bob").locked_until is not None


# the end of the audit


def writing(scene: Scene) -> Callable[[], None]:
    def write() -> None:
        with scene.begin() as session:
            write_down(session, Act(act="try", actor="ann", object_kind="theme", object_key=KEY), now=MORNING)

    return write


def test_ten_acts_at_once_make_one_chain(scene: Scene) -> None:
    assert kinds(at_once(*[writing(scene)] * AT_ONCE)) == ["NoneType"] * AT_ONCE
    assert len(scene.audit("try")) == AT_ONCE
    assert scene.verify().sound


def test_ten_acts_at_once_without_the_lock_collide(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = Barrier(AT_ONCE)

    def last_without_lock(session: Session) -> AuditRow | None:
        row = session.scalar(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1))
        meeting.wait(PATIENCE)
        return row

    monkeypatch.setattr(audit, "lock_chain", last_without_lock)
    assert kinds(at_once(*[writing(scene)] * AT_ONCE)) == ["IntegrityError"] * 9 + ["NoneType"]
