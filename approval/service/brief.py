"""The approver's brief, put together from what the database knows."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row
from sqlalchemy.orm import Session

from approval.brief import (
    Brief,
    Change,
    EarlierDecision,
    Exclusion,
    LowestPrice,
    Money,
    OfferLine,
    Preview,
    Seat,
    write_brief,
)
from approval.quorum import Quorum
from approval.states import DecisionKind, LevelState, ObjectKind, TaskKind, TaskState
from approval.wording import object_word
from models.approval import Chain, Decision, Level, Round, Task
from models.person import Person
from models.queries import approvals, briefs
from models.theme import Revision, Theme
from offers.presets import Catalogue
from offers.service.presets import catalogue_of
from settings import get_settings
from themes import money
from themes.diff import Change as FieldChange
from themes.diff import Words, diff
from themes.facts import Lowest, WorstOf
from themes.offer_rule import words_of
from themes.preview import preview, preview_link
from themes.recipient import sample
from themes.revision import load
from themes.theme import Offer
from themes.theme import Theme as ThemeValue
from themes.worst_case import by_products_of

#: Told beside the diff, with what changed about them.
_TOLD_APART = ("exclusions", "excluded_from")
#: Of an offer's own terms what is told elsewhere in its brief.
_NO_DETAIL = frozenset({"id", "kind", "name", "preset", "preset_version", "parameters", "excluded_from"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A question, and what it is about."""

    task: Task
    level: Level
    chain: Chain
    a_round: Round
    theme: Theme
    revision: Revision
    value: ThemeValue
    seen: Revision | None  # what its person was shown of the theme before
    said: Sequence[Row[Any]]  # every decision on the theme
    beside: Sequence[Task]  # the questions of the same level
    people: dict[int, Person]
    worst_of: WorstOf
    catalogue: Catalogue

    @property
    def person(self) -> Person:
        return self.people[self.task.person_id]

    @property
    def locale(self) -> str:
        return self.person.locale

    @property
    def zone(self) -> ZoneInfo:
        return self.value.zone

    @property
    def offer_id(self) -> str | None:
        """None where it is about the theme itself."""
        return None if self.chain.object_kind is ObjectKind.THEME else self.chain.object_key

    @property
    def offers(self) -> tuple[Offer, ...]:
        return self.value.offers() if self.offer_id is None else (self.value.offer(self.offer_id),)


def brief_for(session: Session, task: Task, *, worst_of: WorstOf | None = None) -> str:
    """What the person of a task needs to know to decide, as Markdown in her language.

    Without `worst_of` the worst case is what the round was opened with.
    """
    case = _case(session, task, worst_of)
    brief = Brief(
        name=case.person.name,
        object_kind=case.chain.object_kind,
        object_title=case.value.title if case.offer_id is None else case.value.offer(case.offer_id).name,
        theme_title=case.value.title,
        revision=case.revision.number,
        object_hash=case.chain.object_hash,
        round_number=case.a_round.number,
        level=case.level.position,
        level_name=case.level.name,
        quorum=Quorum.from_record(case.level.quorum),
        veto=tuple(case.level.veto),
        window_from=case.value.window.starts_at.astimezone(case.zone),
        window_to=case.value.window.ends_at.astimezone(case.zone),
        money=_money(case),
        seat=_seat(session, case),
        due_at=None if task.due_at is None else task.due_at.astimezone(case.zone),
        audience_size=case.a_round.reach.get("audience"),
        channel_counts=_channel_counts(case),
        offers=[_offer_line(case, offer) for offer in case.offers],
        exclusions=list(_exclusions(case)),
        changes=_changes(case),
        earlier=list(_earlier(case)),
        previews=_previews(case),
        asked_again_because=task.ask_again_because or "",
        **_places(session, case),
    )
    return write_brief(brief, case.locale)


