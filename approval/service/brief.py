"""The approver's brief, put together from what the database knows."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from approval.brief import Brief, Change, EarlierDecision, OfferLine, write_brief
from approval.quorum import Quorum
from approval.service.people import require_person
from approval.states import ObjectKind
from models.approval import Round, Task
from models.person import Person
from models.queries import approvals, people, themes
from models.theme import Revision, Theme
from settings import get_settings
from themes import money
from themes.diff import Words, diff
from themes.preview import preview
from themes.recipient import sample
from themes.revision import load
from themes.theme import Theme as ThemeValue


def brief_for(session: Session, task: Task) -> str:
    """What the person of a task needs to know to decide, as Markdown in her language."""
    level = approvals.level_by_id(session, task.level_id)
    chain = approvals.chain_by_id(session, level.chain_id)
    a_round = approvals.round_by_id(session, chain.round_id)
    theme = themes.theme_by_id(session, a_round.theme_id)
    revision = themes.revision_by_id(session, a_round.revision_id)
    person = people.person_by_id(session, task.person_id)
    value = load(revision.content)
    brief = Brief(
        name=person.name,
        object_kind=chain.object_kind,
        object_title=_title(value, chain.object_kind, chain.object_key),
        theme_title=value.title,
        revision=revision.number,
        object_hash=chain.object_hash,
        round_number=a_round.number,
        level=level.position,
        level_count=len(approvals.levels(session, chain.id)),
        level_name=level.name,
        asked=len(approvals.tasks(session, level.id)),
        quorum=Quorum.from_record(level.quorum),
        veto=tuple(level.veto),
        window_from=value.window.starts_at.astimezone(value.zone),
        window_to=value.window.ends_at.astimezone(value.zone),
        budget=money.in_words(value.budget.minor, value.budget.currency),
        due_at=None if task.due_at is None else task.due_at.astimezone(value.zone),
        audience_size=a_round.reach.get("audience"),
        channel_counts={name: a_round.reach[name] for name in value.channels.used() if name in a_round.reach},
        offers=_offers(revision, value),
        exclusions=value.exclusions,
        changes=_changes(session, theme, a_round, revision, person),
        earlier=_earlier(session, theme, value.zone),
        previews=_previews(value),
        asked_again_because=task.ask_again_because or "",
    )
    return write_brief(brief, person.locale)


def _title(value: ThemeValue, kind: ObjectKind, key: str) -> str:
    return value.title if kind is ObjectKind.THEME else value.offer(key).name


def _offers(revision: Revision, value: ThemeValue) -> list[OfferLine]:
    words = Words(revision.content)
    return [
        OfferLine(
            key=offer.id,
            name=offer.name,
            kind=offer.kind.value,
            terms=words.mapping(revision.content["offers"][offer.id]["parameters"]),
            limit="" if offer.total is None else str(offer.total),
        )
        for offer in value.offers()
    ]


def _changes(
    session: Session, theme: Theme, a_round: Round, revision: Revision, person: Person
) -> Sequence[Change] | None:
    seen = approvals.last_seen_revision(session, theme_id=theme.id, person_id=person.id, before_round=a_round.number)
    if seen is None:
        return None
    before = themes.revision_by_id(session, seen).content
    return [
        Change(label=change.label, before=change.before or "", after=change.after or "")
        for change in diff(before, revision.content)
    ]


def _earlier(session: Session, theme: Theme, zone: ZoneInfo) -> list[EarlierDecision]:
    return [
        EarlierDecision(
            name=require_person(session, login).name,
            round_number=round_number,
            level=level,
            kind=decision.kind,
            at=decision.decided_at.astimezone(zone),
            comment=decision.comment,
        )
        for decision, login, level, round_number in approvals.decisions_on_theme(session, theme.id)
    ]


def _previews(value: ThemeValue) -> dict[str, str]:
    recipient = sample(theme_key=value.key, public_url=get_settings().public_url)
    return {
        one.channel.value: one.failure or "\n".join(text for name, text in one.texts.items() if name != "html")
        for one in preview(value, recipient)
    }
