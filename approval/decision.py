"""What a decision means, and whether this one may be taken into the record."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from approval.errors import (
    AdviceIsOut,
    AlreadyDecided,
    AuthorMayNotDecide,
    CommentRequired,
    HashChanged,
    LevelNotEarlier,
    LevelNotSigned,
    LevelSettled,
    LevelUnknown,
    NoEarlierLevel,
    NotAsked,
    PersonDisabled,
    RoundClosed,
    ThemeNotInReview,
    nearest,
)
from approval.states import DecisionKind, LevelState, RoundState, TaskKind, TaskState

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
    DecisionKind.RETURN_TO_PREVIOUS: {
        "en": "I return this content to the level before mine, to be decided on again",
        "zh": "我将此内容退回上一级重新审批",
    },
    DecisionKind.RETURN_TO_LEVEL: {
        "en": "I return this content to an earlier level, to be decided on again",
        "zh": "我将此内容退回指定级别重新审批",
    },
    DecisionKind.REJECT: {
        "en": "I have read this content and reject it",
        "zh": "我已审阅此内容并拒绝",
    },
}

ADVICE_MEANINGS: dict[DecisionKind, dict[str, str]] = {
    DecisionKind.APPROVE: {
        "en": "I advise to approve this content; the decision is not mine",
        "zh": "我建议同意此内容；决定权不在我",
    },
    DecisionKind.RETURN_TO_DRAFTER: {
        "en": "I advise to return this content to its author; the decision is not mine",
        "zh": "我建议将此内容退回作者；决定权不在我",
    },
    DecisionKind.RETURN_TO_PREVIOUS: {
        "en": "I advise to return this content to the level before; the decision is not mine",
        "zh": "我建议将此内容退回上一级；决定权不在我",
    },
    DecisionKind.RETURN_TO_LEVEL: {
        "en": "I advise to return this content to an earlier level; the decision is not mine",
        "zh": "我建议将此内容退回指定级别；决定权不在我",
    },
    DecisionKind.REJECT: {
        "en": "I advise to reject this content; the decision is not mine",
        "zh": "我建议拒绝此内容；决定权不在我",
    },
}

OVERRIDE_MEANINGS: dict[DecisionKind, dict[str, str]] = {
    DecisionKind.APPROVE: {
        "en": "As an administrator I approve this content over the heads of those asked",
        "zh": "我以管理员身份越过被询问者同意此内容",
    },
    DecisionKind.RETURN_TO_DRAFTER: {
        "en": "As an administrator I return this content to its author over the heads of those asked",
        "zh": "我以管理员身份越过被询问者将此内容退回作者",
    },
    DecisionKind.REJECT: {
        "en": "As an administrator I reject this content over the heads of those asked",
        "zh": "我以管理员身份越过被询问者拒绝此内容",
    },
}

_MEANINGS_OF: Mapping[TaskKind, Mapping[DecisionKind, Mapping[str, str]]] = {
    TaskKind.DECISION: MEANINGS,
    TaskKind.ADVICE: ADVICE_MEANINGS,
    TaskKind.OVERRIDE: OVERRIDE_MEANINGS,
}


def meaning(kind: DecisionKind, locale: str = "en", task_kind: TaskKind = TaskKind.DECISION) -> str:
    texts = _MEANINGS_OF[task_kind][kind]
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
    editors: Collection[str]  # author and everybody who edited the object; nobody where only advice is asked
    advisers: Collection[str] = ()  # whose advice is out


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
        AdviceIsOut, HashChanged, CommentRequired
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
    if question.round_state is RoundState.REVISED:
        _check_hash(question.asked_hash, question.current_hash)
    if question.round_state is not RoundState.OPEN:
        raise RoundClosed(round_number=question.round_number, state=question.round_state)
    if question.theme_state != IN_REVIEW:
        raise ThemeNotInReview(theme=question.theme, state=question.theme_state)
    if question.task_state is TaskState.OUT:
        raise AdviceIsOut(login=question.asked, advisers=sorted(question.advisers))
    if question.level_state is not LevelState.OPEN or question.task_state is not TaskState.OPEN:
        raise LevelSettled(level=question.level, state=question.level_state)


def _check_content(question: Question, answer: GivenAnswer) -> None:
    seen = question.asked_hash if answer.object_hash is None else answer.object_hash
    for asked in (question.asked_hash, seen):
        _check_hash(asked, question.current_hash)


def _check_hash(asked: str, current: str) -> None:
    if asked != current:
        raise HashChanged(asked_hash=asked, current_hash=current)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelSeen:
    """A level of a chain, as far as a return to it goes."""

    name: str
    position: int
    signed: bool  # approved by a person's decision that stands


def target_of(kind: DecisionKind, to_level: str, levels: Sequence[LevelSeen], *, at: int) -> int:
    """The position of the level that a return from position `at` leads to.

    Raises:
        NoEarlierLevel, LevelUnknown, LevelNotEarlier, LevelNotSigned
    """
    signed = [level for level in levels if level.position < at and level.signed]
    if kind is DecisionKind.RETURN_TO_PREVIOUS:
        if not signed:
            raise NoEarlierLevel(level=_name_at(levels, at))
        return signed[-1].position
    named = next((level for level in levels if level.name == to_level.strip()), None)
    may = [level.name for level in signed]
    if named is None:
        meant = nearest(to_level, [level.name for level in levels])
        raise LevelUnknown(level=to_level, allowed=may, nearest=meant)
    if named.position >= at:
        raise LevelNotEarlier(level=named.name, allowed=may)
    if not named.signed:
        raise LevelNotSigned(level=named.name, allowed=may)
    return named.position


def _name_at(levels: Sequence[LevelSeen], position: int) -> str:
    return next(level.name for level in levels if level.position == position)
