"""What an approver needs to know to decide, as Markdown on one screen. Whatever a marketer wrote in it stays text.

Values of the brief come formatted (money with its currency, terms of an offer); times come with the theme's zone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from approval.markdown import bullets, plain, quotation, shortened
from approval.quorum import Quorum
from approval.states import DecisionKind, ObjectKind, TaskKind
from approval.wording import decision_word, field_word, object_word, quorum_words, word

#: How much of one value, comment or message is shown: the rest is where the links lead, and in the record.
LONGEST_VALUE, LONGEST_COMMENT, LONGEST_EXCERPT = 400, 600, 160
MOST_EARLIER = 12
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferLine:
    """`details`: label and value of whatever else is to be said of it."""

    key: str
    name: str
    kind: str
    terms: str
    limit: str = ""
    worst_case_cost: str = ""
    details: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierDecision:
    name: str
    round_number: int
    level: str
    kind: DecisionKind
    at: datetime
    comment: str = ""
    task_kind: TaskKind = TaskKind.DECISION
    on_behalf_of: str = ""  # name of the owner of the seat
    about: str = ""  # the offer; "" where it is the object of this brief
    void_because: str | None = None  # "" where it is void and no reason is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs from what this person saw last; "" where there was or is nothing."""

    label: str
    before: str
    after: str
    of_object: bool = True  # of the object asked about; otherwise elsewhere in its theme


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    first: str
    second: str
    news: str = ""  # "added" or "removed" since her last look


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Of one channel: a link to the whole, and how it begins."""

    channel: str
    link: str = ""
    excerpt: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Why just this person is asked. Names; "" where it is not so."""

    on_behalf_of: str = ""
    escalated_from: str = ""
    added_by: str = ""
    fallback: bool = False
    adviser_of: str = ""
    advice_wanted: str = ""  # the question that goes with it


@dataclass(frozen=True, slots=True, kw_only=True)
class LowestPrice:
    """The product on which most is taken off, its price in the list and under these offers."""

    product: str
    listed: str
    price: str
    offers: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Amounts with their currency; "" or None: not known."""

    budget: str
    worst_case_cost: str = ""
    deepest_discount: Decimal | None = None  # share of the price
    worst_margin: Decimal | None = None
    lowest: LowestPrice | None = None


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
    money: Money
    seat: Seat = field(default_factory=Seat)
    veto: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()  # added, who have to agree beside the quorum
    return_to: tuple[str, ...] = ()  # names of the levels that were signed
    due_at: datetime | None = None
    audience_size: int | None = None
    channel_counts: Mapping[str, int] = field(default_factory=dict)  # by channel
    offers: Sequence[OfferLine] = ()
    exclusions: Sequence[Exclusion] = ()
    changes: Sequence[Change] | None = None  # None: this person sees it for the first time
    earlier: Sequence[EarlierDecision] = ()  # oldest first
    previews: Sequence[Preview] = ()
    asked_again_because: str = ""


def write_brief(brief: Brief, locale: str = "en") -> str:
    """The whole brief, in the order in which it is needed: why again, what, money and reach, changes, who said what."""
    blocks = (
        _asked_again(brief, locale),
        _question(brief, locale),
        *_seat(brief.seat, locale),
        _figures(brief, locale),
        *_changes(brief, locale),
        _exclusions(brief, locale),
        _offers(brief, locale),
        _earlier(brief, locale),
        _previews(brief, locale),
    )
    return "\n\n".join(block for block in blocks if block) + "\n"


def in_field(brief: str, hint: str = "") -> str:
    """The brief as the description of a form's field, above the hint that belongs there.

    Prefect's UI takes one line end of each run of them away there, to unwrap what was wrapped in code.
    """
    whole = "\n\n".join(part for part in (brief.strip(), "---" if hint else "", hint) if part)
    return re.sub(r"\n+", lambda run: run[0] + "\n", whole)


def _asked_again(brief: Brief, locale: str) -> str:
    because = brief.asked_again_because
    return f"**{word('asked_again', locale)}: {plain(because)}**" if because else ""


def _question(brief: Brief, locale: str) -> str:
    subject = f"{object_word(brief.object_kind, locale)} **{plain(brief.object_title)}**"
    name, asker = plain(brief.name), plain(brief.seat.adviser_of)
    key = "advice_question" if asker else "question"
    question = word(key, locale, object=subject, name=name, asker=asker)
    if brief.object_kind is not ObjectKind.THEME:
        question += f" ({word('of_theme', locale, theme=plain(brief.theme_title))})"
    return question


def _seat(seat: Seat, locale: str) -> list[str]:
    told = (("escalated", seat.escalated_from), ("on_behalf_of", seat.on_behalf_of), ("added_by", seat.added_by))
    lines = [f"**{word(key, locale, name=plain(name))}**" for key, name in told if name]
    if seat.fallback:
        lines.append(f"**{word('fallback', locale)}**")
    return [*lines, quotation(seat.advice_wanted)]


def _figures(brief: Brief, locale: str) -> str:
    """A list, not a table: the form leaves little room, and a table's rows are high and cut off at the side."""
    level = word("level_of", locale, number=brief.level, count=brief.level_count, name=plain(brief.level_name))
    quorum = plain(quorum_words(brief.quorum, brief.asked, locale, brief.veto, brief.signers))
    audience = "" if brief.audience_size is None else word("people", locale, count=f"{brief.audience_size:,}")
    channels = ", ".join(f"{field_word(name, locale)} {count:,}" for name, count in brief.channel_counts.items())
    lines: list[list[tuple[str, str]]] = [
        *_money(brief, locale),
        [("audience", audience), ("channels", channels)],
        [("window", f"{_time(brief.window_from)} → {_time(brief.window_to)}")],
        [("level", level), ("quorum", quorum)],
        [("return_to", _return_to(brief, locale))],
        [("due", _time(brief.due_at) if brief.due_at else "")],
        [("revision", str(brief.revision)), ("round", str(brief.round_number))],
        [("hash", _halves(brief.object_hash))],
    ]
    told = (" · ".join(f"**{word(key, locale)}** {value}" for key, value in line if value) for line in lines)
    return bullets(line for line in told if line)


