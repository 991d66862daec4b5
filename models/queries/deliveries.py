# ruff: noqa: S608 - every statement here is put together from constants of this module
"""The ledger that senders work on: claim, begin, record, give back, reap. Set-based, by array parameters."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from channels.engine import KEY_VALIDITY
from channels.states import TRANSIENT_CLASSES, DeliveryState, ErrorClass
from models.queries.arrays import plain_array, text_array

# Batches are small beside the table, but right after planning the statistics do not know the table yet: no batch may
# read all of it. Statements that are given rows also name them as one array, which leads to them by the primary key.
_BY_KEY = "SET LOCAL enable_seqscan = off;"

# What must hold for any call of a distribution to leave, now.
_OPEN = """
    SELECT d.id, t.product_line_id, d.channel
    FROM distributions d
    JOIN themes t ON t.id = d.theme_id
    JOIN provider_accounts p ON p.id = d.account_id
    WHERE d.id = :distribution_id AND d.state = 'sending' AND t.revision_id = d.revision_id
      AND CASE d.purpose
          WHEN 'theme' THEN t.state = 'live' AND t.ends_at > :now
          WHEN 'correction' THEN t.state IN ('revoking', 'revoked')
          END
      AND p.paused_because IS NULL
      AND (p.backing_off_until IS NULL OR p.backing_off_until <= :now)
"""

# What must hold for this person and address, now.
_ALLOWED = """
    NOT EXISTS (
        SELECT FROM suppressions s
        WHERE s.product_line_id = open.product_line_id AND s.channel = open.channel AND s.address = dl.address
    ) AND EXISTS (
        SELECT FROM consents c WHERE c.customer_id = dl.customer_id AND c.channel = open.channel AND c.granted
    )
"""

_PICK_FRESH = """
    SELECT dl.id, dl.customer_id, dl.address FROM deliveries dl
    WHERE dl.distribution_id = :distribution_id AND EXISTS (SELECT FROM open)
      AND dl.state IN ('planned', 'retrying', 'held') AND dl.due_at <= :now
    ORDER BY dl.due_at LIMIT :limit
    FOR UPDATE OF dl SKIP LOCKED
"""

_PICK_REPLAYS = """
    SELECT dl.id, dl.customer_id, dl.address FROM deliveries dl
    WHERE dl.distribution_id = :distribution_id AND EXISTS (SELECT FROM open)
      AND dl.state = 'unknown' AND dl.error_class = 'unknown_outcome' AND dl.key IS NOT NULL
      AND dl.due_at <= :now AND dl.call_began_at > :keys_since
    LIMIT :limit
    FOR UPDATE OF dl SKIP LOCKED
"""

_CLAIM = (
    _BY_KEY
    + """
    WITH open AS ({open}), picked AS ({picked}), judged AS MATERIALIZED (
        SELECT dl.id, {allowed} AS allowed FROM picked dl CROSS JOIN open
    ), claimed AS (
        UPDATE deliveries dl SET
            state = CASE WHEN judged.allowed THEN 'sending' ELSE 'suppressed' END,
            lease_owner = CASE WHEN judged.allowed THEN CAST(:owner AS uuid) END,
            lease_until = CASE WHEN judged.allowed THEN CAST(:until AS timestamptz) END,
            changed_at = :now
        FROM judged WHERE dl.id = judged.id
        RETURNING dl.id, dl.customer_id, dl.address, dl.tries, dl.first_tried_at, dl.key, dl.state
    )
    SELECT claimed.id, claimed.address, claimed.tries, claimed.first_tried_at, claimed.key, claimed.customer_id,
           c.external_id, c.name, c.country, c.language, c.timezone, claimed.state
    FROM claimed JOIN customers c ON c.id = claimed.customer_id
