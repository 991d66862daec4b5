"""Going back inside a round: returning to an earlier level, and taking one's own decision back."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from approval.errors import NothingToTakeBack, ObjectNotInReview, ThemeNotInReview
from approval.service.chains import advance_chain
from approval.service.levels import (
    COUNTING,
    RoundWork,
    act_of,
    ask_afresh,
    decision_tasks,
    give_back_to_owner,
    newest_of_each_seat,
    open_level,
    open_ready,
    start_task,
    step_name,
)
from approval.service.people import IdentityRules, identify, require_line, require_person
from approval.service.record import write_down
from approval.service.signing import Signature, require_comment
from approval.states import ChainState, LevelState, ObjectKind, TaskKind, TaskState
from models.approval import Chain, Decision, Level, Task
from models.person import Person
from models.queries import approvals, steps
from models.theme import Theme
from themes.lifecycle import ThemeState
from themes.service.finding import require_theme


def locked_theme(session: Session, key: str) -> Theme:
    return require_theme(session, key, lock=True)


def chain_of(session: Session, theme: Theme, object_key: str) -> Chain:
    """The chain of an object in the open round; "" is the theme itself.

    Raises:
        ThemeNotInReview, ObjectNotInReview
    """
    a_round = approvals.open_round(session, theme.id)
    if a_round is None or theme.state is not ThemeState.IN_REVIEW:
        raise ThemeNotInReview(theme=theme.key, state=theme.state.value)
    chains = approvals.chains(session, a_round.id)
    wanted = object_key.strip()
    for chain in chains:
        if chain.object_key == wanted or (chain.object_kind is ObjectKind.THEME and not wanted):
            return chain
    raise ObjectNotInReview(theme=theme.key, object_key=wanted, known=[chain.object_key for chain in chains])


def work_on(session: Session, theme: Theme, chain: Chain, now: datetime) -> RoundWork:
    return RoundWork(session=session, theme=theme, a_round=approvals.round_by_id(session, chain.round_id), now=now)


def return_to(work: RoundWork, chain: Chain, target: Level, *, because: str) -> None:
    """Open an earlier level again: what was decided from it on is void, and every question is asked afresh."""
    session = work.session
    for level in reversed(approvals.levels(session, chain.id)):
        if level.position < target.position or level.state is LevelState.SKIPPED:
            continue
        for decision, _ in approvals.votes(session, level.id):
            if not _is_return(decision):
                decision.voided_at, decision.void_because = work.now, because
        if level.opened_at is not None:
            _set_back(work, chain, level, outcome="returned past")
            level.reopened = True
    open_level(work, chain, target)


def _is_return(decision: Decision) -> bool:
    """A return stays as it was: it has had its effect."""
    return decision.kind.value.startswith("return")


def _set_back(work: RoundWork, chain: Chain, level: Level, *, outcome: str) -> None:
    """A level waits again, with new questions in the place of those that were asked."""
    tasks = decision_tasks(work.session, level)
    for task in approvals.tasks(work.session, level.id):
        if task.kind is not TaskKind.DECISION and task.state in COUNTING:
            task.state, task.settled_at = TaskState.VOID, work.now
    again = newest_of_each_seat(tasks, COUNTING)
    for task in tasks:
        if task.state in COUNTING and task not in again:
            task.state, task.settled_at = TaskState.VOID, work.now
    ask_afresh(work, again, left=TaskState.VOID)
    if level.state is not LevelState.WAITING:
        level.state = LevelState.WAITING
    level.opened_at, level.settled_at, level.settled_by = None, None, None
    name = step_name(work.a_round, chain, level)
    steps.finish_newest_step(work.session, theme_id=work.theme.id, name=name, now=work.now, outcome=outcome)
    work.session.flush()


def take_back(
    session: Session, *, key: str, object_key: str, signature: Signature, rules: IdentityRules, now: datetime
) -> int:
    """Take back what one has just decided, until the next level's first decision; or the asking for advice.

    Only that decision is void. Returns the theme's id.

    Raises:
        ThemeUnknown, ThemeNotInReview, ObjectNotInReview, NothingToTakeBack, CommentRequired, IdentityRefused
    """
    theme = locked_theme(session, key)
    chain = chain_of(session, theme, object_key)
    person = require_person(session, signature.login)
    require_line(session, person, theme.product_line_id)
    require_comment(signature, "take back")
    work = work_on(session, theme, chain, now)
    taken = _out_for_advice(session, chain, person) or _decision_to_take_back(session, chain, person)
    identify(session, login=person.login, code=signature.code, rules=rules, now=now)
    level = approvals.level_by_id(session, taken.level_id)
    act = act_of(
        work,
        chain,
        "take_back",
        person.login,
        level=level,
        comment=signature.comment,
        flow_run_id=signature.flow_run_id,
        details={"what": "the asking for advice" if isinstance(taken, Task) else taken.kind.value},
    )
    write_down(session, act, now=now)
    if isinstance(taken, Task):
        _call_advice_off(work, level, taken)
    else:
        _void_decision(work, chain, level, taken, person)
    return theme.id


def _out_for_advice(session: Session, chain: Chain, person: Person) -> Task | None:
    found = (
        task
        for level in approvals.levels(session, chain.id)
        if level.state is LevelState.OPEN
        for task in decision_tasks(session, level)
        if task.state is TaskState.OUT and task.person_id == person.id
    )
    return next(found, None)


def _call_advice_off(work: RoundWork, level: Level, owners: Task) -> None:
    for advice, _ in approvals.advice_under_way(work.session, owners.id):
        advice.state, advice.settled_at = TaskState.CANCELLED, work.now
        give_back_to_owner(work, level, advice)


def _decision_to_take_back(session: Session, chain: Chain, person: Person) -> Decision:
    subject = f"{chain.object_kind} {chain.object_key!r}"
    later: list[Level] = []
    for level in reversed(approvals.levels(session, chain.id)):
        cast = [decision for decision, _ in approvals.votes(session, level.id)]
        mine = [decision for decision in cast if decision.person_id == person.id]
        if mine:
            if because := _too_late(session, later, cast, mine[-1]):
                raise NothingToTakeBack(login=person.login, subject=subject, because=because)
            return mine[-1]
        later.append(level)
    raise NothingToTakeBack(login=person.login, subject=subject, because="none of hers stands there")


def _too_late(session: Session, later: Sequence[Level], cast: Sequence[Decision], mine: Decision) -> str | None:
    """What has happened since that a decision can no longer be taken back from under."""
    for one in later:
        if approvals.votes(session, one.id) or one.settled_by is not None:
            return f"level {one.name!r} has decided since"
    if cast[-1] is not mine:
        return "somebody else of the level has decided since"
    return "an override stands" if any(decision.override for decision in cast) else None


def _void_decision(work: RoundWork, chain: Chain, level: Level, decision: Decision, person: Person) -> None:
    """The decision alone: other votes of its level stand, left-over questions are asked again, the next level waits."""
    decision.voided_at, decision.void_because = work.now, f"taken back by {person.login}"
    if chain.state in {ChainState.APPROVED, ChainState.REJECTED}:
        chain.state = ChainState.OPEN
    for later in approvals.levels(work.session, chain.id):
        if later.position > level.position and later.opened_at is not None:
            _set_back(work, chain, later, outcome="taken back")
    mine = approvals.task_by_id(work.session, decision.task_id)
    [again] = ask_afresh(work, [mine], left=TaskState.VOID)
    if level.state is not LevelState.OPEN:
        _reopen(work, chain, level)
    start_task(work, level, again)
    _wait_for_turn(work, level, again)
    open_ready(work, chain, level)
    advance_chain(work, chain)


def _reopen(work: RoundWork, chain: Chain, level: Level) -> None:
    """A settled level asks again those whom its settling left over."""
    level.state, level.settled_at = LevelState.OPEN, None
    left_over = [task for task in decision_tasks(work.session, level) if task.state is TaskState.CANCELLED]
    standing = COUNTING - {TaskState.CANCELLED}
    asked = {task.owner_id for task in decision_tasks(work.session, level) if task.state in standing}
    again = [task for task in newest_of_each_seat(left_over, {TaskState.CANCELLED}) if task.owner_id not in asked]
    ask_afresh(work, again, left=TaskState.VOID)
    name = step_name(work.a_round, chain, level)
    steps.begin_next_step(work.session, theme_id=work.theme.id, name=name, now=work.now)


def _wait_for_turn(work: RoundWork, level: Level, again: Task) -> None:
    """What was put because of the decision that is taken back waits again."""
    early = [
        task
        for task in approvals.tasks(work.session, level.id)
        if task.waits_for_id == again.id and task.state is TaskState.OPEN
    ]
    ask_afresh(work, early, left=TaskState.VOID)
