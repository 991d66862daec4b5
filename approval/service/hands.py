"""Handing questions on: advice, transfer, added and removed signers, an administrator's override."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from approval.errors import (
    AdviceIsOut,
    AuthorMayNotDecide,
    LastSigner,
    LevelSettled,
    NotAsked,
    NotYoursToRemove,
    OverrideNotAllowed,
    PersonDisabled,
    PersonMayNotStandIn,
)
from approval.quorum import Quorum, reachable
from approval.service.decisions import Decided, Place, write_decision
from approval.service.levels import (
    COUNTING,
    PENDING,
    RoundWork,
    act_of,
    ask_afresh,
    barred_from,
    decision_tasks,
    drop_task,
    login_of,
    open_ready,
    settle_level,
    start_task,
    why_not,
)
from approval.service.people import IdentityRules, identify, require_line, require_person
from approval.service.record import write_down
from approval.service.reversal import chain_of, locked_theme, work_on
from approval.service.rounds import conclude
from approval.service.signing import Signature, require_comment
from approval.states import DecisionKind, LevelState, TaskKind, TaskState
from models.approval import Chain, Level, Task
from models.person import Person
from models.queries import approvals
from models.theme import Theme

Where = Literal["before", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hand:
    """Somebody's open question, found under the lock on its theme, and whom it concerns."""

    work: RoundWork
    chain: Chain
    level: Level
    signature: Signature
    signer: Person

    def write(self, act: str, *, on_behalf_of: str | None = None, **details: str) -> None:
        entry = act_of(
            self.work,
            self.chain,
            act,
            self.signer.login,
            level=self.level,
            on_behalf_of=on_behalf_of,
            comment=self.signature.comment,
            flow_run_id=self.signature.flow_run_id,
            details=details,
        )
        write_down(self.work.session, entry, now=self.work.now)


def delegate(
    session: Session,
    *,
    key: str,
    object_key: str,
    signature: Signature,
    person: str,
    rules: IdentityRules,
    now: datetime,
) -> int:
    """Ask somebody for advice. The decision stays with the owner, who cannot make it while the advice is out.

    An author may be asked too: advice is no vote. Returns the theme's id.

    Raises:
        ThemeUnknown, DecisionRefused, PersonMayNotStandIn, PersonUnknown, CommentRequired, IdentityRefused
    """
    hand = _hand(session, key, object_key, signature, now)
    mine = _open_task(hand)
    adviser = require_person(session, person)
    if adviser.disabled_at is not None:
        raise PersonMayNotStandIn(login=person, because="disabled")
    if approvals.live_task_of(session, level_id=hand.level.id, person_id=adviser.id):
        raise PersonMayNotStandIn(login=person, because="asked at this level already")
    _identify(hand, rules)
    mine.state = TaskState.OUT
    advice = Task(
        level_id=hand.level.id,
        kind=TaskKind.ADVICE,
        person_id=adviser.id,
        owner_id=mine.owner_id,
        position=mine.position,
        state=TaskState.WAITING,
        for_task_id=mine.id,
        added_by_id=hand.signer.id,
    )
    session.add(advice)
    session.flush()
    start_task(hand.work, hand.level, advice)
    hand.write("delegate", to=person)
    session.flush()
    return hand.work.theme.id


def transfer(
    session: Session,
    *,
    key: str,
    object_key: str,
    signature: Signature,
    person: str,
    rules: IdentityRules,
    now: datetime,
) -> int:
    """Give one's question to somebody else, who decides on behalf of its first owner. Returns the theme's id.

    Raises:
        ThemeUnknown, DecisionRefused, PersonMayNotStandIn, PersonUnknown, CommentRequired, IdentityRefused
    """
    hand = _hand(session, key, object_key, signature, now)
    mine = _open_task(hand)
    taker = _eligible(hand, person)
    _identify(hand, rules)
    [given] = ask_afresh(hand.work, [mine], left=TaskState.REMOVED)
    given.person_id = taker.id
    start_task(hand.work, hand.level, given)
    owner = login_of(session, mine.owner_id)
    hand.write("transfer", on_behalf_of=None if owner == hand.signer.login else owner, to=person)
    session.flush()
    return hand.work.theme.id


