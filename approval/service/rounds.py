"""Rounds: opening one for a revision, going on to the next when an edit voids it, closing it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval.chain import route
from approval.condition import Facts
from approval.errors import PolicyOfOtherLine
from approval.quorum import LevelOutcome
from approval.service.chains import (
    Subject,
    advance_chain,
    end_chain,
    let_stand,
    open_chain,
    signed_levels,
    subjects_of,
    void_chain,
)
from approval.service.levels import POLICY, SWEEP, RoundWork, mend_level, settle_level
from approval.service.policies import policy_for, read_policy
from approval.states import ChainState, LevelState, ObjectKind, RoundState
from models.approval import Chain, Round
from models.approval import Policy as PolicyRow
from models.queries import approvals, steps, themes
from models.theme import Revision, Theme
from themes.lifecycle import Move
from themes.service.moves import move_theme
from themes.worst_case import Stacks

#: The facts of an object, by its kind and key.
FactsOf = Callable[[ObjectKind, str], Facts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What an edit of a theme in review means for its objects."""

    facts: FactsOf
    facts_before: FactsOf
    decreased: Callable[[str | None], bool]  # whether all that changed in an offer (None: in the whole) are decreases


def open_round(
    session: Session,
    *,
    theme: Theme,
    revision: Revision,
    policy_key: str,
    facts: FactsOf,
    reach: Mapping[str, int],
    worst: Stacks,
    now: datetime,
) -> Round:
    """Fix the chain of every object of a revision and ask the first levels. The theme is locked by the caller.

    `reach`: recipients as they are counted now, "audience" and by channel, for the approvers' briefs, as is `worst`,
    what products are sold for at worst. After a return to the drafter everything is asked afresh; where the policy
    says `straight_back`, but for levels that were signed on the same hash.

    Raises:
        PolicyUnknown, PolicyOfOtherLine, ApproverUnknown, QuorumUnreachable, FallbackUnavailable
    """
    policy = _policy(session, theme, policy_key)
    work = _new_round(session, theme, revision, policy=policy, reach=reach, worst=worst, now=now)
    signed = _signed_before_return(work)
    for subject in subjects_of(theme, revision):
        open_chain(work, subject, facts(subject.kind, subject.key), signed.get((subject.key, subject.hash), {}))
    settle_round(work)
    return work.a_round


def _policy(session: Session, theme: Theme, key: str) -> PolicyRow:
    row = policy_for(session, key)
    lines, line = read_policy(row).product_lines, themes.product_line_by_id(session, theme.product_line_id).key
    if lines and line not in lines:
        raise PolicyOfOtherLine(policy=key, product_line=line, lines=lines)
    return row


def _new_round(
    session: Session,
    theme: Theme,
    revision: Revision,
    *,
    policy: PolicyRow,
    reach: Mapping[str, int],
    worst: Stacks,
    now: datetime,
) -> RoundWork:
    a_round = Round(
        theme_id=theme.id,
        revision_id=revision.id,
        policy_id=policy.id,
        number=approvals.next_round_number(session, theme.id),
        state=RoundState.OPEN,
        reach=dict(reach),
        worst=dict(worst),
        opened_at=now,
    )
    session.add(a_round)
    session.flush()
    return RoundWork(session=session, theme=theme, a_round=a_round, now=now)


def _signed_before_return(work: RoundWork) -> dict[tuple[str, str], dict[str, int]]:
    """What need not be signed again after a return, by object and hash."""
    before = approvals.round_before(work.session, work.a_round)
    if before is None or before.state is not RoundState.RETURNED or not work.policy.straight_back:
        return {}
    return {
        (chain.object_key, chain.object_hash): signed_levels(work.session, chain)
        for chain in approvals.chains(work.session, before.id)
    }