"""
)

_CLAIM_FRESH = text(_CLAIM.format(open=_OPEN, picked=_PICK_FRESH, allowed=_ALLOWED))
# A replay settles what may already have reached the person: that is not a new message, so consent is not asked again.
_CLAIM_REPLAYS = text(_CLAIM.format(open=_OPEN, picked=_PICK_REPLAYS, allowed="true"))

_BEGIN = text(f"""{_BY_KEY}
    WITH open AS ({_OPEN})
    UPDATE deliveries dl SET call_began_at = COALESCE(dl.call_began_at, :now), key = v.key
    FROM unnest(CAST(:ids AS uuid[]), CAST(:keys AS text[])) AS v(id, key), open
    WHERE dl.id = v.id AND dl.id = ANY(CAST(:ids AS uuid[])) AND dl.distribution_id = open.id AND dl.state = 'sending'
      AND dl.lease_owner = :owner AND dl.lease_until > :now
    RETURNING dl.id
""")

_RECORD = text(
    _BY_KEY
    + """
    WITH v AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:dues AS timestamptz[]), CAST(:classes AS text[]),
            CAST(:codes AS text[]), CAST(:details AS text[]), CAST(:message_ids AS text[]),
            CAST(:request_ids AS text[]), CAST(:numbers AS int[]), CAST(:begun AS timestamptz[]),
            CAST(:latencies AS int[])
        ) AS v(id, state, due_at, error_class, code, detail, message_id, request_id, number, began_at, latency_ms)
    ), attempted AS (
        INSERT INTO attempts (delivery_id, number, account_id, began_at, latency_ms, error_class, code, detail,
                              request_id, provider_message_id)
        SELECT id, number, :account_id, began_at, latency_ms, error_class, code, detail, request_id, message_id FROM v
    )
    UPDATE deliveries dl SET
        state = v.state,
        due_at = COALESCE(v.due_at, dl.due_at),
        tries = v.number,
        first_tried_at = COALESCE(dl.first_tried_at, v.began_at),
        lease_owner = CASE WHEN v.state = 'unknown' THEN dl.lease_owner END,
        lease_until = NULL,
        call_began_at = CASE WHEN v.state = 'unknown' THEN dl.call_began_at END,
        key = CASE WHEN v.state = 'unknown' THEN dl.key END,
        error_class = CASE WHEN v.state = 'unknown' THEN 'unknown_outcome' ELSE v.error_class END,
        error_code = NULLIF(v.code, ''),
        provider_message_id = COALESCE(v.message_id, dl.provider_message_id),
        sent_at = CASE WHEN v.state = 'sent' THEN CAST(:now AS timestamptz) ELSE dl.sent_at END,
        changed_at = :now
    FROM v
    WHERE dl.id = v.id AND dl.id = ANY(CAST(:ids AS uuid[])) AND dl.lease_owner = :owner
      AND (dl.state = 'sending' OR (dl.state = 'unknown' AND v.state <> 'unknown'))
"""
)

# Rows that another transaction of the same sender is just recording need no longer lease.
_EXTEND = text(
    _BY_KEY
    + """
    WITH held AS (
        SELECT id FROM deliveries
        WHERE state = 'sending' AND lease_owner = :owner AND lease_until < :until
        FOR UPDATE SKIP LOCKED
    )
    UPDATE deliveries dl SET lease_until = :until FROM held WHERE dl.id = held.id
"""
)

# A row goes back to where it may be claimed; one in doubt, whose replay did not leave, is in doubt again.
_BACK = """
    state = CASE WHEN {in_doubt} THEN 'unknown' WHEN tries > 0 THEN 'retrying' ELSE 'planned' END,
    lease_owner = CASE WHEN {in_doubt} THEN lease_owner END,
    lease_until = NULL,
    call_began_at = CASE WHEN {in_doubt} THEN call_began_at END,
    key = CASE WHEN {in_doubt} THEN key END,
    error_class = CASE WHEN {in_doubt} THEN 'unknown_outcome' ELSE error_class END,
    due_at = CASE WHEN {in_doubt} THEN GREATEST(due_at, :now) ELSE due_at END,
    changed_at = :now
