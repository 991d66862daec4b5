# ruff: noqa: S608 - every statement here is put together from constants of this module
"""What keeps a claimed delivery from leaving now: quiet hours and caps. Set-based, a batch at a time.

Caps are exact because whoever counts what a customer gets holds her row in `cap_turns` until the end of the
transaction, and counts only then, in a statement of its own: it sees whatever was reserved by those before. The rows
are taken in the order of the customers' ids, so that two senders wait for each other and never in a circle.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from audience.caps import Cap, Since
from audience.limits_file import Limits
from audience.quiet_hours import Place, Quiet
from audience.restraint import becomes, restraint
from channels.states import Channel, DeliveryState, Purpose
from models.queries import subscriptions
from models.queries.access_paths import BY_INDEX
from models.queries.arrays import plain_array, text_array

_TERMS = text("""
    SELECT d.channel, d.purpose, d.expires_at, CAST(l.content AS text) AS content,
           p.settings -> 'one_time_subscriptions' = 'true' AS one_time
    FROM distributions d
    JOIN themes t ON t.id = d.theme_id
    JOIN provider_accounts p ON p.id = d.account_id
    LEFT JOIN limits l ON l.product_line_id = t.product_line_id
    WHERE d.id = :distribution_id
""")

_BATCH = "dl.distribution_id = :distribution_id AND dl.seq = ANY(CAST(:seqs AS bigint[]))"

# A row that is there is locked and left as it is: whoever waits for it writes nothing.
_TAKE_TURNS = text(f"""{BY_INDEX}
    INSERT INTO cap_turns (customer_id)
    SELECT DISTINCT dl.customer_id FROM deliveries dl WHERE {_BATCH} ORDER BY dl.customer_id
    ON CONFLICT (customer_id) DO UPDATE SET customer_id = excluded.customer_id WHERE false
""")

_PLACES = text(f"""{BY_INDEX}
    SELECT DISTINCT c.country, c.timezone FROM deliveries dl JOIN customers c ON c.id = dl.customer_id WHERE {_BATCH}
""")

# What this batch has reserved before is reserved anew, so it does not count; of two deliveries to one person in it the
# second one has the first before it. What is found out is written by a statement of its own, whose arrays tell the
# planner how many rows there are: of an interim result it expects one, and would walk it for each of thousands.
_JUDGE = text(f"""{BY_INDEX}
    WITH quiet AS (
        SELECT * FROM unnest(
            CAST(:countries AS text[]), CAST(:zones AS text[]), CAST(:untils AS timestamptz[])
        ) AS quiet(country, timezone, until)
    ), counting AS (
        SELECT * FROM unnest(
            CAST(:names AS text[]), CAST(:channels AS text[]), CAST(:mosts AS int[]), CAST(:cap_zones AS text[]),
            CAST(:sinces AS timestamptz[])
        ) AS counting(cap, channels, most, timezone, since)
    ), mine AS (
        SELECT dl.seq, dl.customer_id, c.timezone, quiet.until,
               row_number() OVER (PARTITION BY dl.customer_id ORDER BY dl.seq) AS place
        FROM deliveries dl
        JOIN customers c ON c.id = dl.customer_id
        LEFT JOIN quiet ON quiet.country = c.country AND quiet.timezone = c.timezone
        WHERE {_BATCH} AND dl.state = 'sending' AND dl.lease_owner = :sender
    ), judged AS MATERIALIZED (
        SELECT seq, customer_id, until, CASE WHEN until IS NULL THEN (
            SELECT min(counting.cap) FROM counting
            WHERE counting.timezone = mine.timezone AND counting.most < mine.place + (
                SELECT count(*) FROM cap_reservations r
                WHERE r.customer_id = mine.customer_id AND r.reserved_at >= counting.since
                  AND r.channel = ANY(CAST(counting.channels AS text[]))
                  AND r.delivery_seq <> ALL(CAST(:seqs AS bigint[]))
            )
        ) END AS cap
        FROM mine
    ), reserved AS (
        INSERT INTO cap_reservations (delivery_seq, distribution_id, customer_id, channel, reserved_at)
        SELECT seq, :distribution_id, customer_id, :channel, CAST(:now AS timestamptz) FROM judged
        WHERE :counted AND until IS NULL AND cap IS NULL
        ORDER BY seq
        ON CONFLICT (delivery_seq) DO UPDATE SET reserved_at = excluded.reserved_at
    )
    SELECT seq, until, cap FROM judged WHERE until IS NOT NULL OR cap IS NOT NULL