def _money(brief: Brief, locale: str) -> list[list[tuple[str, str]]]:
    money, unknown = brief.money, word("not_known", locale)
    depth = "" if money.deepest_discount is None else _percent(money.deepest_discount, ROUND_CEILING)
    margin = "" if money.worst_margin is None else _percent(money.worst_margin, ROUND_FLOOR)
    budget = "budget" if brief.object_kind is ObjectKind.THEME else "theme_budget"
    return [
        [(budget, plain(money.budget)), ("worst_case_cost", plain(money.worst_case_cost) or unknown)],
        [
            ("deepest_discount", word("up_to", locale, share=depth) if depth else unknown),
            ("worst_margin", margin or unknown),
        ],
        [("lowest_price", _lowest(money.lowest, locale) if money.lowest else "")],
    ]


def _lowest(lowest: LowestPrice, locale: str) -> str:
    values = {"price": lowest.price, "listed": lowest.listed, "product": plain(lowest.product)}
    return word("lowest_of", locale, offers=", ".join(map(plain, lowest.offers)), **values)


def _return_to(brief: Brief, locale: str) -> str:
    """Of advice nothing comes that could send it back."""
    if not brief.return_to or brief.seat.adviser_of:
        return ""
    return ", ".join([*(plain(name) for name in brief.return_to), word("drafter", locale)])


def _percent(share: Decimal, rounding: str) -> str:
    """On the side of caution: what is shown is never better than what it may come to."""
    return f"{(share * 100).quantize(_HUNDREDTH, rounding).normalize():f} %"


def _halves(digest: str) -> str:
    """In two pieces: one would be too wide for the form, which cuts it off."""
    middle = len(digest) // 2
    return f"`{digest[:middle]}` `{digest[middle:]}`"


def _section(title: str, body: str) -> str:
    return f"**{title}**\n\n{body}" if body else ""


