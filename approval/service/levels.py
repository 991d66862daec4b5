"""The levels of a chain: opening one, asking its people, mending it when somebody falls out, settling it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from approval import dedupe
from approval.chain import Directory, fallback_of
from approval.errors import FallbackUnavailable
from approval.policy import Policy, Remind
from approval.quorum import ANY, LevelOutcome, Quorum, Vote, reachable, settle
from approval.service.people import directory, require_person
from approval.service.policies import read_policy
from approval.service.record import Act, write_down
from approval.states import DecisionKind, LevelState, ObjectKind, TaskKind, TaskState
from models.approval import Chain, Level, Round, Task
from models.person import Person
from models.queries import alerts, approvals, people, steps, themes
from models.theme import Theme

#: Questions that wait for something or somebody.
PENDING = frozenset({TaskState.WAITING, TaskState.OPEN, TaskState.OUT})
#: Questions that count among those asked.
COUNTING = PENDING | {TaskState.DECIDED, TaskState.SKIPPED, TaskState.CANCELLED}
POLICY, SWEEP = "system:policy", "system:sweep"

_SETTLED = {
    LevelOutcome.APPROVED: LevelState.APPROVED,
    LevelOutcome.REJECTED: LevelState.REJECTED,
    LevelOutcome.RETURNED: LevelState.VOID,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundWork:
    """A round at work on, its theme locked by whoever made this."""

    session: Session
    theme: Theme
    a_round: Round
    now: datetime

    @property
    def policy(self) -> Policy:
        return read_policy(approvals.policy_by_id(self.session, self.a_round.policy_id))

    @property
    def directory(self) -> Directory:
        return directory(self.session, product_line_id=self.theme.product_line_id)


def barred_from(session: Session, theme: Theme, kind: ObjectKind, key: str) -> frozenset[str]:
    """Who edited an object, its author among them: of the theme itself whoever edited anything of it."""
    if kind is ObjectKind.THEME:
        return themes.editors(session, theme.id)
    return themes.offer_editors(session, theme.id, key)


def act_of(
    work: RoundWork,
    chain: Chain,
    act: str,
    actor: str,
    *,
    level: Level | None = None,
    on_behalf_of: str | None = None,
    meaning: str = "",
    comment: str = "",
    flow_run_id: UUID | None = None,
    details: Mapping[str, object] | None = None,
) -> Act:
    return Act(
        act=act,
        actor=actor,
        on_behalf_of=on_behalf_of,
        meaning=meaning,
        object_kind=chain.object_kind.value,
        object_key=chain.object_key,
        theme_key=work.theme.key,
        round_number=work.a_round.number,
        level=None if level is None else level.name,
        object_hash=chain.object_hash,
        comment=comment,
        flow_run_id=flow_run_id,
        details=details or {},
    )


def step_name(a_round: Round, chain: Chain, level: Level) -> str:
    subject = "" if chain.object_kind is ObjectKind.THEME else f" · {chain.object_kind} {chain.object_key}"
    return f"round {a_round.number}{subject} · {level.name}"


def login_of(session: Session, person_id: int) -> str:
    return people.person_by_id(session, person_id).login


def decision_tasks(session: Session, level: Level) -> list[Task]:
    return [task for task in approvals.tasks(session, level.id) if task.kind is TaskKind.DECISION]


def open_level(work: RoundWork, chain: Chain, level: Level) -> None:
    """Ask a level's people. Rules that skip a repeat do not fire on a level that was opened before."""
    level.state, level.opened_at = LevelState.OPEN, work.now
    name = step_name(work.a_round, chain, level)
    steps.begin_next_step(work.session, theme_id=work.theme.id, name=name, now=work.now)
    mend_level(work, chain, level)
    if not level.reopened:
        _skip_repeats(work, chain, level)
    open_ready(work, chain, level)


def open_ready(work: RoundWork, chain: Chain, level: Level) -> None:
    """Put every question of an open level that waits for nobody any more."""
    tasks = {task.id: task for task in approvals.tasks(work.session, level.id)}
    for task in tasks.values():
        before = tasks.get(task.waits_for_id) if task.waits_for_id is not None else None
        if task.state is TaskState.WAITING and (before is None or before.state not in PENDING):
            _open_task(work, chain, level, task)
    work.session.flush()


def _open_task(work: RoundWork, chain: Chain, level: Level, task: Task) -> None:
    _let_substitute(work, chain, level, task)
    start_task(work, level, task)


def start_task(work: RoundWork, level: Level, task: Task) -> None:
    """The question is put now, with timers of its own."""
    now = work.now
    task.state, task.opened_at, task.shown_revision_id = TaskState.OPEN, now, work.a_round.revision_id
    task.due_at = None if level.due_seconds is None else now + timedelta(seconds=level.due_seconds)
    task.escalate_at = None if level.escalate_seconds is None else now + timedelta(seconds=level.escalate_seconds)
    task.remind_at = None if level.remind is None else now + Remind.model_validate(level.remind).every


