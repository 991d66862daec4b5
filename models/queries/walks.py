"""Fresh rows of a distribution in their order: handed out from where the walk stands, which only moves on.

The walk is a short cut and decides nothing: what was left behind it is told by the tally of planned rows, and found.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from channels.states import DeliveryState
from models.queries import tallies


def fresh(condition: str = "true") -> str:
    """SQL: fresh rows from where the walk stands, locked, as `fresh`; and the walk moved on behind them.

    They come with id, seq, customer_id and address, and are to be changed by their id: of a distribution that the
    statistics do not know yet, PostgreSQL would rather go through every row than look one up by its number. Whoever
    else walks waits here for the end of this transaction. Nothing is taken unless `condition` holds. The statement has
    to begin with `access_paths.IN_ORDER`.
    """
    return f"""
        at AS (SELECT next_seq FROM walks WHERE distribution_id = :distribution_id FOR UPDATE),
        fresh AS (
            SELECT dl.id, dl.seq, dl.customer_id, dl.address FROM deliveries dl
            WHERE dl.distribution_id = :distribution_id AND dl.seq >= (SELECT next_seq FROM at) AND dl.state = 'planned'
              AND {condition}
            ORDER BY dl.seq LIMIT :limit
            FOR UPDATE OF dl SKIP LOCKED
        ), walked AS (
            UPDATE walks SET next_seq = (SELECT max(seq) + 1 FROM fresh)
            WHERE distribution_id = :distribution_id AND EXISTS (SELECT FROM fresh)
        )
    """  # noqa: S608 - put together from constants of the callers


_BACK_TO = text("""
    UPDATE walks SET next_seq = :seq WHERE distribution_id = :distribution_id AND next_seq > :seq
""")
_LEFT_BEHIND = text("""
    SELECT min(seq) FROM deliveries WHERE distribution_id = :distribution_id AND state = 'planned'
""")


def back_to(session: Session, *, distribution_id: int, seq: int) -> None:
    """Let the walk pass a row again that became fresh again."""
    session.execute(_BACK_TO, {"distribution_id": distribution_id, "seq": seq})


def back_to_left_behind(session: Session, *, distribution_id: int) -> bool:
    """Go back to the first fresh row that the walk has passed; False when there is none at all."""
    if not tallies.of(session, distribution_id, DeliveryState.PLANNED):
        return False
    first = session.scalar(_LEFT_BEHIND, {"distribution_id": distribution_id})
    if first is None:
        return False
    back_to(session, distribution_id=distribution_id, seq=first)
    return True
