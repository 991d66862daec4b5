# ruff: noqa: S608 - every statement here is put together from constants of this module
"""Pairs of offers that may not take effect together, and the offers that one may meet."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.queries.arrays import plain_array, text_array
from models.theme import Revision, Theme
from themes.lifecycle import ThemeState

_EXISTING = text("""
    SELECT t.id, t.key, named.offer
    FROM unnest(CAST(:keys AS text[]), CAST(:offers AS text[])) AS named(key, offer)
    JOIN themes t ON t.key = named.key
    JOIN product_lines l ON l.id = t.product_line_id
    WHERE l.key = :product_line AND t.draft -> 'offers' -> named.offer IS NOT NULL
    ORDER BY t.key, named.offer
""")

_OF_THEME = text("""
    SELECT e.one_offer AS own, t.key AS theme, e.other_offer AS other, e.by_one AS by_own, e.by_other AS by_other
    FROM exclusions e JOIN themes t ON t.id = e.other_theme_id WHERE e.one_theme_id = :theme_id
    UNION ALL
    SELECT e.other_offer, t.key, e.one_offer, e.by_other, e.by_one
    FROM exclusions e JOIN themes t ON t.id = e.one_theme_id WHERE e.other_theme_id = :theme_id
    ORDER BY 1, 2, 3
""")

# Held before any of them is changed: of two themes that drop a pair at the same time the later one finds it dropped by
# the other, and takes it away.
_HOLD = text("""
    SELECT 1 FROM exclusions WHERE :theme_id IN (one_theme_id, other_theme_id)
    ORDER BY one_theme_id, one_offer, other_theme_id, other_offer FOR UPDATE
""")
_NAMED = """
    SELECT * FROM unnest(CAST(:owns AS text[]), CAST(:themes AS int[]), CAST(:others AS text[]))
        AS named(own, theme_id, other)
"""
_NAME = text(f"""
    INSERT INTO exclusions (one_theme_id, one_offer, other_theme_id, other_offer, by_one, by_other)
    SELECT least(:theme_id, theme_id), CASE WHEN :theme_id < theme_id THEN own ELSE other END,
           greatest(:theme_id, theme_id), CASE WHEN :theme_id < theme_id THEN other ELSE own END,
           :theme_id < theme_id, :theme_id > theme_id
    FROM ({_NAMED}) AS named WHERE theme_id <> :theme_id ORDER BY 1, 2, 3, 4
    ON CONFLICT (one_theme_id, one_offer, other_theme_id, other_offer)
    DO UPDATE SET by_one = exclusions.by_one OR excluded.by_one, by_other = exclusions.by_other OR excluded.by_other
""")
_SIDES = (("one", "other"), ("other", "one"))


def _dropped(own: str, other: str) -> str:
    return f"""
        e.{own}_theme_id = :theme_id AND e.by_{own} AND NOT EXISTS (
            SELECT FROM ({_NAMED}) AS named
            WHERE (named.own, named.theme_id, named.other) = (e.{own}_offer, e.{other}_theme_id, e.{other}_offer)
        )
    """


_DROP = [
    statement
    for own, other in _SIDES
    for statement in (
        text(f"UPDATE exclusions e SET by_{own} = false WHERE {_dropped(own, other)} AND e.by_{other}"),
        text(f"DELETE FROM exclusions e WHERE {_dropped(own, other)}"),
    )
]


@dataclass(frozen=True, slots=True)
class ExistingOffer:
    theme_id: int
    theme: str
    offer: str


@dataclass(frozen=True, slots=True)
class Pair:
    """An offer of a theme, and one of another that it may not take effect beside."""

    own: str
    theme: str
    other: str
    by_own: bool = field(kw_only=True)  # whether the theme's own file names the pair
    by_other: bool = field(kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class OffersOf:
    """The offers of a theme, as the content that it stands on has them."""

    theme_id: int
    theme: str
    title: str
    state: ThemeState
    offers: Mapping[str, Any]


def existing(session: Session, names: Iterable[tuple[str, str]], *, product_line: str) -> Sequence[ExistingOffer]:
    """Of offers named by theme and id those that there are in a product line."""
    pairs = sorted(names)
    values = {"keys": text_array(key for key, _ in pairs), "offers": text_array(offer for _, offer in pairs)}
    rows = session.execute(_EXISTING, {**values, "product_line": product_line})
    return [ExistingOffer(*row) for row in rows]


def pairs_of(session: Session, theme_id: int) -> Sequence[Pair]:
    rows = session.execute(_OF_THEME, {"theme_id": theme_id}).mappings()
    return [Pair(**row) for row in rows]


def keep_pairs(session: Session, *, theme_id: int, named: Collection[tuple[str, ExistingOffer]]) -> bool:
    """Let a theme's file name just these, each an own offer and one elsewhere; what the other side names stays.

    Returns whether there is, or was, any.
    """
    values = {
        "theme_id": theme_id,
        "owns": text_array(own for own, _ in named),
        "themes": plain_array(other.theme_id for _, other in named),
        "others": text_array(other.offer for _, other in named),
    }
    held = session.execute(_HOLD, values).all()
    if named:
        session.execute(_NAME, values)
    for statement in _DROP:
        session.execute(statement, values)
    return bool(held or named)


def offers_in(
    session: Session, *, product_line_id: int, states: Collection[ThemeState], but: int
) -> Sequence[OffersOf]:
    """The offers of all themes of a product line in some states, but for one theme."""
    content = func.coalesce(Revision.content, Theme.draft)["offers"]
    query = (
        select(Theme.id, Theme.key, Theme.title, Theme.state, content)
        .outerjoin(Revision, Revision.id == Theme.revision_id)
        .where(Theme.product_line_id == product_line_id, Theme.state.in_(states), Theme.id != but)
        .order_by(Theme.key)
    )
    return [
        OffersOf(theme_id=row[0], theme=row[1], title=row[2], state=row[3], offers=row[4] or {})
        for row in session.execute(query)
    ]
