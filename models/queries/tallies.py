"""How many deliveries are in which state: summed from the tallies that the database itself keeps."""

from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, ScalarSelect, func, select, text
from sqlalchemy.orm import Session

from channels.states import DeliveryState, ErrorClass
from models.delivery import Distribution, Tally

_FOLD = text("""
    WITH many AS (
        SELECT distribution_id FROM tallies GROUP BY distribution_id HAVING count(*) > :most
    ), gone AS (
        DELETE FROM tallies t USING many WHERE t.distribution_id = many.distribution_id
        RETURNING t.distribution_id, t.state, t.error_class, t.count
    )
    INSERT INTO tallies (distribution_id, state, error_class, count)
    SELECT distribution_id, state, error_class, sum(count) FROM gone
    GROUP BY distribution_id, state, error_class HAVING sum(count) <> 0
""")


def counts(session: Session, distribution_id: int) -> dict[tuple[DeliveryState, ErrorClass | None], int]:
    total = func.sum(Tally.count)
    query = (
        select(Tally.state, Tally.error_class, total)
        .where(Tally.distribution_id == distribution_id)
        .group_by(Tally.state, Tally.error_class)
        .having(total != 0)
    )
    return {(state, error): int(count) for state, error, count in session.execute(query)}


def by_state(counted: Mapping[tuple[DeliveryState, ErrorClass | None], int]) -> dict[DeliveryState, int]:
    states: dict[DeliveryState, int] = {}
    for (state, _), count in counted.items():
        states[state] = states.get(state, 0) + count
    return states


def of(session: Session, distribution_id: int, *states: DeliveryState) -> int:
    """Rows of a distribution that are in one of these states."""
    total = func.coalesce(func.sum(Tally.count), 0)
    query = select(total).where(Tally.distribution_id == distribution_id, Tally.state.in_(states))
    return int(session.scalars(query).one())


def any_in(states: Collection[DeliveryState]) -> ColumnElement[bool]:
    """As a condition on distributions: some row is in one of these states."""
    total: ScalarSelect[int] = (
        select(func.coalesce(func.sum(Tally.count), 0))
        .where(Tally.distribution_id == Distribution.id, Tally.state.in_(states))
        .correlate(Distribution)
        .scalar_subquery()
    )
    return total > 0


def fold(session: Session, *, most: int = 1_000) -> None:
    """Add up the tallies of distributions that have gathered more than `most`; the sums stay what they are."""
    session.execute(_FOLD, {"most": most})
