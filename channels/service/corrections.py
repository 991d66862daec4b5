"""Planning corrections: to whom a theme that was taken down had come, in chunks, each a transaction of its own.

As with the plan of a theme, it may be begun, broken off and begun again at any time, by any number of processes.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from channels.receipts import GIVEN_UP_AFTER
from channels.service.errors import DistributionClosed, DistributionUnknown
from models.database import Database
from models.delivery import Distribution, DistributionState
from models.queries import corrections, distributions
from models.theme import Theme
from themes.revocation import TAKEN_DOWN

#: So often everybody is looked at again, for as long as receipts may still show somebody reached.
CHECK_EVERY = timedelta(hours=6)


def plan_corrections(database: Database, *, now: datetime, check_every: timedelta = CHECK_EVERY) -> Mapping[int, int]:
    """Plan the corrections that are not planned yet, and those that lack rows; distribution -> rows made.

    Also of themes that were taken down long ago: a receipt may show late that somebody had been reached after all.
    """
    with database.begin() as session:
        lacking = corrections.lacking_rows(
            session, complete_since=now - check_every, taken_down_since=now - GIVEN_UP_AFTER
        )
    return {one: plan_correction(database, distribution_id=one, now=now) for one in lacking}


def plan_correction(database: Database, *, distribution_id: int, now: datetime) -> int:
    """Give whoever was reached, or may have been, a correction, unless there is one; returns how many are new.

    Raises:
        DistributionUnknown
        DistributionClosed: the theme is not taken down (any more).
    """
    with database.begin() as session:
        correction, _ = _opened(session, distribution_id)
        # Counted before anybody is looked at: who is reached meanwhile is lacking, and looked for again.
        reached, sources = corrections.count_reached(session, correction), corrections.sources(session, correction)
    new = sum(_plan_source(database, distribution_id, source, now) for source in sources)
    with database.begin() as session:
        correction, _ = _opened(session, distribution_id)
        corrections.note_complete(session, correction=correction, reached=reached, now=now)
        _let_go_on(correction, new, now)
    return new


def _plan_source(database: Database, distribution_id: int, source: int, now: datetime) -> int:
    new, after = 0, 0
    while True:
        with database.begin() as session:
            correction, theme = _opened(session, distribution_id)
            part = corrections.next_part(session, distribution_id=source, after=after)
            if part is None:
                return new
            line = theme.product_line_id
            new += corrections.insert_missing(session, correction=correction, part=part, product_line_id=line, now=now)
            after = part.upto


def _let_go_on(correction: Distribution, new: int, now: datetime) -> None:
    if correction.state is DistributionState.PLANNING or (correction.state is DistributionState.COMPLETE and new):
        correction.state, correction.completed_at = DistributionState.SENDING, None
    correction.planned_at = correction.planned_at or now


def _opened(session: Session, distribution_id: int) -> tuple[Distribution, Theme]:
    found = distributions.lock(session, distribution_id)
    if found is None:
        raise DistributionUnknown(distribution_id)
    if found[1].state not in TAKEN_DOWN:
        raise DistributionClosed(distribution_id=distribution_id, because=f"the theme is {found[1].state}")
    return found
