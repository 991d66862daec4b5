"""Plans: an audience evaluated once, and gone through a chunk at a time; each chunk is one statement.

Whoever works on a plan holds its distribution until the transaction ends, so chunks are planned one after the other,
whoever plans them, and of customers who share an address the first one has the row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    ScalarSelect,
    Select,
    Subquery,
    Text,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.dml import ReturningInsert

from channels.states import DeliveryState, Purpose
from models.customer import Customer
from models.delivery import Delivery, Distribution, DistributionState, LeftOut, Tally
from models.plan import Plan, PlanChunk
from models.queries import codes_reserved
from models.queries.access_paths import BY_INDEX
from models.queries.capped import Capping, capped_among
from models.queries.codes_reserved import NO_CODES, Pools
from models.queries.delivery_ids import digest, id_of
from models.queries.eligibility import (
    DUPLICATE,
    NO_ADDRESS,
    NO_CODE,
    OVER_CAP,
    ROW_VERDICTS,
    Bounds,
    verdicts,
    within,
)
from models.theme import Theme
from themes.lifecycle import ThemeState

#: Verdicts on people whose message is to leave.
_LEAVING = (DeliveryState.PLANNED.value, OVER_CAP)

#: As many customers are planned in one transaction.
CHUNK = 50_000

# The statistics know nothing yet of rows that have just come, and of a chunk no table need be read as a whole.
_AS_FITS_A_CHUNK = text(f"{BY_INDEX} SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The next customers of a plan, as a literal of PostgreSQL that no Python ever takes apart."""

    number: int
    customer_ids: str
    bounds: Bounds


def current(session: Session, distribution: Distribution) -> Plan | None:
    """The plan of a distribution, unless it is of another opening of it."""
    plan = session.get(Plan, distribution.id, populate_existing=True)
    return plan if plan is not None and plan.as_of == distribution.segment_as_of else None