def _case(session: Session, task: Task, worst_of: WorstOf | None) -> _Case:
    catalogue = catalogue_of(session)
    _, level, chain, a_round, theme, revision = briefs.question(session, task.id)
    beside = approvals.tasks(session, level.id)
    asked = {person_id for one in beside for person_id in (one.person_id, one.owner_id, one.added_by_id) if person_id}
    return _Case(
        task=task,
        level=level,
        chain=chain,
        a_round=a_round,
        theme=theme,
        revision=revision,
        value=_read(_Frozen(revision)),
        seen=briefs.last_look(session, task, theme.id),
        said=briefs.decisions_said(session, theme.id),
        beside=beside,
        people=briefs.people_of(session, sorted(asked)),
        worst_of=worst_of or by_products_of(catalogue, a_round.worst),
        catalogue=catalogue,
    )


class _Frozen:
    """A revision as part of a cache key: the same hash is the same content."""

    def __init__(self, revision: Revision) -> None:
        self.content, self._hash = revision.content, revision.hash

    def __hash__(self) -> int:
        return hash(self._hash)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and other._hash == self._hash


# Many are asked about one revision, one after another.
@lru_cache(maxsize=32)
def _read(frozen: _Frozen) -> ThemeValue:
    return load(frozen.content)


@lru_cache(maxsize=32)
def _differences(before: _Frozen, after: _Frozen, locale: str) -> Sequence[FieldChange]:
    return diff(before.content, after.content, locale)


@lru_cache(maxsize=32)
def _rendered(frozen: _Frozen, public_url: str) -> Sequence[Preview]:
    value = _read(frozen)
    shown = preview(value, sample(theme_key=value.key, public_url=public_url))
    return [Preview(channel=one.channel.value, excerpt=one.excerpt(), failure=one.failure or "") for one in shown]


def _places(session: Session, case: _Case) -> dict[str, Any]:
    """Where the question stands in its chain, and whom else it takes."""
    levels = approvals.levels(session, case.chain.id)
    signed = {
        said.level_id
        for said in case.said
        if said.kind is not TaskKind.ADVICE
        and said.Decision.kind is DecisionKind.APPROVE
        and said.Decision.voided_at is None
    }
    before = [level for level in levels if level.position < case.level.position]
    return {
        "level_count": len(levels),
        "return_to": tuple(level.name for level in before if level.state is LevelState.APPROVED and level.id in signed),
        "asked": len(_owners(case.beside, required=False)),
        "signers": tuple(case.people[owner].name for owner in sorted(_owners(case.beside, required=True))),
    }


def _owners(tasks: Collection[Task], *, required: bool) -> set[int]:
    """The seats of a level: those that its quorum counts, or those of added signers."""
    gone = {TaskState.REMOVED, TaskState.VOID}
    counted = [task for task in tasks if task.kind is TaskKind.DECISION and task.state not in gone]
    return {task.owner_id for task in counted if task.required is required}


def _channel_counts(case: _Case) -> dict[str, int]:
    reach = case.a_round.reach
    return {channel.value: reach[channel] for channel in case.value.channels.used() if channel in reach}


def _money(case: _Case) -> Money:
    worst = case.worst_of(case.value, case.offer_id)
    return Money(
        budget=str(case.value.budget),
        worst_case_cost="" if worst.cost is None else money.in_words(worst.cost, case.value.currency),
        deepest_discount=worst.deepest_discount,
        worst_margin=worst.margin,
        lowest=_lowest(worst.lowest, case.value.currency),
    )


def _lowest(found: Lowest | None, currency: str) -> LowestPrice | None:
    if found is None:
        return None
    return LowestPrice(
        product=f"{found.name} ({found.sku})" if found.name else found.sku,
        listed=money.in_words(found.listed, currency),
        price=money.in_words(found.price, currency),
        offers=found.offers,
    )


def _seat(session: Session, case: _Case) -> Seat:
    task, by_id = case.task, {one.id: one for one in case.beside}
    asker = by_id.get(task.for_task_id or 0)
    if asker is not None:
        person = case.people[asker.person_id]
        wanted = briefs.words_of_act(
            session, theme_key=case.theme.key, act="delegate", actor=person.login, at=task.opened_at
        )
        return Seat(adviser_of=person.name, advice_wanted=wanted)
    escalated = by_id.get(task.escalated_from_id or 0)
    behalf = case.people[task.owner_id].name if task.owner_id != task.person_id else ""
    return Seat(
        on_behalf_of=behalf,
        escalated_from=case.people[escalated.person_id].name if escalated else "",
        added_by=case.people[task.added_by_id].name if task.added_by_id and task.required else "",
        fallback=case.level.fallback,
    )


