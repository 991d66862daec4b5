"""Corrections: whom a theme had reached before it was taken down, gone through by their numbers a part at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, case, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from channels.states import MAY_BE_REACHED_STATES, Channel, DeliveryState, Purpose
from models.customer import Consent, Suppression
from models.delivery import Delivery, Distribution, DistributionState, Tally
from models.plan import Plan
from models.queries.delivery_ids import digest, id_of
from models.theme import Theme
from themes.revocation import TAKEN_DOWN

#: As many deliveries of the theme are looked at in one transaction.
CHUNK = 50_000


class Part(NamedTuple):
    """Deliveries of one of the theme's distributions, by their numbers: beyond `after`, and not beyond `upto`."""

    distribution_id: int
    after: int
    upto: int


def sources(session: Session, correction: Distribution) -> Sequence[int]:
    """The theme's own distributions on the channel, of every revision."""
    query = select(Distribution.id).where(
        Distribution.theme_id == correction.theme_id,
        Distribution.channel == correction.channel,
        Distribution.purpose == Purpose.THEME,
    )
    return session.scalars(query.order_by(Distribution.id)).all()


def next_part(session: Session, *, distribution_id: int, after: int) -> Part | None:
    """None when there is nothing beyond."""
    beyond = (Delivery.distribution_id == distribution_id) & (Delivery.seq > after)
    some = select(Delivery.seq).where(beyond).order_by(Delivery.seq).limit(CHUNK).subquery()
    upto = session.scalar(select(func.max(some.c.seq)))
    return None if upto is None else Part(distribution_id, after, upto)


def insert_missing(
    session: Session, *, correction: Distribution, part: Part, product_line_id: int, now: datetime
) -> int:
    """A row for everybody of the part whom the theme reached, or may have, and who has none; returns how many.

    Who was suppressed or withdrew consent since has a row as well, in state `suppressed`.
    """
    reached = aliased(Delivery, name="reached")
    blocked = select(literal(1)).where(
        Suppression.product_line_id == product_line_id,
        Suppression.channel == correction.channel,
        Suppression.address == reached.address,
    )
    consented = select(literal(1)).where(
        Consent.customer_id == reached.customer_id, Consent.channel == correction.channel, Consent.granted
    )
    name = f"{correction.theme_id}:{correction.revision_id}:{correction.channel.value}:{Purpose.CORRECTION}:"
    columns: dict[str, Any] = {
        "id": id_of(digest(literal(name).concat(reached.address))),
        "distribution_id": literal(correction.id),
        "theme_id": literal(correction.theme_id),
        "channel": literal(correction.channel, Delivery.channel.type),
        "purpose": literal(Purpose.CORRECTION, Delivery.purpose.type),
        "customer_id": reached.customer_id,
        "address": reached.address,
        "state": case(
            (or_(blocked.exists(), ~consented.exists()), literal(DeliveryState.SUPPRESSED, Delivery.state.type)),
            else_=literal(DeliveryState.PLANNED, Delivery.state.type),
        ),
        "changed_at": literal(now),
    }
    rows = select(*columns.values()).where(
        reached.distribution_id == part.distribution_id,
        reached.seq > part.after,
        reached.seq <= part.upto,
        reached.state.in_(MAY_BE_REACHED_STATES),
    )
    statement = insert(Delivery).from_select(list(columns), rows.order_by(reached.seq)).on_conflict_do_nothing()
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined] # a CursorResult, which the stubs widen


def count_reached(session: Session, correction: Distribution) -> int:
    """Whom the theme reached on the channel, or may have, by the tallies."""
    own = select(Distribution).where(Distribution.id == correction.id).subquery()
    return int(session.scalars(_reached(own.c.theme_id, own.c.channel)).one())


def note_complete(session: Session, *, correction: Distribution, reached: int, now: datetime) -> None:
    """Write down what the plan came to: by it is seen later whether rows are lacking."""
    rows = int(session.scalars(_rows(literal(correction.id))).one())
    values = {"as_of": correction.segment_as_of, "audience": reached, "rows": rows, "completed_at": now}
    statement = insert(Plan).values(distribution_id=correction.id, left_out={}, **values)
    session.execute(statement.on_conflict_do_update(index_elements=[Plan.distribution_id], set_=values))


def lacking_rows(session: Session, *, complete_since: datetime, taken_down_since: datetime) -> Sequence[int]:
    """Corrections whose plan is unfinished, has lost rows, or of whose theme more people turn out to be reached.

    Those of a takedown since `taken_down_since` also when their plan was last gone through before `complete_since`.
    """
    rows = _rows(Distribution.id).correlate(Distribution).scalar_subquery()
    reached = _reached(Distribution.theme_id, Distribution.channel).correlate(Distribution).scalar_subquery()
    due_again = (Plan.completed_at < complete_since) & (Distribution.segment_as_of >= taken_down_since)
    query = (
        select(Distribution.id)
        .join(Theme, Theme.id == Distribution.theme_id)
        .outerjoin(Plan, Plan.distribution_id == Distribution.id)
        .where(
            Distribution.purpose == Purpose.CORRECTION,
            Distribution.state != DistributionState.CANCELLED,
            Theme.state.in_(TAKEN_DOWN),
            or_(Plan.completed_at.is_(None), Plan.rows != rows, Plan.audience < reached, due_again),
        )
    )
    return session.scalars(query.order_by(Distribution.id)).all()


def _rows(distribution_id: ColumnElement[int] | InstrumentedAttribute[int]) -> Select[tuple[int]]:
    return select(func.coalesce(func.sum(Tally.count), 0)).where(Tally.distribution_id == distribution_id)


def _reached(
    theme_id: ColumnElement[int] | InstrumentedAttribute[int],
    channel: ColumnElement[Channel] | InstrumentedAttribute[Channel],
) -> Select[tuple[int]]:
    own = aliased(Distribution, name="own")
    return (
        select(func.coalesce(func.sum(Tally.count), 0))
        .join(own, own.id == Tally.distribution_id)
        .where(
            own.theme_id == theme_id,
            own.channel == channel,
            own.purpose == Purpose.THEME,
            Tally.state.in_(MAY_BE_REACHED_STATES),
        )
    )