def add_signer(
    session: Session,
    *,
    key: str,
    object_key: str,
    signature: Signature,
    person: str,
    where: Where,
    rules: IdentityRules,
    now: datetime,
) -> int:
    """Have somebody else sign too, before or after oneself. Without her approval the level is not approved.

    Raises:
        ThemeUnknown, DecisionRefused, PersonMayNotStandIn, PersonUnknown, CommentRequired, IdentityRefused
    """
    hand = _hand(session, key, object_key, signature, now)
    mine = _open_task(hand)
    added = _eligible(hand, person)
    _identify(hand, rules)
    position = mine.position + (1 if where == "after" else 0)
    _make_room(session, hand.level, position)
    new = Task(
        level_id=hand.level.id,
        person_id=added.id,
        owner_id=added.id,
        position=position,
        state=TaskState.WAITING,
        required=True,
        added_by_id=hand.signer.id,
    )
    session.add(new)
    session.flush()
    if where == "before":
        new.waits_for_id = mine.waits_for_id
        [again] = ask_afresh(hand.work, [mine], left=TaskState.VOID)
        again.waits_for_id = new.id
    else:
        _let_wait_for(session, hand.level, mine, new)
        new.waits_for_id = mine.id
    session.flush()
    hand.write("add_signer", added=person, where=where)
    open_ready(hand.work, hand.chain, hand.level)
    return hand.work.theme.id


def _make_room(session: Session, level: Level, position: int) -> None:
    for task in decision_tasks(session, level):
        if task.position >= position:
            task.position += 1


def _let_wait_for(session: Session, level: Level, before: Task, new: Task) -> None:
    """Whoever waits for the one waits for the other."""
    for task in decision_tasks(session, level):
        if task.waits_for_id == before.id and task.state in PENDING and task is not new:
            task.waits_for_id = new.id


def remove_signer(
    session: Session,
    *,
    key: str,
    object_key: str,
    signature: Signature,
    person: str,
    rules: IdentityRules,
    now: datetime,
) -> int:
    """Ask somebody no longer: by who added her, or whom the policy lets override. Never the last who could settle it.

    Raises:
        ThemeUnknown, DecisionRefused, NotYoursToRemove, LastSigner, NotAsked, CommentRequired, IdentityRefused
    """
    hand = _hand(session, key, object_key, signature, now)
    removed = require_person(session, person)
    task = approvals.live_task_of(session, level_id=hand.level.id, person_id=removed.id)
    if task is None or task.state not in PENDING or task.kind is not TaskKind.DECISION:
        raise NotAsked(login=person)
    if task.added_by_id != hand.signer.id and hand.signer.login not in _administrators(hand.work):
        raise NotYoursToRemove(login=hand.signer.login, person=person)
    if not task.required and not _could_settle_without(session, hand.level, task):
        raise LastSigner(login=person, level=hand.level.name)
    _identify(hand, rules)
    owner = login_of(session, task.owner_id)
    drop_task(hand.work, hand.level, task)
    hand.write("remove_signer", removed=person, seat=owner)
    outcome = settle_level(hand.work, hand.chain, hand.level)
    conclude(
        hand.work,
        hand.chain,
        outcome,
        actor=hand.signer.login,
        object_hash=hand.chain.object_hash,
        comment=signature.comment,
        flow_run_id=signature.flow_run_id,
    )
    return hand.work.theme.id


def _could_settle_without(session: Session, level: Level, removed: Task) -> bool:
    seats = {
        task.owner_id
        for task in decision_tasks(session, level)
        if task.state in COUNTING and not task.required and task is not removed
    }
    return reachable(Quorum.from_record(level.quorum), len(seats))


