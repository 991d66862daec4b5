"""What time brings about in a review: reminders, escalation, due actions. Driven by the database and `now` alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from approval import notices as words
from approval.chain import fallback_of
from approval.errors import FallbackUnavailable
from approval.notices import NoticeKind, Question, Words
from approval.policy import Remind
from approval.quorum import LevelOutcome
from approval.service.levels import POLICY, RoundWork, act_of, end_level, login_of, start_task, why_not
from approval.service.people import require_person
from approval.service.record import write_down
from approval.service.rounds import conclude, mend_chain
from approval.states import DecisionKind, LevelState, ObjectKind, RoundState, TaskKind, TaskState
from channels.service import notices
from models.approval import Chain, Level, Task
from models.person import Person
from models.queries import alerts, approvals, people, themes
from themes.lifecycle import ThemeState

TIMEOUT = "system:timeout"

_OUTCOMES = {
    DecisionKind.APPROVE: LevelOutcome.APPROVED,
    DecisionKind.REJECT: LevelOutcome.REJECTED,
    DecisionKind.RETURN_TO_DRAFTER: LevelOutcome.RETURNED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DueLevel:
    """A level for which time is to decide, once no answer to it is on its way any more."""

    level_id: int
    theme_id: int
    gates: tuple[UUID, ...]  # runs that show its open questions


def themes_with_timers_due(session: Session, *, now: datetime) -> Sequence[int]:
    return approvals.themes_with_timers_due(session, now=now)


def themes_to_mend(session: Session) -> Sequence[int]:
    """Themes with an open level that asks nobody, or somebody who may not decide any more."""
    return approvals.themes_with_levels_to_mend(session)


def mend(session: Session, *, theme_id: int, now: datetime) -> None:
    """Ask nobody of a theme who may not decide any more; an empty level goes to the fallback, with an alert."""
    theme = themes.theme_by_id(session, theme_id, lock=True)
    a_round = approvals.open_round(session, theme_id)
    if theme.state is not ThemeState.IN_REVIEW or a_round is None:
        return
    work = RoundWork(session=session, theme=theme, a_round=a_round, now=now)
    for chain in approvals.chains(session, a_round.id):
        if a_round.state is RoundState.OPEN:
            mend_chain(work, chain)


def run_timers(session: Session, *, theme_id: int, now: datetime) -> int:
    """Remind and escalate what is due of one theme. Returns how many questions were touched."""
    theme = themes.theme_by_id(session, theme_id, lock=True)
    a_round = approvals.open_round(session, theme_id)
    if theme.state is not ThemeState.IN_REVIEW or a_round is None:
        return 0
    work = RoundWork(session=session, theme=theme, a_round=a_round, now=now)
    due = approvals.tasks_with_timers_due(session, theme_id=theme_id, now=now)
    for task in due:
        level = approvals.level_by_id(session, task.level_id)
        chain = approvals.chain_by_id(session, level.chain_id)
        if task.remind_at is not None and task.remind_at <= now:
            _remind(work, chain, level, task)
        if task.escalate_at is not None and task.escalate_at <= now:
            _escalate(work, chain, level, task)
    session.flush()
    return len(due)


def _remind(work: RoundWork, chain: Chain, level: Level, task: Task) -> None:
    """One reminder, however many were missed while nothing ran."""
    remind = Remind.model_validate(level.remind)
    task.reminders += 1
    task.remind_at = work.now + remind.every if task.reminders < remind.times else None
    person = people.person_by_id(work.session, task.person_id)
    said = words.reminder(
        _asked(work, chain, level, task, person), number=task.reminders, times=remind.times, now=work.now
    )
    _tell(work, person, task, said, key=f"remind:t{task.id}:{task.reminders}", kind=NoticeKind.REMINDER)
    act = act_of(
        work, chain, "remind", "system:sweep", level=level, details={"person": person.login, "number": task.reminders}
    )
    write_down(work.session, act, now=work.now)


def _escalate(work: RoundWork, chain: Chain, level: Level, task: Task) -> None:
    """Put the question to the manager too, or to the policy's fallback; the owner can still answer."""
    task.escalate_at = None
    if task.kind is not TaskKind.DECISION or task.escalated_from_id is not None:
        return
    person = people.person_by_id(work.session, task.person_id)
    asked = [_beside(work, level, task, helper) for helper in _helpers(work, chain, level, person)]
    work.session.flush()
    logins = [login_of(work.session, one.person_id) for one in asked]
    for one in asked:
        start_task(work, level, one)
        one.escalate_at = None
        helper = people.person_by_id(work.session, one.person_id)
        question = replace(_asked(work, chain, level, one, helper), asked_at=_since(work, task))
        said = words.escalation(question, owner=person.name, now=work.now)
        _tell(work, helper, one, said, key=f"escalate:t{one.id}", kind=NoticeKind.ESCALATION)
    owner = login_of(work.session, task.owner_id)
    act = act_of(
        work,
        chain,
        "escalate",
        POLICY,
        level=level,
        on_behalf_of=owner,
        details={"person": person.login, "asked": logins},
    )
    write_down(work.session, act, now=work.now)
    told = f"asked as well: {', '.join(logins)}" if logins else "nobody could be asked beside her: name a manager"
    alerts.raise_alert(
        work.session,
        key=f"escalate:t{task.id}",
        subject="a question was escalated",
        text=f"{person.login} has not answered at level {level.name!r} on {chain.object_kind} {chain.object_key!r}; "
        f"{told}",
        now=work.now,
        theme_key=work.theme.key,
    )