def revise_round(
    session: Session,
    *,
    theme: Theme,
    before: Round,
    revision: Revision,
    policy_key: str,
    edit: Edit,
    reach: Mapping[str, int],
    worst: Stacks,
    now: datetime,
) -> Round:
    """Go on to the next round after an edit: what the edit did not touch stands, the rest is asked afresh.

    Raises:
        PolicyUnknown, PolicyOfOtherLine, ApproverUnknown, QuorumUnreachable, FallbackUnavailable
    """
    policy = _policy(session, theme, policy_key)
    _end_round(session, theme, before, RoundState.REVISED, now)
    work = _new_round(session, theme, revision, policy=policy, reach=reach, worst=worst, now=now)
    old = {(chain.object_kind, chain.object_key): chain for chain in approvals.chains(session, before.id)}
    stands: list[tuple[Chain, Subject]] = []
    asked: list[tuple[Subject, dict[str, int]]] = []
    for subject in subjects_of(theme, revision):
        chain = old.pop((subject.kind, subject.key), None)
        if chain is None:
            asked.append((subject, {}))
        elif because := _why_void(work, before, chain, subject, edit):
            signed = signed_levels(session, chain) if chain.object_hash == subject.hash else {}
            void_chain(work, chain, because, act="reroute_chain" if because is _REROUTED else "void_chain")
            asked.append((subject, signed))
        else:
            stands.append((chain, subject))
    for chain in old.values():
        void_chain(work, chain, "dropped by an edit")
    for chain, subject in stands:
        let_stand(work, chain, subject, before)
    for subject, signed in asked:
        open_chain(work, subject, edit.facts(subject.kind, subject.key), signed)
    for chain, _ in stands:
        mend_chain(work, chain)
    settle_round(work)
    return work.a_round


_REROUTED = "a fact crossed a band of the policy: the route is another one now"


def _why_void(
    work: RoundWork,
    before: Round,
    chain: Chain,
    subject: Subject,
    edit: Edit,
) -> str | None:
    """Why an edit voids a chain; None where it stands."""
    unchanged = chain.object_hash == subject.hash
    if chain.state is ChainState.REJECTED:  # it blocks the theme until the object is edited or dropped
        return None if unchanged else "edited after it was rejected"
    old_policy = read_policy(approvals.policy_by_id(work.session, before.policy_id))
    was = route(old_policy, subject.kind, edit.facts_before(subject.kind, subject.key))
    same_route = was == route(work.policy, subject.kind, edit.facts(subject.kind, subject.key))
    offer = None if subject.kind is ObjectKind.THEME else subject.key
    if unchanged or (work.policy.keep_on_decrease and edit.decreased(offer)):
        return None if same_route else _REROUTED
    return f"edited: {chain.object_hash} became {subject.hash}"


def mend_chain(work: RoundWork, chain: Chain) -> None:
    """Ask nobody who may not decide any more, and follow what comes of it."""
    for level in approvals.levels(work.session, chain.id):
        if level.state is LevelState.OPEN:
            mend_level(work, chain, level)
            outcome = settle_level(work, chain, level)
            conclude(work, chain, outcome, actor=SWEEP, object_hash=chain.object_hash)
            return


def conclude(
    work: RoundWork,
    chain: Chain,
    outcome: LevelOutcome,
    *,
    actor: str,
    object_hash: str,
    comment: str = "",
    flow_run_id: UUID | None = None,
) -> None:
    """What the outcome of a level means for its chain, its round and the theme."""
    match outcome:
        case LevelOutcome.APPROVED:
            advance_chain(work, chain)
            settle_round(work, flow_run_id=flow_run_id)
            return
        case LevelOutcome.RETURNED:
            state, a_move = RoundState.RETURNED, Move.RETURN
        case LevelOutcome.REJECTED:
            chain.state = ChainState.REJECTED
            if chain.object_kind is not ObjectKind.THEME:
                return  # the theme waits until this offer is edited or dropped; chains of other offers go on
            state, a_move = RoundState.REJECTED, Move.REJECT
        case _:
            return
    close_round(work.session, theme=work.theme, a_round=work.a_round, state=state, now=work.now)
    move_theme(
        work.session,
        work.theme,
        a_move,
        actor=actor,
        now=work.now,
        comment=comment,
        object_hash=object_hash,
        flow_run_id=flow_run_id,
    )
    if outcome is LevelOutcome.RETURNED:
        work.theme.revision_id = None


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
        actor=POLICY,
        now=work.now,
        object_hash=themes.revision_by_id(work.session, work.a_round.revision_id).hash,
        flow_run_id=flow_run_id,
        details={"round": work.a_round.number},
    )


def close_round(session: Session, *, theme: Theme, a_round: Round, state: RoundState, now: datetime) -> None:
    """End a round without approval: its chains are void and its open questions cancelled."""
    work = RoundWork(session=session, theme=theme, a_round=a_round, now=now)
    for chain in approvals.chains(session, a_round.id):
        end_chain(work, chain)
    _end_round(session, theme, a_round, state, now)


def _end_round(session: Session, theme: Theme, a_round: Round, state: RoundState, now: datetime) -> None:
    a_round.state, a_round.closed_at = state, now
    steps.finish_open_steps(session, theme_id=theme.id, prefix=f"round {a_round.number} ", now=now, outcome=state.value)
    session.flush()