def _offer_line(case: _Case, offer: Offer) -> OfferLine:
    words = Words(case.revision.content, case.locale)
    part = case.revision.content["offers"][offer.id]
    cost = case.worst_of(case.value, offer.id).cost
    preset = case.catalogue.of(offer.preset, offer.preset_version)
    title = offer.preset if preset is None else preset.title.of(case.locale)
    terms = words.mapping(part["parameters"])
    read = words_of(offer, case.catalogue, currency=case.value.currency, language=case.locale)
    more = [(words.word("parameters"), terms)] if read is not None else []
    return OfferLine(
        key=offer.id,
        name=offer.name,
        kind=f"{words.word(offer.kind.value)}, {title}",
        terms=terms if read is None else read,
        limit="" if offer.total is None else str(offer.total),
        worst_case_cost="" if cost is None else money.in_words(cost, case.value.currency),
        details=[
            *more,
            *((words.word(name), words.value(one, name) or "") for name, one in part.items() if name not in _NO_DETAIL),
        ],
    )


def _changes(case: _Case) -> Sequence[Change] | None:
    if case.seen is None:
        return None
    changes = _differences(_Frozen(case.seen), _Frozen(case.revision), case.locale)
    return [
        Change(
            label=change.label,
            before=change.before or "",
            after=change.after or "",
            of_object=case.offer_id is None or change.offer_id == case.offer_id,
        )
        for change in changes
        if change.path.rpartition(".")[2] not in _TOLD_APART
    ]


def _exclusions(case: _Case) -> Iterator[Exclusion]:
    """The pairs that are, and those that were at her last look."""
    seen = None if case.seen is None else _read(_Frozen(case.seen))
    now, before = _pairs(case, case.value), _pairs(case, seen)
    for first, second in sorted({*now, *before}):
        added = seen is not None and (first, second) not in before
        news = "added" if added else "" if (first, second) in now else "removed"
        yield Exclusion(first=_name(case, first), second=_name(case, second), news=news)


def _pairs(case: _Case, value: ThemeValue | None) -> list[tuple[str, str]]:
    pairs = [] if value is None else value.exclusions
    return [pair for pair in pairs if case.offer_id is None or case.offer_id in pair]


def _name(case: _Case, offer_id: str) -> str:
    """By name where that tells it apart; an offer of another theme is known by its id alone."""
    names = {offer.id: offer.name for offer in case.value.offers()}
    name = names.get(offer_id, offer_id)
    return name if list(names.values()).count(name) <= 1 else f"{name} ({offer_id})"


def _earlier(case: _Case) -> Iterator[EarlierDecision]:
    """Of an offer: on it and on its theme. Of the theme: all but bare approvals of its offers."""
    for said in case.said:
        same = (said.object_kind, said.object_key) == (case.chain.object_kind, case.chain.object_key)
        if not same and not _matters(case, said):
            continue
        decision: Decision = said.Decision
        yield EarlierDecision(
            name=said.name,
            round_number=said.round,
            level=said.level,
            kind=decision.kind,
            at=decision.decided_at.astimezone(case.zone),
            comment=decision.comment,
            task_kind=TaskKind.OVERRIDE if decision.override else said.kind,
            on_behalf_of=said.owner or "",
            about="" if same else _about(case, said),
            void_because=None if decision.voided_at is None else decision.void_because or "",
        )


def _about(case: _Case, said: Row[Any]) -> str:
    return object_word(said.object_kind, case.locale) if said.object_kind is ObjectKind.THEME else said.object_key


def _matters(case: _Case, said: Row[Any]) -> bool:
    if said.object_kind is ObjectKind.THEME:
        return True
    bare = said.Decision.kind is DecisionKind.APPROVE and not said.Decision.comment.strip()
    return case.offer_id is None and not bare


def _previews(case: _Case) -> Sequence[Preview]:
    settings = get_settings()
    return [
        Preview(
            channel=one.channel,
            link=preview_link(case.theme.id, case.revision.number, one.channel, ui=settings.prefect_ui_url or ""),
            excerpt=one.excerpt,
            failure=one.failure,
        )
        for one in _rendered(_Frozen(case.revision), settings.public_url)
    ]
