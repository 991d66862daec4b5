"""Rounds: opening one for a revision, opening its levels, closing it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from approval.chain import Chain, ChainLevel, resolve_chain
from approval.condition import Facts
from approval.policy import Policy
from approval.service.people import directory, require_person
from approval.service.policies import policy_for, read_policy
from approval.service.record import Act, write_down
from approval.states import ChainState, LevelState, ObjectKind, RoundState, TaskState
from models.approval import Chain as ChainRow
from models.approval import Level, Round, Task
from models.queries import alerts, approvals, steps, themes
from models.theme import Revision, Theme
from themes.lifecycle import Move
from themes.service.moves import move_theme


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundWork:
    """A round at work on, its theme locked by whoever made this."""

    session: Session
    theme: Theme
    a_round: Round
    now: datetime


def open_round(
    session: Session,
    *,
    theme: Theme,
    revision: Revision,
    policy_key: str,
    facts: Facts,
    reach: Mapping[str, int],
    now: datetime,
) -> Round:
    """Fix the chain of every object of a revision and ask the first levels. The theme is locked by the caller.

    `reach`: recipients as they are counted now, "audience" and by channel, for the approvers' briefs.

    Raises:
        PolicyUnknown, ApproverUnknown, QuorumUnreachable, FallbackUnavailable
    """
    policy_row = policy_for(session, policy_key)
    a_round = Round(
        theme_id=theme.id,
        revision_id=revision.id,
        policy_id=policy_row.id,
        number=approvals.next_round_number(session, theme.id),
        state=RoundState.OPEN,
        reach=dict(reach),
        opened_at=now,
    )
    session.add(a_round)
    session.flush()
    work = RoundWork(session=session, theme=theme, a_round=a_round, now=now)
    for subject in objects_of(theme, revision):
        _open_chain(work, read_policy(policy_row), subject, facts)
    settle_round(work)
    return a_round


def objects_of(theme: Theme, revision: Revision) -> list[tuple[ObjectKind, str, str]]:
    """What a revision asks about: kind, key and hash. The theme's own chain is bound to the whole revision."""
    offers = [
        (ObjectKind(offer["kind"]), key, revision.offer_hashes[key])
        for key, offer in revision.content["offers"].items()
    ]
    return [(ObjectKind.THEME, theme.key, revision.hash), *offers]


def _open_chain(work: RoundWork, policy: Policy, subject: tuple[ObjectKind, str, str], facts: Facts) -> None:
    kind, key, digest = subject
    barred = themes.editors(work.session, work.theme.id)
    chain = resolve_chain(policy, kind, facts, directory(work.session), barred)
    row = ChainRow(
        round_id=work.a_round.id,
        object_kind=kind,
        object_key=key,
        object_hash=digest,
        state=ChainState.OPEN,
        by_rule=chain.by_rule,
    )
    work.session.add(row)
    work.session.flush()
    for level in chain.levels:
        _add_level(work.session, row, level)
        if level.skipped_because is not None:
            write_down(work.session, _level_skipped(work, row, level), now=work.now)
    advance_chain(work, row)
    _report_fallbacks(work, chain, key)


def _add_level(session: Session, chain: ChainRow, level: ChainLevel) -> None:
    row = Level(
        chain_id=chain.id,
        position=level.position,
        name=level.name,
        quorum=level.quorum.to_record(),
        veto=list(level.veto),
        due_seconds=None if level.due is None else int(level.due.total_seconds()),
        remind=None if level.remind is None else level.remind.model_dump(mode="json"),
        fallback=level.fallback,
        state=LevelState.WAITING if level.skipped_because is None else LevelState.SKIPPED,
        skipped_because=level.skipped_because,
        applies_because=level.applies_because,
    )
    session.add(row)
    session.flush()
    for login in level.approvers:
        person = require_person(session, login)
        session.add(Task(level_id=row.id, person_id=person.id, state=TaskState.WAITING))


def advance_chain(work: RoundWork, chain: ChainRow) -> None:
    """Open the chain's next level once no level is open; with none left the chain is approved."""
    levels = approvals.levels(work.session, chain.id)
    if chain.state is not ChainState.OPEN or any(level.state is LevelState.OPEN for level in levels):
        return
    waiting = next((level for level in levels if level.state is LevelState.WAITING), None)
    if waiting is not None:
        _open_level(work, chain, waiting)
        return
    chain.state = ChainState.APPROVED
    write_down(work.session, _chain_approved(work, chain), now=work.now)


