"""From a draft to a revision that can be asked about: checked, frozen, with the facts of each of its objects."""

from datetime import datetime

from sqlalchemy.orm import Session

from approval.condition import Facts
from approval.service.rounds import FactsOf
from approval.states import ObjectKind
from models.queries import themes
from models.theme import Placement, Theme
from models.theme import Revision as RevisionRow
from offers.service.presets import catalogue_of
from themes.errors import NobodyToReach, RecipientsLackVariables
from themes.facts import facts_for
from themes.revision import Revision, load
from themes.service.preflight import Preflight, preflight
from themes.theme import Theme as ThemeValue
from themes.worst_case import Stacks, by_products_of


def facts_of_objects(session: Session, value: ThemeValue, *, stacks: Stacks, audience_size: int | None) -> FactsOf:
    worst_of = by_products_of(catalogue_of(session), stacks)

    def facts(kind: ObjectKind, key: str) -> Facts:
        offer_id = None if kind is ObjectKind.THEME else key
        return facts_for(value, offer_id=offer_id, audience_size=audience_size, worst_of=worst_of)

    return facts


def checked_for_review(session: Session, theme: Theme, value: ThemeValue, now: datetime) -> Preflight:
    """What the theme would reach now.

    Raises:
        RecipientsLackVariables, NobodyToReach
    """
    checked = preflight(session, theme=theme, value=value, now=now)
    if checked.lacking:
        raise RecipientsLackVariables(lacking=checked.lacking)
    if not any(checked.recipients.values()):
        raise NobodyToReach(key=theme.key)
    return checked


def store_revision(session: Session, theme: Theme, frozen: Revision, submitter_id: int, now: datetime) -> RevisionRow:
    """The revision of a content; the same content is the same revision."""
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
