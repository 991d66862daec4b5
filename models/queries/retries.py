# ruff: noqa: S608 - every statement here is put together from constants of this module
"""What persons do to deliveries that failed or are in doubt. Found by the index of rows that have an error class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, select, text, update
from sqlalchemy.orm import Session

from channels.states import CLAIMABLE_STATES, Channel, DeliveryState, ErrorClass, Purpose
from models.delivery import Delivery, Distribution, DistributionState
from models.queries import codes_reserved, tallies
from models.queries.access_paths import by_index
from models.queries.arrays import plain_array
from models.queries.codes_reserved import Pools
from models.theme import Theme
from themes.revocation import TAKEN_DOWN

#: The verdict on a failed row that a retry takes; every other says why it is left.
TAKEN = "taken"

#: The rows `dl` that a FailedFilter means, by the index of failures: see there why the number is cast.
MATCHING = """
    CAST(dl.distribution_id AS bigint) = ANY(CAST(:distributions AS bigint[]))
    AND dl.error_class = ANY(CAST(:error_classes AS text[])) AND dl.error_class IS NOT NULL
    AND dl.state = ANY(CAST(:states AS text[]))
    AND (CAST(:error_code AS text) IS NULL OR dl.error_code = :error_code)
    AND (CAST(:since AS timestamptz) IS NULL OR dl.changed_at >= CAST(:since AS timestamptz))
    AND (CAST(:until AS timestamptz) IS NULL OR dl.changed_at <= CAST(:until AS timestamptz))
    AND (CAST(:ids AS uuid[]) IS NULL OR dl.id = ANY(CAST(:ids AS uuid[])))
"""

# Why nothing of a distribution may leave any more, asked once for each. A correction leaves when its theme is taken
# down, and as long as it takes.
_OF = """
    of AS MATERIALIZED (
        SELECT d.id, t.product_line_id,
            CASE
                WHEN d.purpose = 'theme' AND (t.ends_at <= :now OR t.state IN ('ended', 'revoking', 'revoked'))
                    THEN 'theme_over'
                WHEN d.purpose = 'theme' AND t.state NOT IN ('live', 'paused') THEN 'theme_not_live'
                WHEN t.revision_id IS DISTINCT FROM d.revision_id THEN 'other_revision'
                WHEN d.expires_at <= :now THEN 'offer_over'
                WHEN d.state = 'cancelled' THEN 'channel_cancelled'
            END AS closed
        FROM distributions d JOIN themes t ON t.id = d.theme_id
        WHERE d.id = ANY(CAST(:distributions AS int[]))
    )
"""

# Found before they are joined to anything, for the index of failures to be the one that leads to them.
_FOUND = f"""
    SELECT dl.id, dl.seq, dl.distribution_id, dl.channel, dl.address, dl.customer_id, dl.changed_at
    FROM deliveries dl WHERE {MATCHING}
"""

# Words of delivery that have come and are not joined yet. A batch shares the reference of the delivery that leads its
# call, so the address says whose word it is.
_WORDS = """
    words AS MATERIALIZED (
        SELECT r.reference, r.address, r.provider_message_id FROM receipts r
        WHERE r.join_at IS NOT NULL AND r.kind = 'delivered'
    )
"""

_JUDGED = f"""
    SELECT found.id, found.channel, found.distribution_id, found.customer_id, CASE
        WHEN of.closed IS NOT NULL THEN of.closed
        WHEN found.changed_at > :asked_at THEN 'failed_since'
        WHEN found.id IN (SELECT reference FROM words WHERE address IS NULL) THEN 'receipt_waits'
        WHEN found.address IN (SELECT address FROM words) AND EXISTS (
            SELECT FROM words w WHERE w.address = found.address AND (
                EXISTS (
                    SELECT FROM deliveries led
                    WHERE led.id = w.reference AND led.distribution_id = found.distribution_id
                ) OR EXISTS (
                    SELECT FROM attempts a
                    WHERE a.delivery_seq = found.seq AND a.provider_message_id = w.provider_message_id
                )
            )
        ) THEN 'receipt_waits'
        WHEN EXISTS (
            SELECT FROM suppressions s
            WHERE s.product_line_id = of.product_line_id AND s.channel = found.channel AND s.address = found.address
        ) THEN 'suppressed'
        WHEN EXISTS (
            SELECT FROM consents c
            WHERE c.customer_id = found.customer_id AND c.channel = found.channel AND NOT c.granted
        ) THEN 'no_consent'
        WHEN EXISTS (
            SELECT FROM unnest(CAST(:code_distributions AS int[]), CAST(:code_pools AS int[])) AS needed(of, pool_id)
            WHERE needed.of = found.distribution_id AND NOT EXISTS (
                SELECT FROM codes WHERE pool_id = needed.pool_id AND customer_id = found.customer_id OFFSET 0
            )
        ) THEN 'no_code'
        ELSE '{TAKEN}'
    END AS verdict
    FROM found JOIN of ON of.id = found.distribution_id