"""

_RELEASE = text(f"""{_BY_KEY}
    UPDATE deliveries dl SET {_BACK.format(in_doubt="v.in_doubt")}
    FROM unnest(CAST(:ids AS uuid[]), CAST(:in_doubt AS bool[])) AS v(id, in_doubt)
    WHERE dl.id = v.id AND dl.id = ANY(CAST(:ids AS uuid[])) AND dl.state = 'sending' AND dl.lease_owner = :owner
""")

_REAP = text(f"""{_BY_KEY}
    WITH run_out AS (
        SELECT id FROM deliveries WHERE state = 'sending' AND lease_until <= :now FOR UPDATE SKIP LOCKED
    )
    UPDATE deliveries dl SET {_BACK.format(in_doubt="call_began_at IS NOT NULL")}
    FROM run_out WHERE dl.id = run_out.id
    RETURNING dl.state
""")

# Tried at least once and out of time, even where the account backs off and would not let it be tried again.
_GIVE_UP = text("""
    WITH late AS (
        SELECT id FROM deliveries
        WHERE distribution_id = :distribution_id AND state = 'retrying' AND first_tried_at <= :tried_before
          AND error_class = ANY(CAST(:classes AS text[]))
        FOR UPDATE SKIP LOCKED
    )
    UPDATE deliveries dl SET state = 'failed', changed_at = :now FROM late WHERE dl.id = late.id RETURNING dl.id
""")

_SUPPRESS = text("""
    INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)
    SELECT t.product_line_id, d.channel, v.address, v.reason, 'delivery', :now
    FROM unnest(CAST(:addresses AS text[]), CAST(:reasons AS text[])) AS v(address, reason)
    CROSS JOIN distributions d JOIN themes t ON t.id = d.theme_id
    WHERE d.id = :distribution_id
    ORDER BY v.address
    ON CONFLICT DO NOTHING
""")

_OPT_OUT = text("""
    INSERT INTO consents (customer_id, channel, granted, source, recorded_at)
    SELECT DISTINCT dl.customer_id, dl.channel, false, 'delivery', CAST(:now AS timestamptz)
    FROM deliveries dl WHERE dl.id = ANY(CAST(:ids AS uuid[]))
    ORDER BY dl.customer_id
    ON CONFLICT (customer_id, channel) DO UPDATE
    SET granted = false, source = excluded.source, recorded_at = excluded.recorded_at
