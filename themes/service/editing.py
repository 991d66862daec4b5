"""Editing a theme that is in review: the edit voids what it touches, and the rest stands."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from approval.errors import CodeNeeded
from approval.service.people import IdentityRules, identify
from approval.service.rounds import Edit, revise_round
from models.person import Person
from models.queries import approvals, themes
from models.theme import Theme
from themes.decreases import only_decreases
from themes.errors import ProductLineFixed, WindowOver
from themes.revision import Revision, load
from themes.service.revising import checked_for_review, facts_of_objects, store_revision
from themes.service.worst_case import stacks
from themes.theme import Theme as ThemeValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """An editor's one-time code, and how codes are checked."""

    code: str = field(repr=False)
    rules: IdentityRules


def check_edit(
    session: Session, theme: Theme, *, editor: Person, proof: Proof | None, product_line_id: int, now: datetime
) -> None:
    """Let an edit of a theme in review pass: it is signed, for it voids approvals. Uses the code up.

    Raises:
        CodeNeeded, ProductLineFixed, IdentityRefused
    """
    if proof is None or not proof.code:
        raise CodeNeeded(theme=theme.key)
    if product_line_id != theme.product_line_id:
        raise ProductLineFixed(key=theme.key)
    identify(session, login=editor.login, code=proof.code, rules=proof.rules, now=now)


def revise(
    session: Session, theme: Theme, *, value: ThemeValue, content: Revision, editor: Person, now: datetime
) -> None:
    """Freeze the edited content at once, and go on with it in the next round.

    Raises:
        WindowOver, RecipientsLackVariables, NobodyToReach, PolicyUnknown, PolicyOfOtherLine, QuorumUnreachable,
        FallbackUnavailable
    """
    before = approvals.open_round(session, theme.id)
    if before is None:
        raise LookupError(f"theme {theme.key!r} is in review without an open round")
    if value.window.ends_at <= now:
        raise WindowOver(key=theme.key, ends_at=value.window.ends_at)
    checked = checked_for_review(session, theme, value, now)
    old_content = themes.revision_by_id(session, before.revision_id).content
    revision = store_revision(session, theme, content, editor.id, now)
    theme.revision_id = revision.id
    old_value = load(old_content)
    worst, worst_before = stacks(session, value), stacks(session, old_value)
    revise_round(
        session,
        theme=theme,
        before=before,
        revision=revision,
        policy_key=value.policy,
        edit=Edit(
            facts=facts_of_objects(session, value, stacks=worst, audience_size=checked.audience),
            facts_before=facts_of_objects(
                session, old_value, stacks=worst_before, audience_size=before.reach.get("audience")
            ),
            decreased=lambda offer: only_decreases(old_content, content.content, offer_id=offer),
        ),
        reach=checked.as_reach(),
        worst=worst,
        now=now,
    )
