"""Taking a decision into the record, and what follows from it inside the database."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval.decision import GivenAnswer, LevelSeen, Question, check_decision, meaning, target_of
from approval.errors import NotAsked
from approval.form import Answer
from approval.quorum import LevelOutcome
from approval.service import reversal
from approval.service.chains import is_signed, subjects_of
from approval.service.levels import (
    RoundWork,
    act_of,
    barred_from,
    cancel_seat,
    give_back_to_owner,
    login_of,
    settle_level,
)
from approval.service.people import IdentityRules, identify, require_line, require_person
from approval.service.record import write_down
from approval.service.rounds import conclude
from approval.states import DecisionKind, TaskKind, TaskState
from models.approval import Chain, Decision, Level, Round, Task
from models.person import Person
from models.queries import approvals, people, themes
from models.theme import Theme

_TO_LEVEL = {DecisionKind.RETURN_TO_PREVIOUS, DecisionKind.RETURN_TO_LEVEL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision that is on record, and what its level came to."""

    kind: DecisionKind
    outcome: LevelOutcome
    theme_id: int
    advice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a question hangs; the theme is locked, so nothing here changes under us."""

    theme: Theme
    round: Round
    chain: Chain
    level: Level
    task: Task
    person: Person

    def work(self, session: Session, now: datetime) -> RoundWork:
        return RoundWork(session=session, theme=self.theme, a_round=self.round, now=now)


def decide(
    session: Session,
    *,
    task_id: int,
    answer: Answer,
    flow_run_id: UUID | None,
    rules: IdentityRules,
    now: datetime,
) -> Decided:
    """Take one person's answer to her question. The lock on the theme settles every race.

    Raises:
        DecisionRefused, IdentityRefused: nothing was written.
    """
    place = locate(session, task_id)
    person = require_person(session, answer.login)
    given = GivenAnswer(
        login=person.login, enabled=person.disabled_at is None, kind=answer.kind, comment=answer.comment
    )
    check_decision(_question(session, place), given)
    require_line(session, person, place.theme.product_line_id)
    target = _target(session, place, answer)
    identify(session, login=person.login, code=answer.code, rules=rules, now=now)
    work = place.work(session, now)
    write_decision(work, place, answer.kind, comment=answer.comment, flow_run_id=flow_run_id, to_level=target)
    if place.task.kind is TaskKind.ADVICE:
        give_back_to_owner(work, place.level, place.task)
        return Decided(kind=answer.kind, outcome=LevelOutcome.OPEN, theme_id=place.theme.id, advice=True)
    cancel_seat(session, place.level, place.task.owner_id, now)
    outcome = settle_level(work, place.chain, place.level)
    if target is not None:
        reversal.return_to(work, place.chain, target, because=f"{person.login} returned it")
    conclude(
        work,
        place.chain,
        outcome,
        actor=person.login,
        object_hash=place.chain.object_hash,
        comment=answer.comment,
        flow_run_id=flow_run_id,
    )
    return Decided(kind=answer.kind, outcome=outcome, theme_id=place.theme.id)


def answer_for(
    session: Session,
    *,
    key: str,
    object_key: str,
    answer: Answer,
    flow_run_id: UUID | None,
    rules: IdentityRules,
    now: datetime,
) -> Decided:
    """The same, from the command line or a form that is no gate: the question is found by its object and person.

    Raises:
        ThemeUnknown, ObjectNotInReview, NotAsked, DecisionRefused, IdentityRefused
    """
    theme = reversal.locked_theme(session, key)
    person = require_person(session, answer.login)
    task = question_of(session, theme, object_key, person)
    return decide(session, task_id=task.id, answer=answer, flow_run_id=flow_run_id, rules=rules, now=now)


def question_of(session: Session, theme: Theme, object_key: str, person: Person) -> Task:
    """The question that a person has about an object: the one that stands open, or else the newest she had."""
    chain = reversal.chain_of(session, theme, object_key)
    task = approvals.newest_question(session, chain_id=chain.id, person_id=person.id)
    if task is None:
        raise NotAsked(login=person.login)
    return task


def locate(session: Session, task_id: int) -> Place:
    theme = themes.theme_by_id(session, approvals.theme_id_of_task(session, task_id), lock=True)
    task = approvals.task_by_id(session, task_id, lock=True)
    level = approvals.level_by_id(session, task.level_id)
    chain = approvals.chain_by_id(session, level.chain_id)
    return Place(
        theme=theme,
        round=approvals.round_by_id(session, chain.round_id),
        chain=chain,
        level=level,
        task=task,
        person=people.person_by_id(session, task.person_id),
    )


def _question(session: Session, place: Place) -> Question:
    advice = place.task.kind is TaskKind.ADVICE
    chain = place.chain
    return Question(
        asked=place.person.login,
        task_state=place.task.state,
        level=place.level.name,
        level_state=place.level.state,
        round_number=place.round.number,
        round_state=place.round.state,
        theme=place.theme.key,
        theme_state=place.theme.state.value,
        asked_hash=chain.object_hash,
        current_hash=_current_hash(session, place),
        editors=() if advice else barred_from(session, place.theme, chain.object_kind, chain.object_key),
        advisers=[login for _, login in approvals.advice_under_way(session, place.task.id)],
    )


def _current_hash(session: Session, place: Place) -> str:
    """Of the object, in the revision that the theme stands on now; "" where it is gone."""
    if place.theme.revision_id is None:
        return ""
    revision = themes.revision_by_id(session, place.theme.revision_id)
    for subject in subjects_of(place.theme, revision):
        if (subject.kind, subject.key) == (place.chain.object_kind, place.chain.object_key):
            return subject.hash
    return ""


def _target(session: Session, place: Place, answer: Answer) -> Level | None:
    """The level that a return to a level leads to; advice leads nowhere."""
    if answer.kind not in _TO_LEVEL or place.task.kind is TaskKind.ADVICE:
        return None
    levels = approvals.levels(session, place.chain.id)
    seen = [LevelSeen(name=level.name, position=level.position, signed=is_signed(session, level)) for level in levels]
    position = target_of(answer.kind, answer.to_level, seen, at=place.level.position)
    return next(level for level in levels if level.position == position)


def write_decision(
    work: RoundWork,
    place: Place,
    kind: DecisionKind,
    *,
    comment: str,
    flow_run_id: UUID | None,
    to_level: Level | None = None,
) -> None:
    """The decision, the end of its question, and the audit row, in the words of the person who decides."""
    task, now = place.task, work.now
    said = meaning(kind, place.person.locale, task.kind)
    on_behalf_of = None if task.owner_id == task.person_id else task.owner_id
    work.session.add(
        Decision(
            task_id=task.id,
            round_id=place.round.id,
            level_id=place.level.id,
            person_id=place.person.id,
            on_behalf_of_id=on_behalf_of,
            kind=kind,
            override=task.kind is TaskKind.OVERRIDE,
            meaning=said,
            comment=comment,
            object_hash=place.chain.object_hash,
            flow_run_id=flow_run_id,
            decided_at=now,
        )
    )
    if task.state is not TaskState.DECIDED:
        task.state = TaskState.DECIDED
    task.settled_at = now
    if flow_run_id is not None and flow_run_id == task.flow_run_id:
        task.gate_closed = True  # the run that answers ends by itself: nobody need close it
    details: dict[str, object] = {"advice": kind.value} if task.kind is TaskKind.ADVICE else {}
    if to_level is not None:
        details["to_level"] = to_level.name
    act = act_of(
        work,
        place.chain,
        act_name(kind, task.kind),
        place.person.login,
        level=place.level,
        on_behalf_of=None if on_behalf_of is None else login_of(work.session, on_behalf_of),
        meaning=said,
        comment=comment,
        flow_run_id=flow_run_id,
        details=details,
    )
    write_down(work.session, act, now=now)
    work.session.flush()


def act_name(kind: DecisionKind, task_kind: TaskKind) -> str:
    """The word under which the record keeps a decision."""
    name = kind.value.replace(" ", "_")
    return {TaskKind.ADVICE: "advise", TaskKind.OVERRIDE: f"override_{name}"}.get(task_kind, name)
