"""What a decision means, and whether this one may be taken into the record."""

from collections.abc import Collection
from dataclasses import dataclass

from approval.errors import (
    AlreadyDecided,
    AuthorMayNotDecide,
    CommentRequired,
    HashChanged,
    LevelSettled,
    NotAsked,
    PersonDisabled,
    RoundClosed,
    ThemeNotInReview,
)
from approval.states import DecisionKind, LevelState, RoundState, TaskState

#: The state of a theme in which it can be decided on.
IN_REVIEW = "in_review"

#: What the person says by it, as the record keeps it; the keys are locales.
MEANINGS: dict[DecisionKind, dict[str, str]] = {
    DecisionKind.APPROVE: {
        "en": "I have read this content and approve it",
        "zh": "我已审阅此内容并同意",
    },
    DecisionKind.RETURN_TO_DRAFTER: {
        "en": "I return this content to its author to be changed",
        "zh": "我将此内容退回作者修改",
    },
    DecisionKind.REJECT: {
        "en": "I have read this content and reject it",
        "zh": "我已审阅此内容并拒绝",
    },
}


def meaning(kind: DecisionKind, locale: str = "en") -> str:
    texts = MEANINGS[kind]
    return texts.get(locale, texts["en"])


def comment_required(kind: DecisionKind) -> bool:
    return kind is not DecisionKind.APPROVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A task and what it hangs on, as they stand now, under the lock of whoever asks."""

    asked: str  # login of the person it was put to
    task_state: TaskState
    level: str
    level_state: LevelState
    round_number: int
    round_state: RoundState
    theme: str
    theme_state: str
    asked_hash: str  # of the object, when the chain was fixed
    current_hash: str  # of the object now
    editors: Collection[str]  # author and everybody who edited the object since it was last live


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenAnswer:
    login: str
    enabled: bool
    kind: DecisionKind
    comment: str
    object_hash: str | None = None  # what the person saw, where the answer carries it; None: what was asked


def check_decision(question: Question, answer: GivenAnswer) -> None:
    """Let a decision pass, or refuse it with the fact that stands against it.

    What is settled already comes before what has changed since, so that the second of two equal answers is told that
    the first one counted, not that the theme has moved on.

    Raises:
        NotAsked, PersonDisabled, AuthorMayNotDecide, AlreadyDecided, RoundClosed, ThemeNotInReview, LevelSettled,
        HashChanged, CommentRequired
    """
    _check_person(question, answer)
    _check_still_asked(question)
    _check_content(question, answer)
    if comment_required(answer.kind) and not answer.comment.strip():
        raise CommentRequired(decision=answer.kind.value)


def _check_person(question: Question, answer: GivenAnswer) -> None:
    if answer.login != question.asked:
        raise NotAsked(login=answer.login)
    if not answer.enabled:
        raise PersonDisabled(login=answer.login)
    if answer.login in question.editors:
        raise AuthorMayNotDecide(login=answer.login)


def _check_still_asked(question: Question) -> None:
    if question.task_state is TaskState.DECIDED:
        raise AlreadyDecided(login=question.asked)
    if question.round_state is not RoundState.OPEN:
        raise RoundClosed(round_number=question.round_number, state=question.round_state)
    if question.theme_state != IN_REVIEW:
        raise ThemeNotInReview(theme=question.theme, state=question.theme_state)
    if question.level_state is not LevelState.OPEN or question.task_state is not TaskState.OPEN:
        raise LevelSettled(level=question.level, state=question.level_state)


def _check_content(question: Question, answer: GivenAnswer) -> None:
    seen = question.asked_hash if answer.object_hash is None else answer.object_hash
    for asked in (question.asked_hash, seen):
        if asked != question.current_hash:
            raise HashChanged(asked_hash=asked, current_hash=question.current_hash)
