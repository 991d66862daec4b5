# ruff: noqa: S608 - every statement here is put together from constants of this module
"""Codes that messages carry: reserved for recipients when they are planned, given back when none of hers will arrive.

Whoever reserves or gives back holds the pools first, so that of one theme one chunk, retry or look comes after another.
A row that was planned is seen by whoever gives back, and a code that was given back by whoever plans.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select, text, true
from sqlalchemy.orm import Session

from channels.states import FINAL_STATES, REACHED_STATES
from models.delivery import Distribution, Tally
from models.offer import Code, CodePool
from models.queries import tallies
from models.queries.access_paths import BY_ARRAY
from models.queries.arrays import plain_array, text_array
from models.theme import Theme
from themes.lifecycle import ThemeState

#: A message of theirs neither is nor will be sent.
LOST_STATES = FINAL_STATES - REACHED_STATES
#: For so long after a theme was over codes of its last messages are given back.
GIVEN_BACK_FOR = timedelta(days=1)
_UNDER_WAY = (ThemeState.LIVE, ThemeState.PAUSED, ThemeState.REVOKING)

_POOLS = text("""
    SELECT id, offer, shared IS NOT NULL AS shared FROM code_pools
    WHERE theme_id = :theme_id AND offer = ANY(CAST(:coupons AS text[]))
""")
_HOLD = text("SELECT FROM code_pools WHERE id = ANY(CAST(:ids AS int[])) ORDER BY id FOR NO KEY UPDATE")

# For what follows in the transaction.
_AS_BEFORE = text("SET LOCAL enable_nestloop = on")

# Whoever has one keeps it. The others have the first free ones, as far as they go; one that is just being claimed is
# passed over. Paired by place and not by a join, for which the statistics know too little of either side.
_RESERVE = text(f"""{BY_ARRAY}
    WITH lacking AS MATERIALIZED (
        SELECT array_agg(asked.id ORDER BY asked.id) AS ids FROM unnest(CAST(:customers AS int[])) AS asked(id)
        WHERE NOT EXISTS (SELECT FROM codes WHERE pool_id = :pool_id AND customer_id = asked.id OFFSET 0)
    ), free AS MATERIALIZED (
        SELECT number, row_number() OVER () AS place FROM (
            SELECT number FROM codes WHERE pool_id = :pool_id AND customer_id IS NULL AND held_id IS NULL
            ORDER BY number LIMIT (SELECT COALESCE(cardinality(ids), 0) FROM lacking)
            FOR NO KEY UPDATE SKIP LOCKED
        ) AS first_free
    ), reserved AS (
        UPDATE codes SET customer_id = (SELECT ids FROM lacking)[free.place]
        FROM free WHERE codes.number = free.number AND codes.number = ANY(ARRAY(SELECT number FROM free))
        RETURNING codes.number
    )
    SELECT COALESCE(array_agg(number), '{{}}')::text AS numbers,
           (SELECT COALESCE(cardinality(ids), 0) FROM lacking) > count(*) AS ran_short
    FROM reserved
""")

# Of those just reserved: for people who lack a code of another pool, and so get no message.
_UNDO = text(f"""{BY_ARRAY}
    UPDATE codes SET customer_id = NULL
    WHERE number = ANY(CAST(:numbers AS bigint[])) AND EXISTS (
        SELECT FROM unnest(CAST(:pools AS int[])) AS pool(id) WHERE NOT EXISTS (
            SELECT FROM codes hers WHERE hers.pool_id = pool.id AND hers.customer_id = codes.customer_id OFFSET 0
        )
    )