""")

_MOVE = text(f"""{BY_INDEX}
    UPDATE deliveries dl SET
        state = v.state, due_at = v.due_at, error_code = COALESCE(v.cap, dl.error_code), lease_owner = NULL,
        changed_at = :now
    FROM unnest(
        CAST(:seqs AS bigint[]), CAST(:states AS text[]), CAST(:dues AS timestamptz[]), CAST(:caps AS text[])
    ) AS v(seq, state, due_at, cap)
    WHERE {_BATCH} AND dl.seq = v.seq
""")

# Asked of the row itself: whoever takes it back late must not take it from another sender, nor from what may have left.
_GIVE_BACK = text(f"""{BY_INDEX}
    DELETE FROM cap_reservations r WHERE r.delivery_seq = ANY(CAST(:seqs AS bigint[])) AND NOT {subscriptions.KEEPS}
""")

# From the places that are kept to their deliveries, one by one: there are few, but the statistics do not know it.
_ENDED = """
    SELECT kept.delivery_seq FROM {table} kept, LATERAL (
        SELECT FROM deliveries dl
        WHERE dl.distribution_id = :distribution_id AND dl.seq = kept.delivery_seq
          AND dl.state IN ('failed', 'suppressed', 'capped', 'cancelled', 'expired') OFFSET 0
    ) ended
    WHERE kept.distribution_id = :distribution_id
"""
_ENDED_IN_VAIN = text(
    f"{_ENDED.format(table='cap_reservations')} UNION {_ENDED.format(table='subscription_uses')} ORDER BY 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restricted:
    """What became of a claimed batch; `left` are the rows that the sender no longer holds."""

    held: int = 0
    capped: int = 0
    expired: int = 0  # quiet until after the distribution's end
    left: frozenset[int] = frozenset()
    #: What has not left by then has to be claimed anew: it turns quiet for somebody, or a new day begins.
    good_until: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for one distribution. A correction is no advertising: no cap holds it back, and it counts for none."""

    channel: Channel
    purpose: Purpose
    expires_at: datetime | None
    limits: Limits | None
    one_time: bool

    @property
    def caps(self) -> Sequence[Cap]:
        if self.limits is None or self.purpose is Purpose.CORRECTION:
            return ()
        return self.limits.caps_on(self.channel)

    @property
    def keeps_quiet(self) -> bool:
        return self.limits is not None and self.limits.keeps_quiet(self.channel)


def applies(session: Session, *, distribution_id: int) -> bool:
    """Whether anything is to be restricted: without, a claim is not charged for it."""
    terms = _terms(session, distribution_id)
    return terms is not None and bool(terms.caps or terms.keeps_quiet or terms.one_time)


def restrict(session: Session, *, distribution_id: int, sender: UUID, seqs: Sequence[int], now: datetime) -> Restricted:
    """Hold, cap or expire what of a batch must not leave now, and reserve its place under the caps for the rest.

    In the transaction of the claim, once for all rows that it made `sending` and that are to be sent afresh. A replay
    is no new message: it goes out as it is, and what it reserved stays. Claiming a row again reserves it anew.
    """
    terms = _terms(session, distribution_id)
    if terms is None or not seqs:
        return Restricted()
    batch = {"distribution_id": distribution_id, "seqs": plain_array(seqs), "sender": sender, "now": now}
    states, good_until = _judge(session, terms, batch, now)
    if terms.one_time and len(states) < len(seqs):
        rest = [seq for seq in seqs if seq not in states]
        lacking = subscriptions.take(session, distribution_id=distribution_id, sender=sender, seqs=rest, now=now)
        session.execute(_GIVE_BACK, {"seqs": plain_array(lacking)})
        states |= dict.fromkeys(lacking, DeliveryState.CAPPED)
    return _restricted(states, good_until)


