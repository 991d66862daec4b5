"""What a preflight counts: each channel of an audience in one pass, by the verdicts that planning would give."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import Boolean, FromClause, Integer, Select, Text, case, cast, column, func, or_, select, table, text
from sqlalchemy.orm import Session

from channels.states import Channel, DeliveryState
from models.customer import Customer
from models.delivery import ProviderAccount
from models.queries.capped import Capping, capped_among
from models.queries.eligibility import DUPLICATE, ROW_VERDICTS, verdicts

#: As many names of those whom a message would fail for are told.
MOST_NAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """An audience, evaluated once and kept until the transaction ends."""

    members: FromClause  # customer_id, and a column for each segment
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
    capped: int
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
    name = f"audience_{uuid4().hex[:12]}"
    compiled = members.compile(session.connection(), compile_kwargs={"render_postcompile": True})
    session.connection().exec_driver_sql(f"CREATE TEMPORARY TABLE {name} ON COMMIT DROP AS {compiled}", compiled.params)
    session.execute(text(f"ANALYZE {name}"))
    staged = table(name, column("customer_id", Integer), *(column(segment, Boolean) for segment in segments))
    flags = [func.count().filter(staged.c[segment]) for segment in segments]
    size, *counts = session.execute(select(func.count(), *flags).select_from(staged)).one()
    return Staged(members=staged, segments=segments, size=size, by_segment=dict(zip(segments, counts, strict=True)))


def count_channel(
    session: Session,
    staged: Staged,
    *,
    channel: Channel,
    product_line_id: int,
    since: Capping = (),
) -> ChannelCounts:
    capped = capped_among(staged.members, since)
    found = verdicts(staged.members, channel=channel, product_line_id=product_line_id, capped=capped).subquery("found")
    # Customers who share an address are one recipient; who has no address stands for herself.
    whose = case((found.c.verdict.in_(ROW_VERDICTS), found.c.address), else_=cast(found.c.customer_id, Text))
    flags = [func.bool_or(staged.members.c[segment]).label(segment) for segment in staged.segments]
    one = (
        select(
            found.c.verdict,
            func.count().label("times"),
            func.min(Customer.country).label("country"),
            func.min(Customer.timezone).label("timezone"),
            *flags,
        )
        .join_from(found, Customer, Customer.id == found.c.customer_id)
        .join(staged.members, staged.members.c.customer_id == found.c.customer_id)
        .group_by(found.c.verdict, whose)
        .subquery("one")
    )
    planned = one.c.verdict == DeliveryState.PLANNED.value
    place = [case((planned, one.c[name])).label(name) for name in ("country", "timezone")]
    counts = [func.count().filter(one.c[segment]) for segment in staged.segments]
    rows = session.execute(
        select(one.c.verdict, *place, func.count(), func.sum(one.c.times), *counts).group_by(one.c.verdict, *place)
    ).all()
    return _counted(rows, staged.segments)


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
    count = session.scalars(select(func.count()).select_from(named)).one()
    first = select(named.c.external_id).order_by(named.c.external_id).limit(MOST_NAMES)
    return count, session.scalars(first).all() if count else []


def sample_customer(
    session: Session, *, audience: Select[Any], channel: Channel, product_line_id: int
) -> Customer | None:
    """The first recipient, for a preview; None where the channel reaches nobody."""
    people = audience.subquery("audience")
    ids = select(people.c[0].label("customer_id")).subquery("people")
    found = verdicts(ids, channel=channel, product_line_id=product_line_id).subquery("found")
    reached = select(func.min(found.c.customer_id)).where(found.c.verdict == DeliveryState.PLANNED.value)
    first = session.scalar(reached)
    return None if first is None else session.get_one(Customer, first)


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
        twice += int(times) - count if verdict in ROW_VERDICTS else 0
    return ChannelCounts(
        groups=groups,
        suppressed=states.get(DeliveryState.SUPPRESSED.value, 0),
        capped=states.get(DeliveryState.CAPPED.value, 0),
        left_out={**left_out, **({DUPLICATE: twice} if twice else {})},
    )
