"""Submitting a theme, and taking it out of review again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval.service.people import IdentityRules, identify
from approval.service.rounds import close_round, open_round
from approval.service.signing import Signature, require_comment
from approval.states import RoundState
from channels.service.distribution import give_back
from models.queries import approvals, themes
from models.theme import Theme
from offers.service.exclusions import with_exclusions
from themes.errors import WindowOver
from themes.lifecycle import Move, MoveRefused, ThemeState, allowed_moves
from themes.revision import Revision, freeze, load
from themes.service.finding import OWNERS, author, last_signers, owners, recallers, require_right, require_theme
from themes.service.moves import move_theme
from themes.service.revising import checked_for_review, facts_of_objects, store_revision
from themes.service.worst_case import stacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    theme_id: int
    revision: int
    hash: str
    round: int
    already: bool  # the same content is in review: nothing was changed, no code was used


def submit(session: Session, *, key: str, signature: Signature, rules: IdentityRules, now: datetime) -> Submitted:
    """Freeze the draft as a revision and ask its first approvers. Submitting the same content twice is one revision.

    Raises:
        ThemeUnknown, MoveRefused, NotAllowed, WindowOver, NobodyToReach, RecipientsLackVariables, IdentityRefused,
        PolicyUnknown, QuorumUnreachable, FallbackUnavailable
    """
    theme = require_theme(session, key, lock=True)
    value = load(theme.draft)
    frozen = freeze(value)
    if already := _in_review_already(session, theme, frozen):
        return already
    if theme.state is not ThemeState.DRAFT:
        raise MoveRefused(Move.SUBMIT, theme.state, allowed_moves(theme.state))
    require_right(session, signature.login, owners(session, theme), act="submit", theme=theme, who=OWNERS)
    if value.window.ends_at <= now:
        raise WindowOver(key=key, ends_at=value.window.ends_at)
    value = with_exclusions(session, theme, value)
    frozen = freeze(value)
    theme.draft = dict(frozen.content)
    checked = checked_for_review(session, theme, value, now)
    submitter = identify(session, login=signature.login, code=signature.code, rules=rules, now=now)
    revision = store_revision(session, theme, frozen, submitter.id, now)
    theme.revision_id = revision.id
    theme.starts_at, theme.ends_at = value.window.starts_at, value.window.ends_at  # an earlier launch may have moved it
    _move(session, theme, Move.SUBMIT, signature, now, object_hash=revision.hash)
    worst = stacks(session, value)
    a_round = open_round(
        session,
        theme=theme,
        revision=revision,
        policy_key=value.policy,
        facts=facts_of_objects(session, value, stacks=worst, audience_size=checked.audience),
        reach=checked.as_reach(),
        worst=worst,
        now=now,
    )
    return Submitted(
        theme_id=theme.id, revision=revision.number, hash=revision.hash, round=a_round.number, already=False
    )


def _in_review_already(session: Session, theme: Theme, frozen: Revision) -> Submitted | None:
    a_round = approvals.open_round(session, theme.id)
    if theme.state is not ThemeState.IN_REVIEW or a_round is None:
        return None
    revision = themes.revision_by_id(session, a_round.revision_id)
    if revision.hash != frozen.hash:
        return None
    return Submitted(
        theme_id=theme.id, revision=revision.number, hash=revision.hash, round=a_round.number, already=True
    )


def withdraw(session: Session, *, key: str, signature: Signature, rules: IdentityRules, now: datetime) -> int:
    """Take a theme out of review: back to draft, every open question cancelled. Returns the theme's id.

    Raises:
        ThemeUnknown, MoveRefused, NotAllowed, IdentityRefused
    """
    theme = require_theme(session, key, lock=True)
    a_round = approvals.open_round(session, theme.id)
    if theme.state is not ThemeState.IN_REVIEW or a_round is None:
        raise MoveRefused(Move.WITHDRAW, theme.state, allowed_moves(theme.state))
    require_right(session, signature.login, author(session, theme), act="withdraw", theme=theme, who="its author")
    require_comment(signature, "withdraw")
    identify(session, login=signature.login, code=signature.code, rules=rules, now=now)
    close_round(session, theme=theme, a_round=a_round, state=RoundState.WITHDRAWN, now=now)
    _move(session, theme, Move.WITHDRAW, signature, now)
    theme.revision_id = None
    return theme.id


def recall(session: Session, *, key: str, signature: Signature, rules: IdentityRules, now: datetime) -> UUID | None:
    """Take an approved theme back to draft before it is live. Returns the launch run that is to be cancelled.

    Raises:
        ThemeUnknown, MoveRefused, NotAllowed, IdentityRefused
    """
    theme = require_theme(session, key, lock=True)
    if theme.state not in {ThemeState.APPROVED, ThemeState.SCHEDULED}:
        raise MoveRefused(Move.RECALL, theme.state, allowed_moves(theme.state))
    allowed = author(session, theme) | last_signers(session, theme) | recallers(session, theme)
    who = "its author, who signed its last level, or whom the policy lets recall it or take it down"
    require_right(session, signature.login, allowed, act="recall", theme=theme, who=who)
    require_comment(signature, "recall")
    identify(session, login=signature.login, code=signature.code, rules=rules, now=now)
    for a_round in approvals.rounds(session, theme.id):
        if a_round.revision_id == theme.revision_id and a_round.state is RoundState.APPROVED:
            close_round(session, theme=theme, a_round=a_round, state=RoundState.RECALLED, now=now)
    given_back = give_back(session, theme_id=theme.id, now=now)
    _move(session, theme, Move.RECALL, signature, now, details={"given_back": given_back})
    launch_run, theme.launch_run_id, theme.revision_id = theme.launch_run_id, None, None
    # The same content, approved again for the same start, must not be given the run that is cancelled now.
    theme.launch_attempt += 1
    return launch_run


def _move(
    session: Session,
    theme: Theme,
    a_move: Move,
    signature: Signature,
    now: datetime,
    *,
    object_hash: str | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    move_theme(
        session,
        theme,
        a_move,
        actor=signature.login,
        now=now,
        comment=signature.comment,
        object_hash=object_hash,
        flow_run_id=signature.flow_run_id,
        details=details,
    )