def _beside(work: RoundWork, level: Level, task: Task, helper: Person) -> Task:
    beside = Task(
        level_id=level.id,
        person_id=helper.id,
        owner_id=task.owner_id,
        position=task.position,
        state=TaskState.WAITING,
        required=task.required,
        escalated_from_id=task.id,
    )
    work.session.add(beside)
    return beside


def _helpers(work: RoundWork, chain: Chain, level: Level, person: Person) -> list[Person]:
    """The manager; where there is none who may decide, the policy's fallback."""
    manager = None if person.manager_id is None else people.person_by_id(work.session, person.manager_id)
    if manager is not None and why_not(work, chain, level, manager) is None:
        return [manager]
    try:
        named = fallback_of(work.policy, level.name, work.directory, ())
    except FallbackUnavailable:
        return []
    stand_ins = [require_person(work.session, login) for login in named]
    return [one for one in stand_ins if why_not(work, chain, level, one) is None]


def due_levels(session: Session, *, now: datetime) -> list[DueLevel]:
    return [
        DueLevel(level_id=level_id, theme_id=theme_id, gates=tuple(approvals.gates_of_level(session, level_id)))
        for level_id, theme_id in approvals.levels_due(session, now=now)
    ]


def act_on_due(session: Session, *, level_id: int, now: datetime) -> bool:
    """Settle a level as its policy says when time is over; False when it was settled meanwhile, or is asked anew.

    On a level that was opened again after a return nothing passes by itself.
    """
    theme_id = approvals.theme_id_of_level(session, level_id)
    theme = themes.theme_by_id(session, theme_id, lock=True)
    level = approvals.level_by_id(session, level_id)
    if theme.state is not ThemeState.IN_REVIEW or level.state is not LevelState.OPEN or level.on_due is None:
        return False
    pending = [task for task in approvals.tasks(session, level_id) if task.state in {TaskState.OPEN, TaskState.OUT}]
    late = [task for task in pending if task.due_at is not None and task.due_at <= now]
    kind = DecisionKind(level.on_due)
    if not late or (kind is DecisionKind.APPROVE and level.reopened):
        return False
    chain = approvals.chain_by_id(session, level.chain_id)
    a_round = approvals.round_by_id(session, chain.round_id)
    work = RoundWork(session=session, theme=theme, a_round=a_round, now=now)
    _tell_time_is_over(work, chain, level, late, kind)
    act = act_of(work, chain, f"timeout_{kind.value.replace(' ', '_')}", TIMEOUT, level=level)
    write_down(session, act, now=now)
    outcome = _OUTCOMES[kind]
    end_level(work, chain, level, outcome, settled_by=TIMEOUT)
    conclude(work, chain, outcome, actor=TIMEOUT, object_hash=chain.object_hash, comment="no answer in time")
    return True


def _tell_time_is_over(work: RoundWork, chain: Chain, level: Level, late: Sequence[Task], kind: DecisionKind) -> None:
    for task in late:
        person = people.person_by_id(work.session, task.person_id)
        said = words.due_action(_asked(work, chain, level, task, person), act=kind, now=work.now)
        _tell(work, person, task, said, key=f"timeout:t{task.id}", kind=NoticeKind.DUE_ACTION)


def _asked(work: RoundWork, chain: Chain, level: Level, task: Task, person: Person) -> Question:
    zone = ZoneInfo(work.theme.timezone)
    revision = themes.revision_by_id(work.session, work.a_round.revision_id)
    title = work.theme.title
    if chain.object_kind is not ObjectKind.THEME:
        title = revision.content["offers"][chain.object_key]["name"]
    return Question(
        name=person.name,
        locale=person.locale,
        object_kind=chain.object_kind,
        object_title=title,
        theme_title=work.theme.title,
        level=level.name,
        asked_at=_since(work, task),
        due_at=None if task.due_at is None else task.due_at.astimezone(zone),
    )


def _since(work: RoundWork, task: Task) -> datetime:
    return (task.opened_at or work.now).astimezone(ZoneInfo(work.theme.timezone))


def _tell(work: RoundWork, person: Person, task: Task, said: Words, *, key: str, kind: NoticeKind) -> None:
    notices.enqueue(
        work.session,
        key=key,
        person=person,
        kind=kind,
        theme_key=work.theme.key,
        task_id=task.id,
        subject=said.subject,
        text=said.text,
        now=work.now,
    )
