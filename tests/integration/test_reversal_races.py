"""A reversal and a decision at once, on a real PostgreSQL. Each race also runs with its guard off: it is one."""

from collections.abc import Callable, Sequence
from threading import Barrier, Event

import pytest
from sqlalchemy.orm import Session

from approval.decision import GivenAnswer, Question, check_decision
from approval.errors import ApprovalError, HashChanged, LevelSettled, NothingToTakeBack, ThemeNotInReview
from approval.service import decisions, reversal
from approval.service.decisions import Decided
from approval.states import LevelState, RoundState
from models.approval import Decision, Level, Task
from models.queries import approvals, themes
from models.theme import Theme
from tests.integration.scene import KEY, Scene
from tests.integration.test_approval_races import PATIENCE, answering, at_once
from themes.errors import ThemeError
from themes.lifecycle import ThemeState
from themes.service.acts import Request, carry_out

CHEAPER = ('budget: "20000.00"', 'budget: "9000.00"')
POLICY = (
    "policy: demo\nfallback: dan\ncoupon: none\nactivity: none\noverride: [dan]\n"
    "theme: [{level: one, approvers: [bob], quorum: any}, {level: two, approvers: [carl, cyn], quorum: any}]\n"
)


@pytest.fixture
def first_signed(scene: Scene) -> Scene:
    """Level one is signed by bob, level two asks carl and cyn."""
    scene.apply(POLICY)
    scene.draft()
    scene.submit()
    scene.answer("bob")
    scene.tick()
    return scene


def doing(scene: Scene, act: str, login: str, **details: object) -> Callable[[], object]:
    """An act of the form, whose clock is set before anybody starts."""
    request = Request(key=KEY, act=act, signature=scene.sign(login), **details)  # type: ignore[arg-type]
    now = scene.now

    def do() -> object:
        with scene.begin() as session:
            return carry_out(session, request, rules=scene.rules, now=now) or "done"

    return do


def editing(scene: Scene) -> object:
    try:
        return scene.edit(CHEAPER)
    except ThemeError as refused:
        return refused


def refusals(outcomes: Sequence[object]) -> list[object]:
    return [outcome for outcome in outcomes if isinstance(outcome, ApprovalError)]


def test_a_decision_is_taken_back_or_the_next_level_decides_never_both(first_signed: Scene) -> None:
    taking_back = doing(first_signed, "take back", "bob")
    outcomes = at_once(taking_back, answering(first_signed, "carl"))
    (refused,) = refusals(outcomes)
    if isinstance(refused, NothingToTakeBack | ThemeNotInReview):
        assert first_signed.theme().state is ThemeState.APPROVED
    else:
        assert isinstance(refused, LevelSettled)
        assert first_signed.levels() == {"one": LevelState.OPEN, "two": LevelState.WAITING}
        assert first_signed.open_to() == ["bob"]
    assert first_signed.verify().sound


def test_without_the_lock_a_decision_is_taken_back_from_under_the_next_level(
    first_signed: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_id, by_key, too_late = themes.theme_by_id, themes.theme_by_key, reversal._too_late
    both_have_checked, has_decided = Barrier(2), Event()

    def check_and_meet(question: Question, answer: GivenAnswer) -> None:
        check_decision(question, answer)
        both_have_checked.wait(PATIENCE)

    def look_and_meet(session: Session, later: Sequence[Level], cast: Sequence[Decision], mine: Decision) -> str | None:
        because = too_late(session, later, cast, mine)
        both_have_checked.wait(PATIENCE)
        assert has_decided.wait(PATIENCE)  # the other way round, the key of live tasks would stop the answer
        return because

    def unlocked(session: Session, key: str, **_: object) -> Theme | None:
        return by_key(session, key)

    monkeypatch.setattr(themes, "theme_by_id", lambda session, theme_id, **_: by_id(session, theme_id))
    monkeypatch.setattr(themes, "theme_by_key", unlocked)
    monkeypatch.setattr(approvals, "task_by_id", lambda session, task_id, **_: session.get_one(Task, task_id))
    monkeypatch.setattr(decisions, "check_decision", check_and_meet)
    monkeypatch.setattr(reversal, "_too_late", look_and_meet)

    answer = answering(first_signed, "carl")

    def decide() -> object:
        try:
            return answer()
        finally:
            has_decided.set()

    outcomes = at_once(doing(first_signed, "take back", "bob"), decide)
    assert not refusals(outcomes)
    standing = [decision.voided_at is None for decision in first_signed.decided()]
    assert standing == [False, True]  # level two decided on what level one no longer approves


def test_an_edit_or_an_approval_comes_first_and_the_other_is_told(first_signed: Scene) -> None:
    answer = answering(first_signed, "carl")
    outcomes = at_once(lambda: editing(first_signed), answer)
    if any(isinstance(outcome, Decided) for outcome in outcomes):
        # approved first: an approved theme is not edited but recalled
        assert first_signed.theme().state is ThemeState.APPROVED
    else:
        assert any(isinstance(outcome, HashChanged) for outcome in outcomes)
        assert first_signed.round_state(1) is RoundState.REVISED
        assert first_signed.levels(2) == {"one": LevelState.OPEN, "two": LevelState.WAITING}


def test_an_override_and_an_answer_at_once_settle_the_level_once(first_signed: Scene) -> None:
    overriding = doing(first_signed, "override: reject", "dan")
    outcomes = at_once(overriding, answering(first_signed, "carl"))
    assert len(refusals(outcomes)) == 1
    assert first_signed.theme().state in {ThemeState.APPROVED, ThemeState.REJECTED}
    assert len(first_signed.decided()) == 2


def test_five_transfers_at_once_hand_a_question_on_once(first_signed: Scene) -> None:
    acts = [doing(first_signed, "transfer", "carl", person="cora") for _ in range(5)]
    outcomes = at_once(*acts)
    assert len(refusals(outcomes)) == 4
    assert first_signed.open_to() == ["cora", "cyn"]
