"""What a preflight counts: each channel of an audience in one pass, by the verdicts that planning would give."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    case,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    table,
    text,
)
from sqlalchemy.orm import Session

from channels.states import Channel, DeliveryState
from models.customer import Address, Customer
from models.delivery import ProviderAccount
from models.queries.capped import Capping, capped_among
from models.queries.eligibility import DUPLICATE, OVER_CAP, ROW_VERDICTS, verdicts

# A million customers are joined and grouped in memory. Workers would each add up all the orders for themselves.
_ROOM = text("SET LOCAL work_mem = '256MB'; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off")
_PLACE = ("country", "timezone")

#: Among so many of an audience the first recipient is looked for, before all of it is gone through.
_FIRST = 1_000

#: Who has had enough, and by which cap.
Capped = Select[tuple[int, str]] | None

#: As many names of those whom a message would fail for are told.
MOST_NAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """An audience, evaluated once and kept until the transaction ends."""

    members: FromClause  # customer_id, country, timezone, and a column for each segment
    segments: Sequence[str]
    size: int
    by_segment: Mapping[str, int]


class Group(NamedTuple):
    """Recipients of one channel that live in one place."""

    country: str
    timezone: str
    recipients: int
    by_segment: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCounts:
    groups: Sequence[Group]
    suppressed: int
    capped: int  # a forecast: they are planned as well
    left_out: Mapping[str, int]  # reason -> customers

    @property
    def recipients(self) -> int:
        return sum(group.recipients for group in self.groups)

    @property
    def by_segment(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for group in self.groups:
            total.update(group.by_segment)
        return dict(total)


def stage(session: Session, members: Select[Any], segments: Sequence[str]) -> Staged:
    """Evaluate an audience (`members_select`) for the transaction."""
    session.execute(_ROOM)
    staged = table(
        _kept(session, members),
        column("customer_id", Integer),
        *(column(of_place, Text) for of_place in _PLACE),
        *(column(segment, Boolean) for segment in segments),
    )
    flags = [func.count().filter(staged.c[segment]) for segment in segments]
    size, *counts = session.execute(select(func.count(), *flags).select_from(staged)).one()
    return Staged(members=staged, segments=segments, size=size, by_segment=dict(zip(segments, counts, strict=True)))


def stage_capped(session: Session, staged: Staged, since: Capping) -> Capped:
    """Who of an audience has had enough, kept in the same way; None where nothing is capped."""
    capped = capped_among(staged.members, since)
    if capped is None:
        return None
    return select(column("customer_id", Integer), column("cap", Text)).select_from(table(_kept(session, capped)))


def count_channel(
    session: Session, staged: Staged, *, channel: Channel, product_line_id: int, capped: Capped = None
) -> ChannelCounts:
    people = staged.members
    found = (
        verdicts(people, channel=channel, product_line_id=product_line_id, capped=capped)
        .add_columns(*(people.c[name] for name in (*_PLACE, *staged.segments)))
        .subquery("found")
    )
    shared = _shared_addresses(channel).subquery("shared")
    # Who share an address are one recipient, and who gets nothing is one customer, whatever addresses she has. All
    # others, by far the most, are counted by their places, without a group for each.
    whose = case((found.c.verdict.in_(ROW_VERDICTS), shared.c.address), else_=cast(found.c.customer_id, Text))
    alone = whose.is_(None)
    place = [case((alone, found.c[name])) for name in _PLACE]
    one = (
        select(
            found.c.verdict,
            func.count().label("times"),
            case((alone, func.count()), else_=1).label("recipients"),
            *(func.min(found.c[name]).label(name) for name in _PLACE),
            *(_in_segment(found.c[segment], alone).label(segment) for segment in staged.segments),
        )
        .join_from(found, shared, shared.c.address == found.c.address, isouter=True)
        .group_by(found.c.verdict, whose, *place)
        .subquery("one")
    )
    planned = one.c.verdict == DeliveryState.PLANNED.value
    where = [case((planned, one.c[name])).label(name) for name in _PLACE]
    sums = [cast(func.sum(one.c[name]), Integer) for name in ("recipients", "times", *staged.segments)]
    rows = session.execute(select(one.c.verdict, *where, *sums).group_by(one.c.verdict, *where)).all()
    return _counted(rows, staged.segments)


def _kept(session: Session, query: Select[Any]) -> str:
    """The name of a table that holds what a query finds until the transaction ends."""
    name = f"looked_at_{uuid4().hex[:12]}"
    compiled = query.compile(session.connection(), compile_kwargs={"render_postcompile": True})
    session.connection().exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {compiled}", compiled.params)
    session.execute(text(f"ANALYZE {name}"))
    return name


def _shared_addresses(channel: Channel) -> Select[Any]:
    """Those that more than one customer has, of whichever product line."""
    return (
        select(Address.address)
        .where(Address.channel == channel)
        .group_by(Address.address)
        .having(func.count() > literal_column("1"))
    )


def _in_segment(flag: ColumnElement[bool], alone: ColumnElement[bool]) -> ColumnElement[int]:
    """Recipients: who has an address alone counts for herself, those who share one together once."""
    count = func.count().filter(flag)
    return case((alone, count), else_=func.least(count, 1))


def lacking(
    session: Session, staged: Staged, *, channel: Channel, product_line_id: int, column_name: str
) -> tuple[int, Sequence[str]]:
    """How many customers who would get a message have nothing in a column, and the first of them by external id."""
    found = verdicts(staged.members, channel=channel, product_line_id=product_line_id).subquery("found")
    value = Customer.__table__.c[column_name]
    empty = or_(value.is_(None), func.trim(value) == "")
    named = (
        select(Customer.external_id)
        .distinct()
        .join_from(found, Customer, Customer.id == found.c.customer_id)
        .where(found.c.verdict == DeliveryState.PLANNED.value, empty)
        .subquery("named")
    )
    first = select(named.c.external_id, func.count().over()).order_by(named.c.external_id).limit(MOST_NAMES)
    rows = session.execute(first).all()
    return (rows[0][1], [row.external_id for row in rows]) if rows else (0, [])


def sample_customer(session: Session, staged: Staged, *, channel: Channel, product_line_id: int) -> Customer | None:
    """The first recipient, for a preview; None where the channel reaches nobody."""
    ids = select(staged.members.c.customer_id).order_by(staged.members.c.customer_id)
    for people in (ids.limit(_FIRST).subquery("people"), staged.members):
        found = verdicts(people, channel=channel, product_line_id=product_line_id).subquery("found")
        reached = select(func.min(found.c.customer_id)).where(found.c.verdict == DeliveryState.PLANNED.value)
        first = session.scalar(reached)
        if first is not None:
            return session.get_one(Customer, first)
    return None


def pool_of(session: Session, account: ProviderAccount) -> Sequence[ProviderAccount]:
    """An account, and those that stand in for it."""
    if account.pool is None:
        return [account]
    same = (
        ProviderAccount.pool == account.pool,
        ProviderAccount.product_line_id == account.product_line_id,
        ProviderAccount.channel == account.channel,
    )
    return session.scalars(select(ProviderAccount).where(*same).order_by(ProviderAccount.key)).all()


def _counted(rows: Sequence[Any], segments: Sequence[str]) -> ChannelCounts:
    groups, states, left_out, twice = [], {}, {}, 0
    for verdict, country, timezone, count, times, *by_segment in rows:
        if verdict == DeliveryState.PLANNED.value:
            groups.append(Group(country, timezone, count, dict(zip(segments, by_segment, strict=True))))
        elif verdict in ROW_VERDICTS:
            states[verdict] = count
        else:
            left_out[verdict] = count
        twice += times - count if verdict in ROW_VERDICTS else 0
    return ChannelCounts(
        groups=groups,
        suppressed=states.get(DeliveryState.SUPPRESSED.value, 0),
        capped=states.get(OVER_CAP, 0),
        left_out={**left_out, **({DUPLICATE: twice} if twice else {})},
    )