"""

_JUDGE = text(f"""
    WITH {_OF}, {_WORDS}, found AS MATERIALIZED ({_FOUND})
    SELECT channel, verdict, count(*) FROM ({_JUDGED}) AS judged GROUP BY channel, verdict
""")

_TAKEABLE = text(f"""
    WITH {_OF}, {_WORDS}, found AS MATERIALIZED ({_FOUND})
    SELECT distribution_id, CAST(array_agg(DISTINCT customer_id) AS text) AS customers FROM ({_JUDGED}) AS judged
    WHERE verdict = '{TAKEN}' GROUP BY distribution_id ORDER BY distribution_id
""")

# Locked in one order, and judged as it is once the lock is there: whoever asks at the same moment waits, and then finds
# the row taken. What is counted as taken was changed here.
_TAKE = text(f"""
    WITH {_OF}, {_WORDS}, found AS MATERIALIZED ({_FOUND} ORDER BY dl.seq FOR UPDATE),
    judged AS MATERIALIZED ({_JUDGED}), taken AS (
        UPDATE deliveries dl SET
            state = 'retrying', due_at = :now, first_tried_at = NULL, error_class = NULL, error_code = NULL,
            sent_at = NULL, changed_at = :now
        FROM judged WHERE dl.id = judged.id AND judged.verdict = '{TAKEN}' AND dl.state = 'failed'
        RETURNING dl.distribution_id, dl.channel
    ), reopened AS (
        UPDATE distributions d SET state = 'sending', completed_at = NULL
        FROM (SELECT DISTINCT distribution_id FROM taken) AS again
        WHERE d.id = again.distribution_id AND d.state = 'complete'
    )
    SELECT channel, '{TAKEN}' AS verdict, count(*) FROM taken GROUP BY channel
    UNION ALL
    SELECT channel, verdict, count(*) FROM judged WHERE verdict <> '{TAKEN}' GROUP BY channel, verdict
""")

_COUNT = text(f"SELECT dl.channel, count(*) FROM deliveries dl WHERE {MATCHING} GROUP BY dl.channel")

_SETTLE = text(f"""
    WITH picked AS MATERIALIZED (
        SELECT dl.id FROM deliveries dl WHERE {MATCHING} ORDER BY dl.seq FOR UPDATE OF dl
    ), moved AS (
        UPDATE deliveries dl SET
            state = :to_state, due_at = CASE WHEN :to_state = 'retrying' THEN CAST(:now AS timestamptz) END,
            first_tried_at = CASE WHEN :to_state = 'retrying' THEN NULL ELSE dl.first_tried_at END,
            sent_at = CASE WHEN :to_state = 'sent' THEN CAST(:now AS timestamptz) ELSE dl.sent_at END,
            error_class = NULL, error_code = NULL, lease_owner = NULL, call_began_at = NULL, key = NULL,
            changed_at = :now
        FROM picked WHERE dl.id = picked.id AND dl.state = 'unknown'
        RETURNING dl.id, dl.seq, dl.distribution_id, dl.theme_id, dl.tries, dl.account_id
    ), noted AS (
        INSERT INTO attempts (delivery_seq, number, account_id, began_at, latency_ms, code, detail)
        SELECT moved.seq, moved.tries, COALESCE(moved.account_id, d.account_id), :now, 0, 'settled', :note
        FROM moved JOIN distributions d ON d.id = moved.distribution_id
    ), reopened AS (
        UPDATE distributions d SET state = 'sending', completed_at = NULL
        FROM (SELECT DISTINCT distribution_id FROM moved) AS again
        WHERE d.id = again.distribution_id AND d.state = 'complete' AND :to_state = 'retrying'
    )
    SELECT moved.id, moved.seq, t.key FROM moved JOIN themes t ON t.id = moved.theme_id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedFilter:
    """Which deliveries of some distributions are meant; what is None does not matter."""

    distributions: Sequence[int]
    error_class: ErrorClass | None = None
    error_code: str | None = None
    since: datetime | None = None  # the last change of the row, from
    until: datetime | None = None  # and to
    ids: Sequence[UUID] | None = None

    def values(self, *states: DeliveryState) -> dict[str, object]:
        """What MATCHING asks for: of the deliveries that are meant those in these states."""
        return {
            "distributions": plain_array(self.distributions),
            "states": plain_array(states),
            "error_classes": plain_array(ErrorClass if self.error_class is None else [self.error_class]),
            "error_code": self.error_code,
            "since": self.since,
            "until": self.until,
            "ids": None if self.ids is None else plain_array(self.ids),
        }


#: The single codes that messages of a distribution carry.
Needed = Mapping[int, Pools]
NOBODY_NEEDS: Needed = MappingProxyType({})


class Settled(NamedTuple):
    id: UUID
    seq: int
    theme_key: str