""")

# A call that was not refused may have brought her the code, whatever became of the message afterwards. Codes that are
# just being claimed are passed over.
_GIVE_BACK = text(f"""{BY_ARRAY}
    SET LOCAL work_mem = '64MB'; SET LOCAL jit = off;
    WITH reached AS MATERIALIZED (
        SELECT DISTINCT dl.customer_id FROM deliveries dl
        WHERE dl.distribution_id = ANY(CAST(:distributions AS int[]))
          AND CASE WHEN dl.state <> ALL(CAST(:lost AS text[])) OR dl.sent_at IS NOT NULL THEN true
              WHEN dl.tries = 0 THEN false
              ELSE (
                  SELECT true FROM attempts a
                  WHERE a.delivery_seq = dl.seq AND (a.error_class IS NULL OR a.error_class = 'unknown_outcome')
                  LIMIT 1
              ) END
    ), gone AS MATERIALIZED (
        SELECT number FROM codes
        WHERE pool_id = ANY(CAST(:pools AS int[])) AND customer_id IS NOT NULL AND held_id IS NULL
          AND NOT EXISTS (SELECT FROM reached WHERE reached.customer_id = codes.customer_id)
        FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT COALESCE(array_agg(number), '{{}}')::text AS numbers FROM gone
""")
_FREE = text(f"{BY_ARRAY} UPDATE codes SET customer_id = NULL WHERE number = ANY(CAST(:numbers AS bigint[]))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pools:
    """What a message needs: single codes from these pools, and from shared ones nothing that anybody has to own."""

    single: Sequence[int] = ()
    complete: bool = True  # every coupon has a pool


NO_CODES = Pools()


def pools(session: Session, *, theme_id: int, coupons: Sequence[str]) -> Pools:
    if not coupons:
        return NO_CODES
    found = session.execute(_POOLS, {"theme_id": theme_id, "coupons": text_array(coupons)}).all()
    single = sorted(row.id for row in found if not row.shared)
    return Pools(single=single, complete={row.offer for row in found} == set(coupons))


def hold(session: Session, found: Pools) -> None:
    """Nobody else reserves of these or gives back until the transaction ends. What depends on it is read afterwards."""
    if found.single:
        session.execute(_HOLD, {"ids": plain_array(found.single)})


def reserve(session: Session, found: Pools, *, customer_ids: str) -> None:
    """Give each of these a code of each pool, the lowest ids first while there are any; all of them, or none.

    The pools are held. `customer_ids` is a literal of PostgreSQL.
    """
    if not found.complete:
        return
    new, ran_short = [], False
    for pool_id in found.single:
        row = session.execute(_RESERVE, {"pool_id": pool_id, "customers": customer_ids}).one()
        new.append(row.numbers)
        ran_short = ran_short or row.ran_short
    if ran_short and len(found.single) > 1:
        for numbers in new:
            session.execute(_UNDO, {"numbers": numbers, "pools": plain_array(found.single)})
    session.execute(_AS_BEFORE)


def has_all(found: Pools, customer_id: ColumnElement[int]) -> ColumnElement[bool]:
    """As a condition: this customer has a code of every pool. Each is looked up by itself."""
    if not found.complete:
        return false()
    hers = (
        select(Code.number).where(Code.pool_id == pool_id, Code.customer_id == customer_id).limit(1).scalar_subquery()
        for pool_id in found.single
    )
    return and_(true(), *(one.is_not(None) for one in hers))


def give_back(session: Session, *, theme_id: int) -> int:
    """Free what is reserved for people to whom no message of a theme was sent, is under way or is in doubt.

    A code that was claimed stays hers. Returns how many were freed.
    """
    found = Pools(single=session.scalars(select(CodePool.id).where(_single_of(theme_id)).order_by(CodePool.id)).all())
    if not found.single:
        return 0
    hold(session, found)
    own = session.scalars(select(Distribution.id).where(Distribution.theme_id == theme_id)).all()
    values = {
        "pools": plain_array(found.single),
        "distributions": plain_array(own),
        "lost": plain_array(sorted(LOST_STATES)),
    }
    numbers = session.scalars(_GIVE_BACK, values).one()
    freed = session.execute(_FREE, {"numbers": numbers})
    session.execute(_AS_BEFORE)
    return int(freed.rowcount)  # type: ignore[attr-defined] # a CursorResult, which the stubs widen


def themes_to_look_at(session: Session, *, now: datetime) -> Mapping[int, int]:
    """Themes that have reserved codes and messages that came to nothing -> how many messages they have in all."""
    reserved = select(Code.number).where(
        Code.pool_id == CodePool.id, Code.customer_id.is_not(None), Code.held_id.is_(None)
    )
    lost = select(Distribution.id).where(Distribution.theme_id == Theme.id, tallies.any_in(LOST_STATES))
    current = or_(Theme.state.in_(_UNDER_WAY), Theme.state_changed_at > now - GIVEN_BACK_FOR)
    rows = (
        select(func.coalesce(func.sum(Tally.count), 0))
        .join(Distribution, Distribution.id == Tally.distribution_id)
        .where(Distribution.theme_id == Theme.id)
        .scalar_subquery()
    )
    query = (
        select(Theme.id, rows)
        .distinct()
        .join(CodePool, CodePool.theme_id == Theme.id)
        .where(CodePool.shared.is_(None), current, lost.exists(), reserved.exists())
    )
    return {row[0]: int(row[1]) for row in session.execute(query.order_by(Theme.id))}


def has_single(session: Session, *, theme_id: int) -> bool:
    """Whether some coupon of a theme has a code for each person."""
    return bool(session.scalar(select(exists().where(_single_of(theme_id)))))


def any_free(session: Session, found: Pools) -> bool:
    """Whether somebody who has no code yet could have one of each."""
    free = (
        exists().where(Code.pool_id == pool_id, Code.customer_id.is_(None), Code.held_id.is_(None))
        for pool_id in found.single
    )
    return found.complete and bool(session.scalar(select(and_(true(), *free))))


def _single_of(theme_id: int) -> ColumnElement[bool]:
    return and_(CodePool.theme_id == theme_id, CodePool.shared.is_(None))
