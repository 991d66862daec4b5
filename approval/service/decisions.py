"""Taking a decision into the record, and what follows from it inside the database."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval.decision import GivenAnswer, Question, check_decision, meaning
from approval.form import Answer
from approval.quorum import LevelOutcome, Quorum, Vote, settle
from approval.service.people import IdentityRules, identify, require_person
from approval.service.record import Act, write_down
from approval.service.rounds import (
    RoundWork,
    advance_chain,
    cancel_left_over,
    close_round,
    objects_of,
    settle_round,
    step_name,
)
from approval.states import ChainState, DecisionKind, LevelState, ObjectKind, RoundState, TaskState
from models.approval import Chain, Decision, Level, Round, Task
from models.person import Person
from models.queries import approvals, people, steps, themes
from models.theme import Revision, Theme
from themes.lifecycle import Move
from themes.service.moves import move_theme

_SETTLED = {
    LevelOutcome.APPROVED: LevelState.APPROVED,
    LevelOutcome.REJECTED: LevelState.REJECTED,
    LevelOutcome.RETURNED: LevelState.VOID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision that is on record, and what its level came to."""

    kind: DecisionKind
    outcome: LevelOutcome
    theme_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """An answer and where its task hangs; the theme is locked, so nothing here changes under us."""

    answer: Answer
    flow_run_id: UUID | None
    now: datetime
    theme: Theme
    revision: Revision
    round: Round
    chain: Chain
    level: Level
    task: Task
    person: Person


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
    place = _locate(session, task_id, answer, flow_run_id, now)
    person = require_person(session, answer.login)
    given = GivenAnswer(
        login=person.login, enabled=person.disabled_at is None, kind=answer.kind, comment=answer.comment
    )
    check_decision(_question(session, place), given)
    identify(session, login=person.login, code=answer.code, rules=rules, now=now)
    _write_decision(session, place)
    outcome = _settle_level(session, place)
    _follow(session, place, outcome)
    return Decided(kind=answer.kind, outcome=outcome, theme_id=place.theme.id)


def _locate(session: Session, task_id: int, answer: Answer, flow_run_id: UUID | None, now: datetime) -> _Place:
    theme = themes.theme_by_id(session, approvals.theme_id_of_task(session, task_id), lock=True)
    task = approvals.task_by_id(session, task_id, lock=True)
    level = approvals.level_by_id(session, task.level_id)
    chain = approvals.chain_by_id(session, level.chain_id)
    a_round = approvals.round_by_id(session, chain.round_id)
    return _Place(
        answer=answer,
        flow_run_id=flow_run_id,
        now=now,
        theme=theme,
        revision=themes.revision_by_id(session, a_round.revision_id),
        round=a_round,
        chain=chain,
        level=level,
        task=task,
        person=people.person_by_id(session, task.person_id),
    )


def _question(session: Session, place: _Place) -> Question:
    return Question(
        asked=place.person.login,
        task_state=place.task.state,
        level=place.level.name,
        level_state=place.level.state,
        round_number=place.round.number,
        round_state=place.round.state,
        theme=place.theme.key,
        theme_state=place.theme.state.value,
        asked_hash=place.chain.object_hash,
        current_hash=_current_hash(session, place),
        editors=themes.editors(session, place.theme.id),
    )


def _current_hash(session: Session, place: _Place) -> str:
    """Of the object, in the revision that the theme stands on now; "" where it is gone."""
    if place.theme.revision_id is None:
        return ""
    revision = themes.revision_by_id(session, place.theme.revision_id)
    for kind, key, digest in objects_of(place.theme, revision):
        if (kind, key) == (place.chain.object_kind, place.chain.object_key):
            return digest
    return ""


def _write_decision(session: Session, place: _Place) -> None:
    answer, now = place.answer, place.now
    said = meaning(answer.kind, place.person.locale)
    session.add(
        Decision(
            task_id=place.task.id,
            round_id=place.round.id,
            level_id=place.level.id,
            person_id=place.person.id,
            kind=answer.kind,
            meaning=said,
            comment=answer.comment,
            object_hash=place.chain.object_hash,
            flow_run_id=place.flow_run_id,
            decided_at=now,
        )
    )
    place.task.state, place.task.settled_at = TaskState.DECIDED, now
    if place.flow_run_id == place.task.flow_run_id:
        place.task.gate_closed = True  # the run that answers ends by itself: nobody need close it
    act = Act(
        act=answer.kind.value.replace(" ", "_"),
        actor=place.person.login,
        object_kind=place.chain.object_kind.value,
        object_key=place.chain.object_key,
        theme_key=place.theme.key,
        meaning=said,
        round_number=place.round.number,
        level=place.level.name,
        object_hash=place.chain.object_hash,
        comment=answer.comment,
        flow_run_id=place.flow_run_id,
    )
    write_down(session, act, now=now)


def _settle_level(session: Session, place: _Place) -> LevelOutcome:
    asked = [people.person_by_id(session, task.person_id).login for task in approvals.tasks(session, place.level.id)]
    cast = [Vote(login=login, kind=decision.kind) for decision, login in approvals.votes(session, place.level.id)]
    outcome = settle(Quorum.from_record(place.level.quorum), asked, cast, place.level.veto)
    if outcome is LevelOutcome.OPEN:
        return outcome
    place.level.state, place.level.settled_at = _SETTLED[outcome], place.now
    cancel_left_over(session, place.level, place.now)
    name = step_name(place.round, place.chain, place.level)
    steps.finish_step(session, theme_id=place.theme.id, name=name, now=place.now, outcome=outcome.value)
    return outcome


def _follow(session: Session, place: _Place, outcome: LevelOutcome) -> None:
    """What the outcome of a level means for its chain, its round and the theme."""
    match outcome:
        case LevelOutcome.APPROVED:
            work = RoundWork(session=session, theme=place.theme, a_round=place.round, now=place.now)
            advance_chain(work, place.chain)
            settle_round(work, flow_run_id=place.flow_run_id)
        case LevelOutcome.RETURNED:
            _end_round(session, place, RoundState.RETURNED, Move.RETURN)
            place.theme.revision_id = None
        case LevelOutcome.REJECTED if place.chain.object_kind is ObjectKind.THEME:
            place.chain.state = ChainState.REJECTED
            _end_round(session, place, RoundState.REJECTED, Move.REJECT)
        case LevelOutcome.REJECTED:
            # The theme waits until this offer is edited or dropped; chains of other offers go on.
            place.chain.state = ChainState.REJECTED


def _end_round(session: Session, place: _Place, state: RoundState, a_move: Move) -> None:
    close_round(session, theme=place.theme, a_round=place.round, state=state, now=place.now)
    move_theme(
        session,
        place.theme,
        a_move,
        actor=place.person.login,
        now=place.now,
        comment=place.answer.comment,
        object_hash=place.chain.object_hash,
        flow_run_id=place.flow_run_id,
    )
