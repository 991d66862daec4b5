"""The chain of one object: opening it, going on to its next level, letting it stand through an edit, voiding it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from approval.chain import Chain as Resolved
from approval.chain import ChainLevel, resolve_chain
from approval.condition import Facts
from approval.quorum import LevelOutcome
from approval.service.levels import (
    POLICY,
    RoundWork,
    act_of,
    barred_from,
    cancel_left_over,
    open_level,
    settle_level,
)
from approval.service.people import require_person
from approval.service.record import write_down
from approval.states import ChainState, DecisionKind, LevelState, ObjectKind, TaskState
from models.approval import Chain, Level, Round, Task
from models.queries import alerts, approvals
from models.theme import Revision, Theme


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One object of a revision, and what is known of it."""

    kind: ObjectKind
    key: str
    hash: str


def subjects_of(theme: Theme, revision: Revision) -> list[Subject]:
    """What a revision asks about. The theme's own chain is bound to the whole revision."""
    offers = [
        Subject(kind=ObjectKind(offer["kind"]), key=key, hash=revision.offer_hashes[key])
        for key, offer in revision.content["offers"].items()
    ]
    return [Subject(kind=ObjectKind.THEME, key=theme.key, hash=revision.hash), *offers]


def signed_levels(session: Session, chain: Chain) -> dict[str, int]:
    """Levels that people signed on the chain's hash, and the number of the round in which they did."""
    number = approvals.round_by_id(session, chain.round_id).number
    levels = approvals.levels(session, chain.id)
    return {level.name: number for level in levels if is_signed(session, level)} | {
        level.name: level.signed_in_round for level in levels if level.signed_in_round is not None
    }


def is_signed(session: Session, level: Level) -> bool:
    """Approved by a person's decision that stands; not by rule, repeat or time."""
    if level.state is not LevelState.APPROVED:
        return False
    return any(decision.kind is DecisionKind.APPROVE for decision, _ in approvals.votes(session, level.id))


def open_chain(work: RoundWork, subject: Subject, facts: Facts, signed: Mapping[str, int]) -> Chain:
    """Fix the route of an object and ask its first level. `signed`: levels that need not be asked again.

    Raises:
        ApproverUnknown, QuorumUnreachable, FallbackUnavailable
    """
    barred = barred_from(work.session, work.theme, subject.kind, subject.key)
    carried = {name: f"signed in round {number} on this hash" for name, number in signed.items()}
    resolved = resolve_chain(work.policy, subject.kind, facts, work.directory, barred, carried=carried)
    chain = Chain(
        round_id=work.a_round.id,
        first_round_id=work.a_round.id,
        object_kind=subject.kind,
        object_key=subject.key,
        object_hash=subject.hash,
        state=ChainState.OPEN,
        by_rule=resolved.by_rule,
    )
    work.session.add(chain)
    work.session.flush()
    for level in resolved.levels:
        row = _add_level(work.session, chain, level, signed)
        if level.skipped_because is not None:
            act = act_of(work, chain, "skip_level", POLICY, level=row, comment=level.skipped_because)
            write_down(work.session, act, now=work.now)
    _report_fallbacks(work, resolved, subject.key)
    advance_chain(work, chain)
    return chain


def _add_level(session: Session, chain: Chain, level: ChainLevel, signed: Mapping[str, int]) -> Level:
    row = Level(
        chain_id=chain.id,
        position=level.position,
        name=level.name,
        quorum=level.quorum.to_record(),
        veto=list(level.veto),
        due_seconds=None if level.due is None else int(level.due.total_seconds()),
        remind=None if level.remind is None else level.remind.model_dump(mode="json"),
        escalate_seconds=None if level.escalate is None else int(level.escalate.total_seconds()),
        on_due=None if level.on_due is None else level.on_due.value,
        in_turn=level.in_turn,
        fallback=level.fallback,
        state=LevelState.WAITING if level.skipped_because is None else LevelState.SKIPPED,
        skipped_because=level.skipped_because,
        signed_in_round=signed.get(level.name) if level.carried else None,
        applies_because=level.applies_because,
    )
    session.add(row)
    session.flush()
    before: Task | None = None
    for position, login in enumerate(level.approvers, start=1):
        person_id = require_person(session, login).id
        task = Task(
            level_id=row.id,
            person_id=person_id,
            owner_id=person_id,
            position=position,
            state=TaskState.WAITING,
            waits_for_id=before.id if before is not None and level.in_turn else None,
        )
        session.add(task)
        session.flush()
        before = task
    return row


def advance_chain(work: RoundWork, chain: Chain) -> None:
    """Open the chain's next level once no level is open; with none left the chain is approved.

    A level that repeats alone settle is passed on the spot, and the one after it is opened.
    """
    while chain.state is ChainState.OPEN:
        levels = approvals.levels(work.session, chain.id)
        if any(level.state is LevelState.OPEN for level in levels):
            return
        waiting = next((level for level in levels if level.state is LevelState.WAITING), None)
        if waiting is None:
            _approve_chain(work, chain)
            return
        open_level(work, chain, waiting)
        if settle_level(work, chain, waiting) is not LevelOutcome.APPROVED:
            return


def _approve_chain(work: RoundWork, chain: Chain) -> None:
    chain.state = ChainState.APPROVED
    act = act_of(work, chain, "approve_chain", POLICY, comment=chain.by_rule or "")
    write_down(work.session, act, now=work.now)


def let_stand(work: RoundWork, chain: Chain, subject: Subject, before: Round) -> None:
    """Take a chain into the next round as it is: its decisions, its open questions and their gates stay."""
    old_hash, chain.object_hash, chain.round_id = chain.object_hash, subject.hash, work.a_round.id
    details: dict[str, object] = {"from_round": before.number}
    if old_hash == subject.hash:
        act = act_of(work, chain, "stand_chain", POLICY, details=details)
    else:
        act = act_of(
            work, chain, "keep_on_decrease", POLICY, details=details | {"from_hash": old_hash, "to_hash": subject.hash}
        )
    write_down(work.session, act, now=work.now)


def void_chain(work: RoundWork, chain: Chain, because: str, *, act: str = "void_chain") -> None:
    """End a chain: its approvals are worth nothing any more, its open questions are cancelled."""
    end_chain(work, chain)
    write_down(work.session, act_of(work, chain, act, POLICY, comment=because), now=work.now)


def end_chain(work: RoundWork, chain: Chain) -> None:
    if chain.state is not ChainState.REJECTED:
        chain.state = ChainState.VOID
    for level in approvals.levels(work.session, chain.id):
        cancel_left_over(work.session, level, work.now)
        if level.state in {LevelState.OPEN, LevelState.WAITING}:
            level.state, level.settled_at = LevelState.VOID, work.now


def _report_fallbacks(work: RoundWork, resolved: Resolved, object_key: str) -> None:
    for level in (level for level in resolved.levels if level.fallback):
        barred, asked = ", ".join(level.barred) or "nobody named is left", ", ".join(level.approvers)
        kind = resolved.object_kind
        alerts.raise_alert(
            work.session,
            key=f"fallback:{work.theme.key}:{work.a_round.number}:{kind}:{object_key}:{level.name}",
            subject="a level fell to the fallback approver",
            text=f"nobody of level {level.name!r} may decide on {kind} {object_key!r} ({barred}); "
            f"asked instead: {asked}",
            now=work.now,
            theme_key=work.theme.key,
        )