def give_back(session: Session, *, seqs: Sequence[int]) -> None:
    """Return what deliveries reserved that will not leave: failed for good, released, cancelled, expired, suppressed.

    In the transaction in which they end, after the statement that moves them. What is being sent, has left or may have
    keeps what it reserved, though it be named.
    """
    if seqs:
        session.execute(_GIVE_BACK, {"seqs": plain_array(sorted(seqs))})
        subscriptions.give_back(session, seqs=seqs)


def give_back_ended(session: Session, *, distribution_id: int) -> int:
    """The same for everything of a distribution that has ended without having left; returns how many deliveries.

    What waits to be tried again keeps its place.
    """
    seqs = session.scalars(_ENDED_IN_VAIN, {"distribution_id": distribution_id}).all()
    give_back(session, seqs=seqs)
    return len(seqs)


def _terms(session: Session, distribution_id: int) -> Terms | None:
    row = session.execute(_TERMS, {"distribution_id": distribution_id}).one_or_none()
    if row is None:
        return None
    return Terms(
        channel=Channel(row.channel),
        purpose=Purpose(row.purpose),
        expires_at=row.expires_at,
        limits=None if row.content is None else _parsed(row.content),
        one_time=bool(row.one_time),
    )


@lru_cache(maxsize=64)
def _parsed(content: str) -> Limits:
    return Limits.model_validate_json(content)


def _judge(
    session: Session, terms: Terms, batch: Mapping[str, object], now: datetime
) -> tuple[dict[int, DeliveryState], datetime | None]:
    """What becomes of those that must not leave now, and until when that is true of the rest."""
    if terms.limits is None or not (terms.caps or terms.keeps_quiet):
        return {}, None
    if terms.caps:
        session.execute(_TAKE_TURNS, batch)
    places = [Place(*row) for row in session.execute(_PLACES, batch)]
    found = restraint(terms.limits, channel=terms.channel, places=places, capped=bool(terms.caps), now=now)
    if not (found.quiet or found.counting):
        return {}, found.good_until
    counted = {"channel": terms.channel.value, "counted": bool(terms.caps)}
    verdicts = session.execute(
        _JUDGE, {**batch, **_quiet_columns(found.quiet), **_cap_columns(found.counting), **counted}
    )
    rows = [(row.seq, row.until, row.cap) for row in verdicts]
    states = [becomes(quiet_until=until, expires_at=terms.expires_at) for _, until, _ in rows]
    if rows:
        _move(session, batch, states, rows)
    return dict(zip((row[0] for row in rows), states, strict=True)), found.good_until


def _move(
    session: Session,
    batch: Mapping[str, object],
    states: Sequence[DeliveryState],
    rows: Sequence[tuple[int, datetime | None, str | None]],
) -> None:
    dues = [until if state is DeliveryState.HELD else None for state, (_, until, _) in zip(states, rows, strict=True)]
    columns = {"states": plain_array(states), "dues": plain_array(dues), "caps": text_array(row[2] for row in rows)}
    seqs = {"seqs": plain_array(row[0] for row in rows)}
    session.execute(_MOVE, {**batch, **seqs, **columns})
    session.execute(_GIVE_BACK, seqs)


def _quiet_columns(quiet: Iterable[Quiet]) -> dict[str, str]:
    rows = [(place.country, place.timezone, until) for place, until in quiet]
    return {
        "countries": text_array(row[0] for row in rows),
        "zones": text_array(row[1] for row in rows),
        "untils": plain_array(row[2] for row in rows),
    }


def _cap_columns(rows: Sequence[Since]) -> dict[str, str]:
    return {
        "names": text_array(row.cap.name for row in rows),
        "channels": text_array(text_array(sorted(row.cap.channels)) for row in rows),
        "mosts": plain_array(row.cap.most for row in rows),
        "cap_zones": text_array(row.timezone for row in rows),
        "sinces": plain_array(row.since for row in rows),
    }


def _restricted(states: Mapping[int, DeliveryState], good_until: datetime | None) -> Restricted:
    found = list(states.values())
    return Restricted(
        held=found.count(DeliveryState.HELD),
        capped=found.count(DeliveryState.CAPPED),
        expired=found.count(DeliveryState.EXPIRED),
        left=frozenset(states),
        good_until=good_until,
    )
