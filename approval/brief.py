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


_MARKDOWN = re.compile(r"([\\`*_\[\]{}()#~!+|%:@=-])")
_NUMBERED = re.compile(r"^([0-9]+)\.(?= |$)")
#: What a Markdown renderer would make a link of even where it is escaped: `://`, `www.`, an address's `@`.
_LINK = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=@)", re.IGNORECASE)
_INVISIBLE = "\u200b"


def plain(text: str) -> str:
    """Any text as Markdown that shows just it, on one line: no markup, no HTML, no template, no link, no table cell.

    Prefect's UI shows numeric entities as they are written, so all but HTML's own five is escaped by a backslash.
    """
    unlinked = _LINK.sub(_INVISIBLE, " ".join(text.split()))
    escaped = html.escape(_MARKDOWN.sub(r"\\\1", unlinked), quote=False)
    return _NUMBERED.sub(r"\1\\.", escaped)


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
    """A list, not a table: the form leaves little room, and a table's rows are high and cut off at the side."""
    level = word("level_of", locale, number=brief.level, count=brief.level_count, name=plain(brief.level_name))
    quorum = plain(quorum_words(brief.quorum, brief.asked, locale, brief.veto))
    audience = "" if brief.audience_size is None else word("people", locale, count=f"{brief.audience_size:,}")
    channels = ", ".join(f"{plain(name)} {count:,}" for name, count in brief.channel_counts.items())
    window = f"{_time(brief.window_from)} → {_time(brief.window_to)}"
    lines: list[list[tuple[str, str]]] = [
        [("budget", plain(brief.budget)), ("worst_case_cost", plain(brief.worst_case_cost))],
        [("audience", audience), ("channels", channels)],
        [("window", window)],
        [("level", level), ("quorum", quorum)],
        [("due", _time(brief.due_at) if brief.due_at else "")],
        [("revision", str(brief.revision)), ("round", str(brief.round_number))],
        [("hash", _halves(brief.object_hash))],
    ]
    told = (" · ".join(f"**{word(key, locale)}** {value}" for key, value in line if value) for line in lines)
    return _list(line for line in told if line)


def _halves(digest: str) -> str:
    """In two pieces: one would be too wide for the form, which cuts it off."""
    middle = len(digest) // 2
    return f"`{digest[:middle]}` `{digest[middle:]}`"


def _changes(brief: Brief, locale: str) -> str:
    if brief.changes is None:
        return ""
    heading = f"### {word('changes', locale)}"
    if not brief.changes:
        return f"{heading}\n\n{word('none', locale)}"
    return f"{heading}\n\n" + _list(
        f"**{plain(change.label)}** {plain(change.before) or '—'} → {plain(change.after) or '—'}"
        for change in brief.changes
    )


def _offers(brief: Brief, locale: str) -> str:
    if not brief.offers:
        return ""
    return f"### {word('offers', locale)}\n\n" + _list(_offer_line(offer, locale) for offer in brief.offers)


def _offer_line(offer: OfferLine, locale: str) -> str:
    limit = f"{word('limit', locale)} {plain(offer.limit)}" if offer.limit else ""
    facts = (f"({plain(offer.key)})", plain(offer.kind), plain(offer.terms), limit)
    return f"**{plain(offer.name)}** " + " · ".join(fact for fact in facts if fact)


def _exclusions(brief: Brief, locale: str) -> str:
    if not brief.exclusions:
        return ""
    return f"### {word('exclusions', locale)}\n\n" + _list(
        word("not_together", locale, first=plain(first), second=plain(second)) for first, second in brief.exclusions
    )


def _earlier(brief: Brief, locale: str) -> str:
    if not brief.earlier:
        return ""
    return f"### {word('earlier', locale)}\n\n" + _list(_earlier_line(decision, locale) for decision in brief.earlier)


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
    return line + (f" — {plain(decision.comment)}" if decision.comment.strip() else "")


def _preview(channel: str, text: str, locale: str) -> str:
    """Each line a paragraph of a quotation: Prefect's UI shows HTML, and line breaks within a paragraph, badly."""
    shown = "\n>\n".join(f"> {plain(line)}" for line in text.splitlines() if line.strip())
    return f"### {word('preview', locale)} · {plain(channel)}\n\n{shown}"


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _time(moment: datetime) -> str:
    """With its zone, as the person reads a clock: 2027-03-06 00:00 GMT."""
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()
