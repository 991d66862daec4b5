"""Submitting a theme, and taking it out of review again."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval.service.people import IdentityRules, identify
from approval.service.rounds import close_round, open_round
from approval.states import RoundState
from models.queries import approvals, themes
from models.theme import Placement, Theme
from models.theme import Revision as RevisionRow
from themes.errors import NobodyToReach, RecipientsLackVariables, WindowOver
from themes.facts import facts_of
from themes.lifecycle import Move, MoveRefused, ThemeState, allowed_moves
from themes.revision import Revision, freeze, load
from themes.service.finding import last_signers, owners, require_right, require_theme, stewards
from themes.service.moves import move_theme
from themes.service.preflight import Preflight, preflight
from themes.theme import Theme as ThemeValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    theme_id: int
    revision: int
    hash: str
    round: int
    already: bool  # the same content is in review: nothing was changed, no code was used


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who acts, with the code that proves it, and why."""

    login: str
    code: str
    comment: str = ""
    flow_run_id: UUID | None = None


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
    require_right(signature.login, owners(session, theme), act="submit", theme=theme, who="its author or an editor")
    if value.window.ends_at <= now:
        raise WindowOver(key=key, ends_at=value.window.ends_at)
    checked = _checked(session, theme, value, now)
    submitter = identify(session, login=signature.login, code=signature.code, rules=rules, now=now)
    revision = _revision(session, theme, frozen, submitter.id, now)
    theme.revision_id = revision.id
    theme.starts_at, theme.ends_at = value.window.starts_at, value.window.ends_at  # an earlier launch may have moved it
    _move(session, theme, Move.SUBMIT, signature, now, object_hash=revision.hash)
    a_round = open_round(
        session,
        theme=theme,
        revision=revision,
        policy_key=value.policy,
        facts=facts_of(value, audience_size=checked.audience),
        reach=checked.as_reach(),
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


def _checked(session: Session, theme: Theme, value: ThemeValue, now: datetime) -> Preflight:
    checked = preflight(session, theme=theme, value=value, now=now)
    if checked.lacking:
        raise RecipientsLackVariables(lacking=checked.lacking)
    if not any(checked.recipients.values()):
        raise NobodyToReach(key=theme.key)
    return checked


def _revision(session: Session, theme: Theme, frozen: Revision, submitter_id: int, now: datetime) -> RevisionRow:
    if same := themes.revision_with_hash(session, theme.id, frozen.hash):
        return same
    revision = RevisionRow(
        theme_id=theme.id,
        number=themes.next_revision_number(session, theme.id),
        hash=frozen.hash,
        theme_hash=frozen.theme_hash,
        offer_hashes=dict(frozen.offer_hashes),
        content=dict(frozen.content),
        created_by_id=submitter_id,
        created_at=now,
    )
    session.add(revision)
    session.flush()
    session.add_all(_placements(revision))
    return revision


def _placements(revision: RevisionRow) -> list[Placement]:
    return [
        Placement(revision_id=revision.id, place=one.place, shown_from=one.starts_at, shown_to=one.ends_at)
        for one in load(revision.content).placements
    ]


def withdraw(session: Session, *, key: str, signature: Signature, rules: IdentityRules, now: datetime) -> int:
    """Take a theme out of review: back to draft, every open question cancelled. Returns the theme's id.

    Raises:
        ThemeUnknown, MoveRefused, NotAllowed, IdentityRefused
    """
    theme = require_theme(session, key, lock=True)
    a_round = approvals.open_round(session, theme.id)
    if theme.state is not ThemeState.IN_REVIEW or a_round is None:
        raise MoveRefused(Move.WITHDRAW, theme.state, allowed_moves(theme.state))
    require_right(signature.login, owners(session, theme), act="withdraw", theme=theme, who="its author or an editor")
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
    allowed = owners(session, theme) | last_signers(session, theme) | stewards(session, theme)
    who = "its author, an editor, who signed its last level, or whom the policy lets take it down"
    require_right(signature.login, allowed, act="recall", theme=theme, who=who)
    identify(session, login=signature.login, code=signature.code, rules=rules, now=now)
    for a_round in approvals.rounds(session, theme.id):
        if a_round.revision_id == theme.revision_id and a_round.state is RoundState.APPROVED:
            close_round(session, theme=theme, a_round=a_round, state=RoundState.RECALLED, now=now)
    _move(session, theme, Move.RECALL, signature, now)
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
    )