def distributions_of(session: Session, *, theme_id: int, channel: Channel | None = None) -> Sequence[int]:
    """Ids of a theme's distributions, of every revision and purpose."""
    query = select(Distribution.id).where(Distribution.theme_id == theme_id).order_by(Distribution.id)
    return session.scalars(query if channel is None else query.where(Distribution.channel == channel)).all()


def distributions_of_deliveries(session: Session, ids: Sequence[UUID]) -> Sequence[int]:
    return session.scalars(select(Delivery.distribution_id).distinct().where(Delivery.id.in_(ids))).all()


def reserve_codes(session: Session, *, wanted: FailedFilter, needed: Needed, asked_at: datetime, now: datetime) -> None:
    """Let whoever could be retried have the codes that were given back since, as far as there are any."""
    for pools in needed.values():
        codes_reserved.hold(session, pools)
    values = _values(wanted, {}, asked_at=asked_at, now=now)
    for distribution_id, customers in session.execute(_TAKEABLE, values).all():
        if distribution_id in needed:
            codes_reserved.reserve(session, needed[distribution_id], customer_ids=customers)


def judge_failed(
    session: Session, *, wanted: FailedFilter, asked_at: datetime, now: datetime, needed: Needed = NOBODY_NEEDS
) -> Mapping[tuple[Channel, str], int]:
    """Failed rows that match, counted per channel and verdict, and nothing changed."""
    return _counted(session, _JUDGE, _values(wanted, needed, asked_at=asked_at, now=now))


def take_failed(
    session: Session, *, wanted: FailedFilter, asked_at: datetime, now: datetime, needed: Needed = NOBODY_NEEDS
) -> Mapping[tuple[Channel, str], int]:
    """Make the failed rows that match and may go due now, with a fresh budget; the rest stays as it is.

    A row is taken once however many ask at once; one that failed again after `asked_at` is left to whoever asks anew.
    """
    return _counted(session, _TAKE, _values(wanted, needed, asked_at=asked_at, now=now))


def _values(wanted: FailedFilter, needed: Needed, *, asked_at: datetime, now: datetime) -> dict[str, object]:
    pairs = [(distribution_id, pool) for distribution_id, pools in needed.items() for pool in pools.single]
    codes = {
        "code_distributions": plain_array(distribution_id for distribution_id, _ in pairs),
        "code_pools": plain_array(pool for _, pool in pairs),
    }
    return {**wanted.values(DeliveryState.FAILED), **codes, "asked_at": asked_at, "now": now}


def _counted(
    session: Session, statement: TextClause, values: Mapping[str, object]
) -> Mapping[tuple[Channel, str], int]:
    by_index(session)
    return {(Channel(row[0]), row[1]): row[2] for row in session.execute(statement, values)}


def count_unknown(session: Session, wanted: FailedFilter) -> Mapping[Channel, int]:
    """Rows in doubt that match."""
    by_index(session)
    return {Channel(row[0]): row[1] for row in session.execute(_COUNT, wanted.values(DeliveryState.UNKNOWN))}


def settle_unknown(
    session: Session, *, wanted: FailedFilter, to_state: DeliveryState, note: str, now: datetime
) -> Sequence[Settled]:
    """Move rows that are in doubt, and write who decided that beside their attempts; one to be sent again is due."""
    by_index(session)
    values = {**wanted.values(DeliveryState.UNKNOWN), "to_state": to_state.value, "note": note, "now": now}
    return [Settled(*row) for row in session.execute(_SETTLE, values)]


def themes_taken_down_of(session: Session, distributions: Sequence[int]) -> Sequence[str]:
    """Keys of the taken down themes whose own messages, not their corrections, these distributions are."""
    query = select(Theme.key).distinct().join(Distribution, Distribution.theme_id == Theme.id)
    own = (Distribution.purpose == Purpose.THEME) & Distribution.id.in_(distributions)
    return session.scalars(query.where(own, Theme.state.in_(TAKEN_DOWN))).all()


def close_channel(session: Session, *, theme_id: int, channel: Channel, because: str) -> Sequence[int]:
    """Cancel the theme's own distributions of a channel: no call of theirs begins any more. Returns which."""
    own = (Distribution.theme_id == theme_id) & (Distribution.purpose == Purpose.THEME)
    statement = (
        update(Distribution)
        .where(own, Distribution.channel == channel, Distribution.state != DistributionState.CANCELLED)
        .values(state=DistributionState.CANCELLED, stopped_because=because)
        .returning(Distribution.id)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).all()


def cancelled_with_pending(session: Session, *, theme_id: int | None = None) -> Sequence[int]:
    """Distributions that were cancelled and have rows that would still have gone out."""
    query = select(Distribution.id).where(
        Distribution.state == DistributionState.CANCELLED, tallies.any_in(CLAIMABLE_STATES)
    )
    if theme_id is not None:
        query = query.where(Distribution.theme_id == theme_id)
    return session.scalars(query.order_by(Distribution.id)).all()