""")


class Claimed(NamedTuple):
    """A leased delivery, with what its message is rendered from. `key` is set on a replay alone."""

    id: UUID
    address: str
    tries: int
    first_tried_at: datetime | None
    key: str | None
    customer_id: int
    external_id: str
    name: str | None
    country: str
    language: str
    timezone: str


class Result(NamedTuple):
    """What one try came to, as it is written down."""

    delivery_id: UUID
    state: DeliveryState
    due_at: datetime | None
    error_class: ErrorClass | None
    code: str
    detail: str
    provider_message_id: str | None
    request_id: str | None
    number: int
    began_at: datetime
    latency_ms: int


class Claim(NamedTuple):
    deliveries: list[Claimed]
    suppressed: int  # blocked since they were planned: settled without a call


class Reaped(NamedTuple):
    given_back: int
    in_doubt: int


def claim(
    session: Session,
    *,
    distribution_id: int,
    owner: UUID,
    limit: int,
    lease: timedelta,
    now: datetime,
    replays: bool = False,
) -> Claim:
    """Lease up to `limit` due deliveries while the distribution may send; `replays`: those in doubt that have a key.

    Everything is asked again here: theme live on this revision, not ended (of a correction: taken down), distribution
    going, account open, address not suppressed, consent given. Rows that other senders hold are passed over, never
    waited for.
    """
    rows = session.execute(
        _CLAIM_REPLAYS if replays else _CLAIM_FRESH,
        {
            "distribution_id": distribution_id,
            "owner": owner,
            "until": now + lease,
            "limit": limit,
            "now": now,
            **({"keys_since": now - KEY_VALIDITY} if replays else {}),
        },
    ).all()
    held = [Claimed(*row[:-1]) for row in rows if row[-1] == DeliveryState.SENDING]
    return Claim(held, len(rows) - len(held))


def begin_calls(
    session: Session,
    *,
    distribution_id: int,
    owner: UUID,
    ids: Sequence[UUID],
    keys: Sequence[str | None],
    now: datetime,
) -> set[UUID]:
    """Mark durably that the calls of these leave now; only those that come back may be sent.

    The others lost their lease, or the distribution may no longer send.
    """
    parameters = {"ids": plain_array(ids), "keys": text_array(keys), "owner": owner}
    begun = session.execute(_BEGIN, {"distribution_id": distribution_id, "now": now, **parameters})
    return set(begun.scalars())


def record_outcomes(session: Session, *, owner: UUID, account_id: int, results: Sequence[Result], now: datetime) -> int:
    """Write outcomes and attempts; returns how many rows were still ours to move.

    A row whose lease was lost and that somebody else took on is left alone; one that was only declared in doubt is
    settled by the answer that came late after all. The attempt is kept either way.
    """
    ids, states, dues, classes, codes, details, message_ids, request_ids, numbers, begun, latencies = zip(
        *results, strict=True
    )
    columns = {
        "ids": plain_array(ids),
        "states": plain_array(states),
        "dues": plain_array(dues),
        "classes": plain_array(classes),
        "codes": text_array(codes),
        "details": text_array(details),
        "message_ids": text_array(message_ids),
        "request_ids": text_array(request_ids),
        "numbers": plain_array(numbers),
        "begun": plain_array(begun),
        "latencies": plain_array(latencies),
    }
    done = session.execute(_RECORD, {**columns, "owner": owner, "account_id": account_id, "now": now})
    return int(done.rowcount)  # type: ignore[attr-defined] # a CursorResult, which the stubs widen


def extend_leases(session: Session, *, owner: UUID, until: datetime) -> None:
    session.execute(_EXTEND, {"owner": owner, "until": until})


def release(session: Session, *, owner: UUID, deliveries: Iterable[tuple[UUID, bool]], now: datetime) -> None:
    """Give back deliveries whose call never left; with each, whether it was a replay and so stays in doubt."""
    ids, in_doubt = zip(*deliveries, strict=True)
    session.execute(_RELEASE, {"ids": plain_array(ids), "in_doubt": plain_array(in_doubt), "owner": owner, "now": now})


def reap_expired_leases(session: Session, *, now: datetime) -> Reaped:
    """Take back what dead senders held: claimable where no call had begun, else in doubt, with its key."""
    states = session.scalars(_REAP, {"now": now}).all()
    in_doubt = sum(state == DeliveryState.UNKNOWN for state in states)
    return Reaped(len(states) - in_doubt, in_doubt)


def give_up_after_budget(session: Session, *, distribution_id: int, budget: timedelta, now: datetime) -> int:
    """Fail what has been tried in vain for longer than its budget; returns how many."""
    parameters = {"tried_before": now - budget, "classes": plain_array(sorted(TRANSIENT_CLASSES)), "now": now}
    return len(session.scalars(_GIVE_UP, {"distribution_id": distribution_id, **parameters}).all())


def suppress(session: Session, *, distribution_id: int, reasons: dict[str, str], now: datetime) -> None:
    """Suppress addresses, each for its reason, for the product line of the distribution."""
    columns = {"addresses": text_array(reasons), "reasons": text_array(reasons.values())}
    session.execute(_SUPPRESS, {"distribution_id": distribution_id, "now": now, **columns})


def record_opt_outs(session: Session, *, ids: Iterable[UUID], now: datetime) -> None:
    session.execute(_OPT_OUT, {"ids": plain_array(ids), "now": now})