def _level_skipped(work: RoundWork, chain: ChainRow, level: ChainLevel) -> Act:
    return Act(
        act="skip_level",
        actor="system:policy",
        object_kind=chain.object_kind.value,
        object_key=chain.object_key,
        theme_key=work.theme.key,
        round_number=work.a_round.number,
        level=level.name,
        object_hash=chain.object_hash,
        comment=level.skipped_because or "",
    )


def _chain_approved(work: RoundWork, chain: ChainRow) -> Act:
    return Act(
        act="approve_chain",
        actor="system:policy",
        object_kind=chain.object_kind.value,
        object_key=chain.object_key,
        theme_key=work.theme.key,
        round_number=work.a_round.number,
        object_hash=chain.object_hash,
        comment=chain.by_rule or "",
    )


def step_name(a_round: Round, chain: ChainRow, level: Level) -> str:
    subject = "" if chain.object_kind is ObjectKind.THEME else f" · {chain.object_kind} {chain.object_key}"
    return f"round {a_round.number}{subject} · {level.name}"


def _open_level(work: RoundWork, chain: ChainRow, level: Level) -> None:
    level.state, level.opened_at = LevelState.OPEN, work.now
    for task in approvals.tasks(work.session, level.id):
        task.state, task.opened_at = TaskState.OPEN, work.now
        task.due_at = None if level.due_seconds is None else work.now + timedelta(seconds=level.due_seconds)
    name = step_name(work.a_round, chain, level)
    steps.begin_step(work.session, theme_id=work.theme.id, name=name, now=work.now)


def settle_round(work: RoundWork, *, flow_run_id: UUID | None = None) -> None:
    """Approve the theme once every chain of its round is approved."""
    work.session.flush()
    every_chain = approvals.chains(work.session, work.a_round.id)
    if work.a_round.state is not RoundState.OPEN or any(row.state is not ChainState.APPROVED for row in every_chain):
        return
    work.a_round.state, work.a_round.closed_at = RoundState.APPROVED, work.now
    move_theme(
        work.session,
        work.theme,
        Move.APPROVE,
        actor="system:policy",
        now=work.now,
        object_hash=themes.revision_by_id(work.session, work.a_round.revision_id).hash,
        flow_run_id=flow_run_id,
        details={"round": work.a_round.number},
    )


def close_round(session: Session, *, theme: Theme, a_round: Round, state: RoundState, now: datetime) -> None:
    """End a round without approval: its chains are void and its open questions cancelled."""
    a_round.state, a_round.closed_at = state, now
    for chain in approvals.chains(session, a_round.id):
        if chain.state in {ChainState.OPEN, ChainState.APPROVED}:
            chain.state = ChainState.VOID
        for level in approvals.levels(session, chain.id):
            cancel_left_over(session, level, now)
            if level.state in {LevelState.OPEN, LevelState.WAITING}:
                level.state, level.settled_at = LevelState.VOID, now
    steps.finish_open_steps(session, theme_id=theme.id, prefix=f"round {a_round.number} ", now=now, outcome=state.value)


def cancel_left_over(session: Session, level: Level, now: datetime) -> None:
    for task in approvals.tasks(session, level.id):
        if task.state in {TaskState.OPEN, TaskState.WAITING}:
            task.state, task.settled_at = TaskState.CANCELLED, now


def _report_fallbacks(work: RoundWork, chain: Chain, object_key: str) -> None:
    for level in (level for level in chain.levels if level.fallback):
        barred, asked = ", ".join(level.barred) or "nobody named is left", ", ".join(level.approvers)
        alerts.raise_alert(
            work.session,
            key=f"fallback:{work.theme.key}:{work.a_round.number}:{chain.object_kind}:{object_key}:{level.name}",
            subject="a level fell to the fallback approver",
            text=f"nobody of level {level.name!r} may decide on {chain.object_kind} {object_key!r} ({barred}); "
            f"asked instead: {asked}",
            now=work.now,
            theme_key=work.theme.key,
        )
