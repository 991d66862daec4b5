from dataclasses import replace

import pytest

from approval import errors
from approval.decision import GivenAnswer, Question, check_decision, comment_required, meaning
from approval.states import DecisionKind, LevelState, RoundState, TaskState

QUESTION = Question(
    asked="carl",
    task_state=TaskState.OPEN,
    level="finance",
    level_state=LevelState.OPEN,
    round_number=2,
    round_state=RoundState.OPEN,
    theme="womens-day",
    theme_state="in_review",
    asked_hash="aaa",
    current_hash="aaa",
    editors={"ann"},
)
ANSWER = GivenAnswer(login="carl", enabled=True, kind=DecisionKind.APPROVE, comment="")


def test_the_person_asked_may_approve_without_a_comment() -> None:
    check_decision(QUESTION, ANSWER)
    check_decision(QUESTION, replace(ANSWER, object_hash="aaa"))


@pytest.mark.parametrize(
    ("question", "answer", "fact"),
    [
        ({}, {"login": "cyn"}, errors.NotAsked),
        ({}, {"enabled": False}, errors.PersonDisabled),
        ({"editors": {"ann", "carl"}}, {}, errors.AuthorMayNotDecide),
        ({"task_state": TaskState.DECIDED}, {}, errors.AlreadyDecided),
        ({"task_state": TaskState.WAITING, "level_state": LevelState.WAITING}, {}, errors.LevelSettled),
        ({"task_state": TaskState.CANCELLED}, {}, errors.LevelSettled),
        ({"level_state": LevelState.WAITING}, {}, errors.LevelSettled),
        ({"level_state": LevelState.APPROVED}, {}, errors.LevelSettled),
        ({"level_state": LevelState.VOID}, {}, errors.LevelSettled),
        ({"round_state": RoundState.RETURNED}, {}, errors.RoundClosed),
        ({"round_state": RoundState.WITHDRAWN}, {}, errors.RoundClosed),
        ({"theme_state": "draft"}, {}, errors.ThemeNotInReview),
        ({"theme_state": "live"}, {}, errors.ThemeNotInReview),
        ({"current_hash": "bbb"}, {}, errors.HashChanged),
        ({}, {"object_hash": "old"}, errors.HashChanged),  # an answer to a question that showed something else
        ({"current_hash": "bbb"}, {"object_hash": "bbb"}, errors.HashChanged),  # read the new, but asked about the old
        ({}, {"kind": DecisionKind.REJECT}, errors.CommentRequired),
        ({}, {"kind": DecisionKind.RETURN_TO_DRAFTER}, errors.CommentRequired),
        ({}, {"kind": DecisionKind.REJECT, "comment": " \n"}, errors.CommentRequired),
    ],
)
def test_a_decision_is_refused_with_the_fact_against_it(
    question: dict[str, object], answer: dict[str, object], fact: type[errors.DecisionRefused]
) -> None:
    with pytest.raises(errors.DecisionRefused) as refused:
        check_decision(replace(QUESTION, **question), replace(ANSWER, **answer))  # type: ignore[arg-type]
    assert type(refused.value) is fact


def test_the_second_of_two_equal_answers_hears_that_the_first_counted_whatever_happened_since() -> None:
    since = replace(
        QUESTION,
        task_state=TaskState.DECIDED,
        level_state=LevelState.APPROVED,
        round_state=RoundState.APPROVED,
        theme_state="scheduled",
        current_hash="bbb",
    )
    with pytest.raises(errors.AlreadyDecided, match="carl has already decided"):
        check_decision(since, ANSWER)


def test_an_answer_about_an_old_revision_is_told_both_hashes() -> None:
    with pytest.raises(errors.HashChanged) as refused:
        check_decision(QUESTION, replace(ANSWER, object_hash="old"))
    assert (refused.value.asked_hash, refused.value.current_hash) == ("old", "aaa")
    assert "old" in str(refused.value)
    assert "aaa" in str(refused.value)


def test_an_editor_may_not_decide_even_when_asked_and_somebody_else_saved_last() -> None:
    with pytest.raises(errors.AuthorMayNotDecide):
        check_decision(replace(QUESTION, editors=["carl", "ann"]), ANSWER)


@pytest.mark.parametrize("kind", DecisionKind)
def test_every_decision_has_a_meaning_of_its_own_in_both_languages(kind: DecisionKind) -> None:
    assert meaning(kind) == meaning(kind, "en") == meaning(kind, "fr")
    assert meaning(kind, "zh") != meaning(kind, "en")
    assert len({meaning(each, "zh") for each in DecisionKind}) == len(DecisionKind)


def test_only_an_approval_needs_no_comment() -> None:
    assert [kind for kind in DecisionKind if not comment_required(kind)] == [DecisionKind.APPROVE]
