"""Codes that messages carry: which ones a distribution needs, and what becomes of those whose message never arrives."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from channels.states import Purpose
from models.delivery import Distribution
from models.queries import codes_reserved, takedowns, themes
from themes.correction import load_correction
from themes.revision import load
from themes.variables import codes_named

#: Of a theme with more messages its codes are not looked at with every sweep: a million takes about a second.
ROWS_A_SWEEP = 100_000
SWEPT_EVERY_SECONDS = 30


def coupons_of(session: Session, distribution: Distribution) -> Sequence[str]:
    """The coupons of which every recipient of a distribution has a code."""
    theme = load(themes.revision_by_id(session, distribution.revision_id).content)
    if distribution.purpose is Purpose.CORRECTION:
        found = takedowns.of_theme(session, distribution.theme_id)
        correction = None if found is None else found[0].correction
        return (
            () if correction is None else codes_named(load_correction(correction).said_by(theme), distribution.channel)
        )
    return codes_named(theme, distribution.channel)


def give_back_codes(session: Session, *, now: datetime, at_once: Collection[int] = ()) -> int:
    """Of themes that are or just were under way, free the codes that reach nobody; returns how many.

    Of the larger ones, all of whose rows are read for it, in their turns; of those that `at_once` names in any case.
    """
    found = codes_reserved.themes_to_look_at(session, now=now)
    looked_at = [theme_id for theme_id, rows in found.items() if theme_id in at_once or has_turn(theme_id, rows, now)]
    return sum(codes_reserved.give_back(session, theme_id=theme_id) for theme_id in looked_at)


def has_turn(theme_id: int, rows: int, now: datetime) -> bool:
    """One of so many sweeps as it has times ROWS_A_SWEEP, and not all themes at the same."""
    every = rows // ROWS_A_SWEEP + 1
    return (int(now.timestamp()) // SWEPT_EVERY_SECONDS + theme_id) % every == 0
