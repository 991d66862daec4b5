"""Codes of coupons: made before the theme is launched, one for each person or one for all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from approval.service.record import Act, write_down
from models.offer import CodePool
from models.queries import codes as rows
from models.queries.codes import Pool
from models.theme import Theme
from offers import code as codes
from offers.code_file import CodeLine
from offers.code_refusal import (
    CodesOfTheOtherSort,
    CodeSpaceFull,
    CodesUnfit,
    CouponUnknown,
    FileWithoutCodes,
    NoCodes,
    SharedCodeTaken,
    SharedCodeUnfit,
)
from offers.preset import ClaimWay, CodesFor, OfferKind
from offers.presets import Catalogue
from offers.service.presets import catalogue_of
from themes.service.finding import require_theme

__all__ = ["CodeState", "Exported", "Loaded", "Pool", "export", "generate", "load", "pools", "share"]

_AT_ONCE = 1_000_000  # codes drawn and copied together: some tens of megabytes


class CodeState(StrEnum):
    FREE = "free"
    RESERVED = "reserved"  # a message carries it to its recipient
    CLAIMED = "claimed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    text: str
    state: CodeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    pool: Pool
    loaded: int
    left_out: int  # somebody has them, says the file


def generate(session: Session, *, theme_key: str, offer: str, count: int, by: str, now: datetime) -> Pool:
    """Make so many more codes for a coupon, each for one person.

    Raises:
        ThemeUnknown, CouponUnknown
        CodesOfTheOtherSort: the coupon has one code for all.
        CodeSpaceFull
    """
    theme, pool = _for_single_persons(session, theme_key, offer)
    _require_room(session, count)
    left = count
    while left:  # again where chance drew a number twice, or one that is there
        left -= rows.store(session, pool.id, codes.draw(min(left, _AT_ONCE)))
    rows.count_generated(session, pool.id, count)
    _write_down(session, "generate_codes", theme, offer, by=by, now=now, count=count)
    return _one(session, theme, offer)


def load(session: Session, *, theme_key: str, offer: str, lines: Iterable[CodeLine], by: str, now: datetime) -> Loaded:
    """Take codes that were made elsewhere, each for one person: all that are nobody's, or none.

    They are of the same form as ours, for a code tells by itself whether it was typed right.

    Raises:
        ThemeUnknown, CouponUnknown, CodesOfTheOtherSort, CodeSpaceFull
        CodesUnfit: with every line that is no code, or one that is there already.
        FileWithoutCodes
    """
    theme, pool = _for_single_persons(session, theme_key, offer)
    loaded, left_out, problems = 0, 0, list[tuple[int, str]]()
    for part in _in_parts(lines):
        lines_of = dict(_numbers(part, problems))
        left_out += sum(not one.free for one in part)
        _require_room(session, len(lines_of))
        problems += _store(session, pool.id, lines_of)
        rows.count_generated(session, pool.id, len(lines_of))
        loaded += len(lines_of)
    if problems:
        raise CodesUnfit(problems=sorted(problems))
    if not loaded:
        raise FileWithoutCodes(left_out=left_out)
    _write_down(session, "load_codes", theme, offer, by=by, now=now, count=loaded)
    return Loaded(pool=_one(session, theme, offer), loaded=loaded, left_out=left_out)


def share(session: Session, *, theme_key: str, offer: str, code: str, by: str, now: datetime) -> Pool:
    """Let all customers claim a coupon with one code. Another one than before takes the place of that.

    Raises:
        ThemeUnknown, CouponUnknown, SharedCodeUnfit
        CodesOfTheOtherSort: the coupon has a code for each person.
        SharedCodeTaken: it is the code of another coupon.
    """
    theme = _theme_with_coupon(session, theme_key, offer, shared=True)
    text = codes.fit_to_share(code)
    if text is None:
        raise SharedCodeUnfit(offer=offer)
    pool = rows.pool(session, theme=theme, offer=offer)
    if pool.generated:
        raise CodesOfTheOtherSort(offer=offer, shared=False)
    taken = rows.sharer(session, product_line_id=theme.product_line_id, folded=codes.folded(text))
    if taken is not None and taken.pool_id != pool.id:
        raise SharedCodeTaken(offer=offer, theme=taken.theme, by=taken.offer)
    pool.shared = text
    session.flush()
    _write_down(session, "share_code", theme, offer, by=by, now=now)
    return _one(session, theme, offer)


def pools(session: Session, theme_key: str) -> Sequence[Pool]:
    """The codes of a theme's coupons, by offer.

    Raises:
        ThemeUnknown
    """
    return rows.pools(session, theme_id=require_theme(session, theme_key).id)


def export(session: Session, *, theme_key: str, offer: str) -> Iterator[Exported]:
    """Every code of a coupon as people read it, however many there are.

    Raises:
        ThemeUnknown, NoCodes
    """
    theme = require_theme(session, theme_key)
    pool = rows.find_pool(session, theme_id=theme.id, offer=offer)
    if pool is None or not pool.generated:
        having = [one.offer for one in rows.pools(session, theme_id=theme.id) if one.generated]
        raise NoCodes(theme=theme_key, offer=offer, known=having)
    return (Exported(text=codes.written(one.number), state=_state(one)) for one in rows.all_of(session, pool.id))


def _state(written: rows.Written) -> CodeState:
    if written.claimed:
        return CodeState.CLAIMED
    return CodeState.RESERVED if written.reserved else CodeState.FREE


def _in_parts(lines: Iterable[CodeLine]) -> Iterator[Sequence[CodeLine]]:
    rest = iter(lines)
    while part := list(islice(rest, _AT_ONCE)):
        yield part


def _numbers(part: Sequence[CodeLine], problems: list[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    """Each number of a part once, with its line; what is wrong is added to the problems."""
    seen = dict[int, int]()
    for one in part:
        number = codes.number_of(one.typed) if one.free else None
        if number is not None and seen.setdefault(number, one.line) == one.line:
            yield number, one.line
        elif one.free:
            problems.append((one.line, "is no code" if number is None else f"has the code of line {seen[number]}"))


def _store(session: Session, pool_id: int, lines_of: Mapping[int, int]) -> Iterator[tuple[int, str]]:
    """Put them among the codes, and say of those that are among them already where they stand in the file."""
    left = set(lines_of)
    while left and not rows.store(session, pool_id, [sorted(left)]):
        there = rows.there(session, left)
        yield from ((lines_of[number], "has a code that is there already") for number in there)
        left -= set(there)


def _for_single_persons(session: Session, theme_key: str, offer: str) -> tuple[Theme, CodePool]:
    theme = _theme_with_coupon(session, theme_key, offer, shared=False)
    pool = rows.pool(session, theme=theme, offer=offer)
    if pool.shared is not None:
        raise CodesOfTheOtherSort(offer=offer, shared=True)
    return theme, pool


def _theme_with_coupon(session: Session, theme_key: str, offer: str, *, shared: bool) -> Theme:
    theme = require_theme(session, theme_key)
    offers = theme.draft["offers"]
    ways = dict(_claimed(offers, catalogue_of(session)))
    if offer not in ways:
        raise CouponUnknown(theme=theme_key, offer=offer, known=list(ways))
    by_code = ways[offer] is ClaimWay.CODE
    for_all = offers[offer]["parameters"]["codes"] == CodesFor.SHARED if by_code else shared
    if for_all is not shared:
        raise CodesOfTheOtherSort(offer=offer, shared=for_all)
    return theme


def _claimed(offers: Mapping[str, Any], catalogue: Catalogue) -> Iterator[tuple[str, ClaimWay]]:
    """The coupons of a draft that somebody claims, and how: what comes after an order is not claimed."""
    for name, values in offers.items():
        preset = catalogue.of(values["preset"], values["preset_version"])
        if values["kind"] == OfferKind.COUPON and preset is not None and preset.claim.by is not ClaimWay.ORDER:
            yield name, preset.claim.by


def _require_room(session: Session, count: int) -> None:
    filled = rows.filled(session)
    if not codes.has_room(filled, count):
        raise CodeSpaceFull(asked=count, filled=filled, most=codes.MOST_FILLED)


def _one(session: Session, theme: Theme, offer: str) -> Pool:
    (found,) = (one for one in rows.pools(session, theme_id=theme.id) if one.offer == offer)
    return found


def _write_down(
    session: Session, act: str, theme: Theme, offer: str, *, by: str, now: datetime, **details: object
) -> None:
    done = Act(act=act, actor=by, object_kind="coupon", object_key=offer, theme_key=theme.key, details=details)
    write_down(session, done, now=now)