def override(
    session: Session,
    *,
    key: str,
    object_key: str,
    signature: Signature,
    decision: DecisionKind,
    rules: IdentityRules,
    now: datetime,
) -> Decided:
    """Settle the open level of an object over the heads of those asked. `decision` is one of `states.OVERRIDES`.

    Raises:
        ThemeUnknown, DecisionRefused, OverrideNotAllowed, AuthorMayNotDecide, LevelSettled, CommentRequired,
        IdentityRefused
    """
    hand = _hand(session, key, object_key, signature, now)
    allowed = _administrators(hand.work)
    if hand.signer.login not in allowed:
        raise OverrideNotAllowed(login=hand.signer.login, allowed=sorted(allowed))
    if hand.signer.login in barred_from(session, hand.work.theme, hand.chain.object_kind, hand.chain.object_key):
        raise AuthorMayNotDecide(login=hand.signer.login)
    _identify(hand, rules)
    own = approvals.live_task_of(session, level_id=hand.level.id, person_id=hand.signer.id)
    if own is not None:
        drop_task(hand.work, hand.level, own) if own.state in PENDING else _step_aside(session, own)
    task = Task(
        level_id=hand.level.id,
        kind=TaskKind.OVERRIDE,
        person_id=hand.signer.id,
        owner_id=hand.signer.id,
        state=TaskState.DECIDED,
        opened_at=now,
        shown_revision_id=hand.work.a_round.revision_id,
    )
    session.add(task)
    session.flush()
    place = Place(
        theme=hand.work.theme,
        round=hand.work.a_round,
        chain=hand.chain,
        level=hand.level,
        task=task,
        person=hand.signer,
    )
    write_decision(hand.work, place, decision, comment=signature.comment, flow_run_id=signature.flow_run_id)
    outcome = settle_level(hand.work, hand.chain, hand.level)
    hand.level.settled_by = hand.signer.login
    conclude(
        hand.work,
        hand.chain,
        outcome,
        actor=hand.signer.login,
        object_hash=hand.chain.object_hash,
        comment=signature.comment,
        flow_run_id=signature.flow_run_id,
    )
    return Decided(kind=decision, outcome=outcome, theme_id=hand.work.theme.id)


def _hand(session: Session, key: str, object_key: str, signature: Signature, now: datetime) -> _Hand:
    """What every act of this module starts from. Raises before a code is used up."""
    theme: Theme = locked_theme(session, key)
    chain = chain_of(session, theme, object_key)
    signer = require_person(session, signature.login)
    if signer.disabled_at is not None:
        raise PersonDisabled(login=signer.login)
    require_line(session, signer, theme.product_line_id)
    require_comment(signature, "hand a question on")
    levels = approvals.levels(session, chain.id)
    level = next((level for level in levels if level.state is LevelState.OPEN), None)
    if level is None:
        raise LevelSettled(level=f"any of {chain.object_kind} {chain.object_key}", state=chain.state.value)
    work = work_on(session, theme, chain, now)
    return _Hand(work=work, chain=chain, level=level, signature=signature, signer=signer)


def _open_task(hand: _Hand) -> Task:
    """The signer's own question, which stands open. Advice cannot be handed on."""
    session = hand.work.session
    task = approvals.live_task_of(session, level_id=hand.level.id, person_id=hand.signer.id)
    if task is not None and task.state is TaskState.OUT:
        advisers = [login for _, login in approvals.advice_under_way(session, task.id)]
        raise AdviceIsOut(login=hand.signer.login, advisers=advisers)
    if task is None or task.kind is not TaskKind.DECISION or task.state is not TaskState.OPEN:
        raise NotAsked(login=hand.signer.login)
    if hand.signer.login in barred_from(session, hand.work.theme, hand.chain.object_kind, hand.chain.object_key):
        raise AuthorMayNotDecide(login=hand.signer.login)
    return task


def _eligible(hand: _Hand, login: str) -> Person:
    person = require_person(hand.work.session, login)
    if because := why_not(hand.work, hand.chain, hand.level, person):
        raise PersonMayNotStandIn(login=login, because=because)
    return person


def _identify(hand: _Hand, rules: IdentityRules) -> None:
    identify(hand.work.session, login=hand.signer.login, code=hand.signature.code, rules=rules, now=hand.work.now)


def _administrators(work: RoundWork) -> frozenset[str]:
    return frozenset(work.directory.holders(work.policy.override, "override"))


def _step_aside(session: Session, own: Task) -> None:
    """Her vote as one of those asked gives way to her override."""
    own.state = TaskState.REMOVED
    session.flush()
