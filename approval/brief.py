"""What an approver needs to know to decide, as Markdown on one screen. Whatever a marketer wrote in it stays text.

Values of the brief come formatted (money with its currency, terms of an offer); times come with the theme's zone.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from approval.quorum import Quorum
from approval.states import DecisionKind, ObjectKind
from approval.wording import decision_word, object_word, quorum_words, word

SHORT_HASH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferLine:
    key: str
    name: str
    kind: str
    terms: str
    limit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierDecision:
    name: str
    round_number: int
    level: str
    kind: DecisionKind
    at: datetime
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs from what this person saw last; "" where there was or is nothing."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    name: str  # of the person asked
    object_kind: ObjectKind
    object_title: str
    theme_title: str
    revision: int
    object_hash: str
    round_number: int
    level: int
    level_count: int
    level_name: str
    asked: int
    quorum: Quorum
    window_from: datetime
    window_to: datetime
    budget: str
    veto: tuple[str, ...] = ()
    due_at: datetime | None = None
    worst_case_cost: str = ""
    audience_size: int | None = None
    channel_counts: Mapping[str, int] = field(default_factory=dict)
    offers: Sequence[OfferLine] = ()
    exclusions: Sequence[tuple[str, str]] = ()
    changes: Sequence[Change] | None = None  # None: this person sees it for the first time
    earlier: Sequence[EarlierDecision] = ()
    previews: Mapping[str, str] = field(default_factory=dict)  # channel -> the message as one recipient gets it
    asked_again_because: str = ""


def write_brief(brief: Brief, locale: str = "en") -> str:
    """The whole brief, in the order in which it is needed: why again, what, money and reach, changes, who said what."""
    blocks = (
        _asked_again(brief, locale),
        _question(brief, locale),
        _figures(brief, locale),
        _changes(brief, locale),
        _offers(brief, locale),
        _exclusions(brief, locale),
        _earlier(brief, locale),
        *(_preview(channel, text, locale) for channel, text in brief.previews.items()),
    )
    return "\n\n".join(block for block in blocks if block) + "\n"


_MARKDOWN = re.compile(r"([\\`*_\[\]()#~!+-])")
_NUMBERED = re.compile(r"^([0-9]+)\.(?= |$)")
_WWW = re.compile(r"\b(www)\.", re.IGNORECASE)
_ENTITIES = {"{": "&#123;", "}": "&#125;", "|": "&#124;", "%": "&#37;", ":": "&#58;", "@": "&#64;", "=": "&#61;"}


def plain(text: str) -> str:
    """Any text as Markdown that shows just it, on one line: no markup, no HTML, no template, no link, no table cell."""
    escaped = _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
    escaped = _NUMBERED.sub(r"\1\\.", html.escape(escaped, quote=False))
    escaped = _WWW.sub(r"\1&#46;", escaped)
    return "".join(_ENTITIES.get(character, character) for character in escaped)


def _asked_again(brief: Brief, locale: str) -> str:
    because = brief.asked_again_because
    return f"**{word('asked_again', locale)}: {plain(because)}**" if because else ""


def _question(brief: Brief, locale: str) -> str:
    title = plain(brief.object_title)
    subject = f"{object_word(brief.object_kind, locale)} **{title}**"
    question = word("question", locale, object=subject, name=plain(brief.name))
    if brief.object_kind is not ObjectKind.THEME:
        question += f" ({word('of_theme', locale, theme=plain(brief.theme_title))})"
    return question


def _figures(brief: Brief, locale: str) -> str:
    level = word("level_of", locale, number=brief.level, count=brief.level_count, name=plain(brief.level_name))
    quorum = plain(quorum_words(brief.quorum, brief.asked, locale, brief.veto))
    digest = f"`{brief.object_hash[:SHORT_HASH]}` ({brief.object_hash})"
    rows = [
        ("revision", str(brief.revision)),
        ("hash", digest),
        ("round", str(brief.round_number)),
        ("level", level),
        ("quorum", quorum),
        ("due", _time(brief.due_at) if brief.due_at else ""),
        ("window", f"{_time(brief.window_from)} → {_time(brief.window_to)}"),
        ("budget", plain(brief.budget)),
        ("worst_case_cost", plain(brief.worst_case_cost)),
        ("audience", "" if brief.audience_size is None else word("people", locale, count=f"{brief.audience_size:,}")),
        ("channels", " · ".join(f"{plain(name)} {count:,}" for name, count in brief.channel_counts.items())),
    ]
    return _table(["", ""], [[f"**{word(key, locale)}**", value] for key, value in rows if value])


def _changes(brief: Brief, locale: str) -> str:
    if brief.changes is None:
        return ""
    heading = f"### {word('changes', locale)}"
    if not brief.changes:
        return f"{heading}\n\n{word('none', locale)}"
    rows = [[plain(change.label), plain(change.before) or "—", plain(change.after) or "—"] for change in brief.changes]
    return f"{heading}\n\n" + _table([word(key, locale) for key in ("field", "before", "after")], rows)


def _offers(brief: Brief, locale: str) -> str:
    if not brief.offers:
        return ""
    head = [word(key, locale) for key in ("offer", "kind", "terms", "limit")]
    rows = [
        [f"{plain(offer.name)} ({plain(offer.key)})", plain(offer.kind), plain(offer.terms), plain(offer.limit)]
        for offer in brief.offers
    ]
    return f"### {word('offers', locale)}\n\n" + _table(head, rows)


def _exclusions(brief: Brief, locale: str) -> str:
    if not brief.exclusions:
        return ""
    lines = [
        "- " + word("not_together", locale, first=plain(first), second=plain(second))
        for first, second in brief.exclusions
    ]
    return f"### {word('exclusions', locale)}\n\n" + "\n".join(lines)


def _earlier(brief: Brief, locale: str) -> str:
    if not brief.earlier:
        return ""
    lines = [_earlier_line(decision, locale) for decision in brief.earlier]
    return f"### {word('earlier', locale)}\n\n" + "\n".join(lines)


def _earlier_line(decision: EarlierDecision, locale: str) -> str:
    line = word(
        "earlier_line",
        locale,
        name=plain(decision.name),
        round=decision.round_number,
        level=plain(decision.level),
        decision=decision_word(decision.kind, locale),
        at=_time(decision.at),
    )
    return f"- {line}" + (f" — {plain(decision.comment)}" if decision.comment.strip() else "")


def _preview(channel: str, text: str, locale: str) -> str:
    shown = "<br>\n".join(plain(line) for line in text.strip().splitlines())
    summary = f"{word('preview', locale)} · {plain(channel)}"
    return f"<details><summary>{summary}</summary>\n\n{shown}\n\n</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _time(moment: datetime) -> str:
    """With its zone, as the person reads a clock: 2027-03-06 00:00 GMT."""
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()