def _let_substitute(work: RoundWork, chain: Chain, level: Level, task: Task) -> None:
    """Whoever stands in for the person now is asked instead, in the same seat, unless she may not decide here."""
    stand_in = people.substitute_of(work.session, task.person_id, now=work.now)
    if stand_in is None or why_not(work, chain, level, stand_in) is not None:
        return
    absent = login_of(work.session, task.person_id)
    owner = login_of(work.session, task.owner_id)
    task.person_id = stand_in.id
    act = act_of(
        work,
        chain,
        "substitute",
        POLICY,
        level=level,
        on_behalf_of=owner,
        details={"by": stand_in.login, "absent": absent},
    )
    write_down(work.session, act, now=work.now)


def why_not(work: RoundWork, chain: Chain, level: Level, person: Person) -> str | None:
    """What keeps a person from being asked at a level; None where nothing does."""
    if person.disabled_at is not None:
        return "disabled"
    if not work.directory.may_decide(person.login):
        return "limited to other product lines"
    if person.login in barred_from(work.session, work.theme, chain.object_kind, chain.object_key):
        return "wrote or edited it"
    seats = {task.owner_id for task in decision_tasks(work.session, level) if task.state in COUNTING}
    asked_already = approvals.live_task_of(work.session, level_id=level.id, person_id=person.id)
    return "asked at this level already" if asked_already or person.id in seats else None


def _skip_repeats(work: RoundWork, chain: Chain, level: Level) -> None:
    """Whoever approved at an earlier level, as far as the policy goes, need not say so again."""
    waiting = {
        login_of(work.session, task.person_id): task
        for task in decision_tasks(work.session, level)
        if task.state is TaskState.WAITING
    }
    earlier = [
        _approvers(work.session, before)
        for before in approvals.levels(work.session, chain.id)
        if before.position < level.position and before.state is LevelState.APPROVED
    ]
    repeated = dedupe.repeats(work.policy.dedupe, waiting, earlier)
    for login in [login for login in waiting if login in repeated]:
        waiting[login].state, waiting[login].settled_at = TaskState.SKIPPED, work.now
        act = act_of(work, chain, "skip_repeat", POLICY, level=level, details={"person": login})
        write_down(work.session, act, now=work.now)


def _approvers(session: Session, level: Level) -> frozenset[str]:
    cast = approvals.votes(session, level.id)
    signed = {login_of(session, decision.person_id) for decision, _ in cast if decision.kind is DecisionKind.APPROVE}
    skipped = {
        login_of(session, task.person_id)
        for task in approvals.tasks(session, level.id)
        if task.state is TaskState.SKIPPED
    }
    return frozenset(signed | skipped)


def mend_level(work: RoundWork, chain: Chain, level: Level) -> None:
    """Ask nobody who may not decide any more; where those left cannot settle the level, ask the fallback."""
    barred = barred_from(work.session, work.theme, chain.object_kind, chain.object_key)
    everybody = work.directory
    for task in approvals.tasks(work.session, level.id):
        bars = () if task.kind is TaskKind.ADVICE else barred
        if task.state in PENDING and not everybody.may_decide(login_of(work.session, task.person_id), bars):
            drop_task(work, level, task)
    if not reachable(Quorum.from_record(level.quorum), len(_seats(work.session, level))):
        _fall_back(work, chain, level, barred)


def drop_task(work: RoundWork, level: Level, task: Task) -> None:
    """Take a question from its person. What waited for it waits for what it waited for."""
    task.state, task.settled_at = TaskState.REMOVED, work.now
    tasks = approvals.tasks(work.session, level.id)
    for other in tasks:
        if other.waits_for_id == task.id:
            other.waits_for_id = task.waits_for_id
    if task.kind is TaskKind.ADVICE:
        give_back_to_owner(work, level, task)
    else:
        for advice in tasks:
            if advice.for_task_id == task.id and advice.state in PENDING:
                advice.state, advice.settled_at = TaskState.CANCELLED, work.now
    work.session.flush()


def give_back_to_owner(work: RoundWork, level: Level, advice: Task) -> None:
    """Ask the owner again once nobody's advice is out for her any more."""
    work.session.flush()
    if advice.for_task_id is None or approvals.advice_under_way(work.session, advice.for_task_id):
        return
    owners = approvals.task_by_id(work.session, advice.for_task_id)
    if owners.state is TaskState.OUT and level.state is LevelState.OPEN:
        [afresh] = ask_afresh(work, [owners], left=TaskState.CANCELLED)
        start_task(work, level, afresh)


def ask_afresh(work: RoundWork, tasks: Sequence[Task], *, left: TaskState) -> list[Task]:
    """New questions in the place of old ones, which end in the state `left`: each has a gate run and timers of its own.

    What waited for an old question waits for the new one.
    """
    for task in tasks:
        task.state, task.settled_at = left, work.now
    work.session.flush()
    renewed = {task.id: _copy(task) for task in tasks}
    work.session.add_all(renewed.values())
    work.session.flush()
    for level_id in {task.level_id for task in tasks}:
        for task in approvals.tasks(work.session, level_id):
            if task.waits_for_id in renewed and task.state in PENDING:
                task.waits_for_id = renewed[task.waits_for_id].id
    work.session.flush()
    return list(renewed.values())