def evaluate(session: Session, *, distribution: Distribution, audience: Select[Any]) -> Plan:
    """Evaluate the audience, which selects customer ids, and lay it down in chunks; an earlier one goes."""
    own = Plan.distribution_id == distribution.id
    session.execute(delete(Plan).where(own), execution_options={"synchronize_session": False})
    session.execute(delete(LeftOut).where(LeftOut.distribution_id == distribution.id))
    plan = Plan(distribution_id=distribution.id, as_of=distribution.segment_as_of, audience=0, left_out={})
    session.add(plan)
    session.flush()
    customer_id = audience.distinct().subquery("audience").c[0]
    place = func.row_number().over(order_by=customer_id)
    numbered = select(customer_id.label("id"), ((place - 1) // CHUNK).label("number")).subquery("numbered")
    ids = func.array_agg(aggregate_order_by(numbered.c.id, numbered.c.id))
    chunks = select(literal(distribution.id), numbered.c.number, ids).group_by(numbered.c.number)
    columns = [PlanChunk.distribution_id, PlanChunk.number, PlanChunk.customer_ids]
    session.execute(insert(PlanChunk).from_select(columns, chunks))
    size = select(func.coalesce(func.sum(func.cardinality(PlanChunk.customer_ids)), 0))
    plan.audience = session.scalars(size.where(PlanChunk.distribution_id == distribution.id)).one()
    session.flush()
    return plan


def next_chunk(session: Session, distribution_id: int) -> Chunk | None:
    ends = PlanChunk.customer_ids[1], PlanChunk.customer_ids[func.cardinality(PlanChunk.customer_ids)]
    query = (
        select(PlanChunk.number, cast(PlanChunk.customer_ids, Text), *ends)
        .where(PlanChunk.distribution_id == distribution_id, PlanChunk.planned_at.is_(None))
        .order_by(PlanChunk.number)
        .limit(1)
    )
    found = session.execute(query).first()
    return None if found is None else Chunk(number=found[0], customer_ids=found[1], bounds=Bounds(*found[2:]))


def plan_chunk(
    session: Session,
    *,
    distribution: Distribution,
    product_line_id: int,
    chunk: Chunk,
    since: Capping,
    now: datetime,
    codes: Pools = NO_CODES,
) -> int:
    """Insert the rows that are missing and list anew who has none and why; returns how many rows are new.

    Whom a cap would stop as things are has a row as everybody else, and is counted: the cap may have room by the time
    her message leaves, and is asked then. Of the pools of `codes`, which are held, everybody who gets a row has a code.
    """
    session.execute(_AS_FITS_A_CHUNK)
    listed = and_(LeftOut.distribution_id == distribution.id, within(chunk.bounds, LeftOut.customer_id))
    session.execute(delete(LeftOut).where(listed), execution_options={"synchronize_session": False})
    ids = cast(literal(chunk.customer_ids, Text), ARRAY(Integer))
    people = select(func.unnest(ids).label("customer_id")).subquery("people")
    found = verdicts(
        people,
        channel=distribution.channel,
        product_line_id=product_line_id,
        capped=capped_among(people, since, bounds=chunk.bounds, but_of=distribution.id),
        bounds=chunk.bounds,
    ).subquery("found")
    if codes.single:
        _reserve(session, distribution, codes, found)
    name = f"{distribution.theme_id}:{distribution.revision_id}:{distribution.channel.value}:"
    hashed = digest(literal(name).concat(found.c.address)).label("digest")
    seen = select(*_with_codes(found, codes), hashed).cte("seen")
    made = _rows(distribution, seen, now).cte("made")
    left = _left_out(distribution, seen, made, codes).cte("left_out_now")
    over_cap = select(func.count()).select_from(seen).where(seen.c.verdict == OVER_CAP).scalar_subquery()
    new, over = session.execute(select(func.count(), over_cap).select_from(made).add_cte(left)).one()
    done = and_(PlanChunk.distribution_id == distribution.id, PlanChunk.number == chunk.number)
    session.execute(update(PlanChunk).where(done).values(planned_at=now, over_cap=over))
    return int(new)


def _reserve(session: Session, distribution: Distribution, codes: Pools, found: Subquery) -> None:
    """For everybody of the chunk who is to have a row and has none: of those who share an address for the first."""
    # Found before it is filtered: few seem to be left, and then consents would be gone through for each of them.
    seen = select(found).cte("seen").prefix_with("MATERIALIZED")
    first = (
        select(seen.c.customer_id)
        .distinct(seen.c.address)
        .where(seen.c.verdict.in_(_LEAVING), _owner_of_row(distribution, seen).is_(None))
        .order_by(seen.c.address, seen.c.customer_id, seen.c.address_id)
        .subquery("first")
    )
    ids = func.array_agg(first.c.customer_id.distinct())
    customer_ids = session.scalars(select(cast(func.coalesce(ids, cast([], ARRAY(Integer))), Text))).one()
    codes_reserved.reserve(session, codes, customer_ids=customer_ids)


def _with_codes(found: Subquery, codes: Pools) -> Sequence[ColumnElement[Any]]:
    """What was found; who lacks a code that the message carries gets none."""
    if codes == NO_CODES:
        return list(found.c)
    lacking = and_(found.c.verdict.in_(_LEAVING), ~codes_reserved.has_all(codes, found.c.customer_id))
    verdict = case((lacking, NO_CODE), else_=found.c.verdict).label("verdict")
    return [verdict if column.name == "verdict" else column for column in found.c]


def _rows(distribution: Distribution, seen: CTE, now: datetime) -> ReturningInsert[Any]:
    """In the order of addresses, which saves the index on them a search from its root to a page far off for each."""
    columns: dict[str, ColumnElement[Any]] = {
        "id": id_of(seen.c.digest),
        "distribution_id": literal(distribution.id),
        "theme_id": literal(distribution.theme_id),
        "channel": literal(distribution.channel, Delivery.channel.type),
        "customer_id": seen.c.customer_id,
        "address": seen.c.address,
        "state": case((seen.c.verdict == OVER_CAP, DeliveryState.PLANNED.value), else_=seen.c.verdict),
        "changed_at": literal(now),
    }
    rows = (
        select(*columns.values())
        .where(seen.c.verdict.in_(ROW_VERDICTS))
        .order_by(seen.c.address, seen.c.customer_id, seen.c.address_id)
    )
    # What the id is made of is in this key, so no other index need be asked whether a row is there.
    key = [Delivery.address, Delivery.channel, Delivery.theme_id, Delivery.purpose]
    insertion = insert_or(Delivery).from_select(list(columns), rows).on_conflict_do_nothing(index_elements=key)
    return insertion.returning(Delivery.customer_id, Delivery.address)


def _left_out(distribution: Distribution, seen: CTE, made: CTE, codes: Pools) -> Insert:
    """Everybody of the chunk who has no row, by now or from before."""
    just_made = exists().where(made.c.address == seen.c.address, made.c.customer_id == seen.c.customer_id)
    had = _owner_of_row(distribution, seen, Delivery.customer_id == seen.c.customer_id)
    known = exists().where(Customer.id == seen.c.customer_id)  # somebody without an address may have been deleted
    duplicate: ColumnElement[bool] = seen.c.verdict.in_(ROW_VERDICTS)
    if codes != NO_CODES:
        taken = or_(exists().where(made.c.address == seen.c.address), _owner_of_row(distribution, seen).is_not(None))
        duplicate = or_(duplicate, and_(seen.c.verdict == NO_CODE, taken))
    reason = case((duplicate, DUPLICATE), else_=seen.c.verdict)
    left = select(literal(distribution.id), seen.c.customer_id, seen.c.address, reason).where(
        or_(and_(seen.c.verdict == NO_ADDRESS, known), and_(seen.c.verdict != NO_ADDRESS, ~just_made, had.is_(None)))
    )
    columns = [LeftOut.distribution_id, LeftOut.customer_id, LeftOut.address, LeftOut.reason]
    return insert_or(LeftOut).from_select(columns, left).on_conflict_do_nothing()


def _owner_of_row(distribution: Distribution, seen: FromClause, *conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    """Who has the row of an address. Not EXISTS, for which PostgreSQL might read all rows of the theme into a hash."""
    return (
        select(Delivery.customer_id)
        .where(
            Delivery.address == seen.c.address,
            Delivery.channel == distribution.channel,
            Delivery.theme_id == distribution.theme_id,
            Delivery.purpose == Purpose.THEME,
            *conditions,
        )
        .limit(1)
        .correlate(seen)
        .scalar_subquery()
    )


def complete(session: Session, *, distribution_id: int, now: datetime) -> Plan:
    """Note what the plan came to, once its last chunk is through."""
    plan = session.get_one(Plan, distribution_id, populate_existing=True)
    plan.rows = session.scalars(_rows_of(distribution_id)).one()
    reasons = select(LeftOut.reason, func.count()).where(LeftOut.distribution_id == distribution_id)
    plan.left_out = {row[0]: row[1] for row in session.execute(reasons.group_by(LeftOut.reason))}
    plan.completed_at = now
    session.flush()
    return plan


def begin_anew(session: Session, distribution_id: int) -> None:
    """Have every chunk gone through once more."""
    own = PlanChunk.distribution_id == distribution_id
    session.execute(update(PlanChunk).where(own).values(planned_at=None))
    session.execute(update(Plan).where(Plan.distribution_id == distribution_id).values(completed_at=None))


def begin_anew_without_code(session: Session, distribution_id: int) -> None:
    """Have the chunks gone through once more in which somebody was left out for want of a code."""
    own = PlanChunk.distribution_id == distribution_id
    ends = PlanChunk.customer_ids[1], PlanChunk.customer_ids[func.cardinality(PlanChunk.customer_ids)]
    waits = exists().where(
        LeftOut.distribution_id == distribution_id, LeftOut.reason == NO_CODE, LeftOut.customer_id.between(*ends)
    )
    session.execute(
        update(PlanChunk).where(own, waits).values(planned_at=None), execution_options={"synchronize_session": False}
    )
    session.execute(update(Plan).where(Plan.distribution_id == distribution_id).values(completed_at=None))


def lacking_codes(session: Session, *, now: datetime, complete_before: datetime) -> Sequence[Distribution]:
    """Distributions of live themes whose plan came to its end before that and left somebody out for want of a code."""
    query = (
        select(Distribution)
        .join(Theme, Theme.id == Distribution.theme_id)
        .join(Plan, Plan.distribution_id == Distribution.id)
        .where(_plannable(now), Plan.completed_at < complete_before, Plan.left_out.has_key(NO_CODE))
    )
    return session.scalars(query.order_by(Distribution.id)).all()


def _plannable(now: datetime) -> ColumnElement[bool]:
    return and_(
        Distribution.purpose == Purpose.THEME,
        Distribution.state != DistributionState.CANCELLED,
        Distribution.revision_id == Theme.revision_id,
        Theme.state.in_([ThemeState.LIVE, ThemeState.PAUSED]),
        Theme.ends_at > now,
    )


def lacking_rows(session: Session, *, now: datetime, complete_since: datetime) -> Sequence[int]:
    """Distributions of live themes whose plan is unfinished, has lost rows, or was last gone through before that."""
    rows = _rows_of(Distribution.id).correlate(Distribution).scalar_subquery()
    query = (
        select(Distribution.id)
        .join(Theme, Theme.id == Distribution.theme_id)
        .outerjoin(Plan, Plan.distribution_id == Distribution.id)
        .where(
            _plannable(now),
            or_(Plan.completed_at.is_(None), Plan.rows != rows, Plan.completed_at < complete_since),
        )
    )
    return session.scalars(query.order_by(Distribution.id)).all()


def left_out_by_reason(session: Session, distribution_id: int) -> dict[str, int]:
    """As of when the plan was last complete."""
    plan = session.get(Plan, distribution_id, populate_existing=True)
    return {} if plan is None else dict(sorted(plan.left_out.items()))


def over_cap(session: Session, distribution_id: int) -> int:
    """Recipients whom a cap would have stopped when they were planned."""
    total = select(func.sum(PlanChunk.over_cap)).where(PlanChunk.distribution_id == distribution_id)
    return session.scalar(total) or 0


def _rows_of(distribution_id: int | InstrumentedAttribute[int]) -> Select[tuple[int]]:
    """All rows of a distribution, by the tallies that the database keeps."""
    return select(func.coalesce(func.sum(Tally.count), 0)).where(Tally.distribution_id == distribution_id)