def _changes(brief: Brief, locale: str) -> list[str]:
    """Of an offer its own changes come first."""
    if brief.changes is None:
        return [word("first_look", locale)]
    own = [_change(change) for change in brief.changes if change.of_object]
    elsewhere = [_change(change) for change in brief.changes if not change.of_object]
    title = "changes" if brief.object_kind is ObjectKind.THEME else "changes_of_offer"
    return [
        _section(word(title, locale), bullets(own) or word("none", locale)),
        _section(word("changes_elsewhere", locale), bullets(elsewhere)),
    ]


def _change(change: Change) -> str:
    before, after = (plain(shortened(value, LONGEST_VALUE)) or "—" for value in (change.before, change.after))
    return f"**{plain(change.label)}** {before} → {after}"


def _offers(brief: Brief, locale: str) -> str:
    if brief.object_kind is not ObjectKind.THEME and len(brief.offers) == 1:
        return _section(word("terms", locale), _terms(brief.offers[0]))
    return _section(word("offers", locale), bullets(_offer_line(offer, locale) for offer in brief.offers))


def _offer_line(offer: OfferLine, locale: str) -> str:
    limit = f"{word('limit', locale)} {plain(offer.limit)}" if offer.limit else ""
    cost = word("costs_at_most", locale, amount=plain(offer.worst_case_cost)) if offer.worst_case_cost else ""
    facts = (f"({plain(offer.key)})", plain(offer.kind), plain(offer.terms), limit, cost)
    return f"**{plain(offer.name)}** " + " · ".join(fact for fact in facts if fact)


def _terms(offer: OfferLine) -> str:
    first = f"**{plain(offer.kind)}** {plain(offer.terms)}"
    return bullets([first, *(f"**{plain(label)}** {plain(value)}" for label, value in offer.details)])


def _exclusions(brief: Brief, locale: str) -> str:
    return _section(
        word("exclusions", locale), bullets(_exclusion(exclusion, locale) for exclusion in brief.exclusions)
    )


def _exclusion(exclusion: Exclusion, locale: str) -> str:
    pair = word("not_together", locale, first=plain(exclusion.first), second=plain(exclusion.second))
    return f"{pair} — **{word(exclusion.news, locale)}**" if exclusion.news else pair


def _earlier(brief: Brief, locale: str) -> str:
    """The newest first: they are what the answer has to go by."""
    newest = list(reversed(brief.earlier))
    lines = [_earlier_line(decision, locale) for decision in newest[:MOST_EARLIER]]
    if len(newest) > MOST_EARLIER:
        lines.append(word("earlier_more", locale, count=len(newest) - MOST_EARLIER))
    return _section(word("earlier", locale), bullets(lines))


def _earlier_line(decision: EarlierDecision, locale: str) -> str:
    where = [plain(decision.about)] if decision.about else []
    line = word(
        "earlier_line",
        locale,
        name=plain(decision.name),
        hand=word("for", locale, name=plain(decision.on_behalf_of)) if decision.on_behalf_of else "",
        round=decision.round_number,
        level=" · ".join([*where, plain(decision.level)]),
        decision=decision_word(decision.kind, locale, task_kind=decision.task_kind),
        at=_time(decision.at),
    )
    if decision.comment.strip():
        line += f" — {plain(shortened(decision.comment, LONGEST_COMMENT))}"
    if decision.void_because is None:
        return line
    return f"{line} **({word('void', locale, because=plain(decision.void_because) or '—')})**"


def _previews(brief: Brief, locale: str) -> str:
    return _section(word("preview", locale), bullets(_preview(preview, locale) for preview in brief.previews))


def _preview(preview: Preview, locale: str) -> str:
    """Name and link are made by us: in a link Prefect's UI would show what an escape consists of."""
    name = field_word(preview.channel, locale)
    linked = f"[{name}]({preview.link})" if preview.link else name
    if preview.failure:
        return f"{linked} {word('not_possible', locale, because=plain(preview.failure))}"
    return f"{linked} {plain(shortened(preview.excerpt, LONGEST_EXCERPT))}"


def _time(moment: datetime) -> str:
    """With its zone, as the person reads a clock: 2027-03-06 00:00 GMT."""
    return f"{moment:%Y-%m-%d %H:%M} {moment.tzname() or ''}".strip()