def _copy(task: Task) -> Task:
    return Task(
        level_id=task.level_id,
        kind=task.kind,
        person_id=task.person_id,
        owner_id=task.owner_id,
        position=task.position,
        state=TaskState.WAITING,
        required=task.required,
        added_by_id=task.added_by_id,
        waits_for_id=task.waits_for_id,
    )


def newest_of_each_seat(tasks: Iterable[Task], states: Collection[TaskState]) -> list[Task]:
    """What has to be asked again: for each seat its newest question in one of these states, helpers left out."""
    seats = {task.owner_id: task for task in tasks if task.state in states and task.escalated_from_id is None}
    return sorted(seats.values(), key=lambda task: (task.position, task.id))


def _seats(session: Session, level: Level) -> frozenset[int]:
    """Whom the quorum of a level counts: everybody asked and not removed, but added signers."""
    return frozenset(
        task.owner_id for task in decision_tasks(session, level) if task.state in COUNTING and not task.required
    )


def _fall_back(work: RoundWork, chain: Chain, level: Level, barred: Collection[str]) -> None:
    """The fallback decides alone: quorum and vetoes were meant for others. It never passes by itself."""
    try:
        stand_ins = fallback_of(work.policy, level.name, work.directory, barred)
    except FallbackUnavailable as nobody:
        _alert(work, chain, level, subject="a level has nobody who may decide", text=str(nobody), kind="nobody")
        return
    for task in approvals.tasks(work.session, level.id):
        if task.state in COUNTING:
            task.state, task.settled_at = TaskState.REMOVED, work.now
    work.session.flush()
    level.quorum, level.veto, level.fallback, level.in_turn = ANY.to_record(), [], True, False
    for position, login in enumerate(stand_ins, start=1):
        person_id = require_person(work.session, login).id
        work.session.add(
            Task(
                level_id=level.id,
                person_id=person_id,
                owner_id=person_id,
                position=position,
                state=TaskState.WAITING,
            )
        )
    work.session.flush()
    act = act_of(work, chain, "fall_back", POLICY, level=level, details={"asked": list(stand_ins)})
    write_down(work.session, act, now=work.now)
    text = (
        f"those of level {level.name!r} who may still decide on {chain.object_kind} {chain.object_key!r} could not "
        f"settle it; asked instead: {', '.join(stand_ins)}"
    )
    _alert(work, chain, level, subject="a level fell to the fallback approver", text=text, kind="asked")


def _alert(work: RoundWork, chain: Chain, level: Level, *, subject: str, text: str, kind: str) -> None:
    place = f"{work.theme.key}:{work.a_round.number}:{chain.object_kind}:{chain.object_key}:{level.name}"
    alerts.raise_alert(
        work.session, key=f"fallback:{place}:{kind}", subject=subject, text=text, now=work.now, theme_key=work.theme.key
    )


def settle_level(work: RoundWork, chain: Chain, level: Level) -> LevelOutcome:
    """What the level has come to by its votes. While it is open, what waited for the last vote is asked."""
    outcome = _count(work.session, level)
    if outcome is LevelOutcome.OPEN:
        open_ready(work, chain, level)
    elif outcome is not LevelOutcome.SENT_BACK:
        end_level(work, chain, level, outcome)
    return outcome


def _count(session: Session, level: Level) -> LevelOutcome:
    tasks = decision_tasks(session, level)
    logins = {task.owner_id: login_of(session, task.owner_id) for task in tasks}
    asked = {logins[owner] for owner in _seats(session, level)}
    required = {logins[task.owner_id] for task in tasks if task.required and task.state in COUNTING}
    repeats = [
        Vote(seat=logins[task.owner_id], kind=DecisionKind.APPROVE) for task in tasks if task.state is TaskState.SKIPPED
    ]
    cast = [
        Vote(seat=seat, kind=decision.kind, override=decision.override)
        for decision, seat in approvals.votes(session, level.id)
    ]
    return settle(Quorum.from_record(level.quorum), asked, [*repeats, *cast], level.veto, required)


def end_level(
    work: RoundWork, chain: Chain, level: Level, outcome: LevelOutcome, *, settled_by: str | None = None
) -> None:
    level.state, level.settled_at, level.settled_by = _SETTLED[outcome], work.now, settled_by
    cancel_left_over(work.session, level, work.now)
    name = step_name(work.a_round, chain, level)
    steps.finish_newest_step(work.session, theme_id=work.theme.id, name=name, now=work.now, outcome=outcome.value)


def cancel_left_over(session: Session, level: Level, now: datetime) -> None:
    for task in approvals.tasks(session, level.id):
        if task.state in PENDING:
            task.state, task.settled_at = TaskState.CANCELLED, now
    session.flush()


def cancel_seat(session: Session, level: Level, owner_id: int, now: datetime) -> None:
    """Once somebody has answered for a seat, whoever was asked beside her is not asked any more."""
    for task in decision_tasks(session, level):
        if task.owner_id == owner_id and task.state in PENDING:
            task.state, task.settled_at = TaskState.CANCELLED, now
    session.flush()
