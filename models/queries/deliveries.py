# ruff: noqa: S608 - every statement here is put together from constants of this module
"""The ledger that senders work on: claim, begin, record, give back, reap. Set-based, by array parameters.

A row is claimed and recorded by one update each, and neither touches an index. Which calls have begun is written down a
batch at a time, as a mark of its sender; only when a sender dies do its marks tell what became of its rows.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from channels.engine import KEY_VALIDITY
from channels.states import TRANSIENT_CLASSES, DeliveryState, ErrorClass
from models.queries import walks
from models.queries.access_paths import BY_ARRAY, BY_INDEX
from models.queries.arrays import plain_array, text_array
from models.queries.delivery_claims import CLAIM_FRESH, CLAIM_REPLAYS, CLAIM_WAITING, LATER_ON_DISK, OPEN, Claiming
from offers.code import written

_ENTER = text("""
    INSERT INTO senders (id, distribution_id, alive_until, began_at, host)
    VALUES (:owner, :distribution_id, :until, :now, :host)
""")

# The sender's own row is what a reaper would have to lock: whoever comes first, the other sees it.
_BEGIN = text(f"""
    WITH open AS ({OPEN}), alive AS (
        UPDATE senders SET alive_until = :until
        WHERE id = :owner AND alive_until > :now AND EXISTS (SELECT FROM open)
        RETURNING id
    )
    INSERT INTO sender_marks (sender_id, begun, account_id, made_at, seqs, keys)
    SELECT id, true, :account_id, :now, CAST(:seqs AS bigint[]), CAST(:keys AS text[]) FROM alive
    RETURNING id
""")

# Held until the claim is committed: whoever would reap this sender passes it over, or came first and is seen here.
_HOLD = text("SELECT 1 FROM senders WHERE id = :owner AND alive_until > :now FOR KEY SHARE")

_BEAT = text("UPDATE senders SET alive_until = :until WHERE id = :owner AND alive_until > :now RETURNING id")

# A mark is needed as long as a row of it is under way. Its rows are looked up one by one until one is found: asked for
# all at once, a mark of thousands seems dearer than reading the whole table, and with a million rows that took minutes.
_TRIM = text(f"""{BY_INDEX}
    DELETE FROM sender_marks m WHERE m.sender_id = :owner AND NOT EXISTS (
        SELECT FROM unnest(m.seqs) AS marked(seq), LATERAL (
            SELECT FROM deliveries dl
            WHERE dl.distribution_id = :distribution_id AND dl.seq = marked.seq AND dl.state = 'sending'
              AND dl.lease_owner = :owner OFFSET 0
        ) under_way
    )
""")

_RECORD = text(
    BY_ARRAY
    + """
    WITH v AS (
        SELECT * FROM unnest(
            CAST(:seqs AS bigint[]), CAST(:states AS text[]), CAST(:dues AS timestamptz[]), CAST(:classes AS text[]),
            CAST(:codes AS text[]), CAST(:details AS text[]), CAST(:message_ids AS text[]),
            CAST(:request_ids AS text[]), CAST(:numbers AS int[]), CAST(:begun AS timestamptz[]),
            CAST(:latencies AS int[]), CAST(:accounts AS int[]), CAST(:keys AS text[])
        ) AS v(seq, state, due_at, error_class, code, detail, message_id, request_id, number, began_at, latency_ms,
               account_id, key)
    ), attempted AS (
        INSERT INTO attempts (delivery_seq, number, account_id, began_at, latency_ms, error_class, code, detail,
                              request_id, provider_message_id)
        SELECT seq, number, account_id, began_at, latency_ms, error_class, code, detail, request_id, message_id FROM v
    )
    UPDATE deliveries dl SET
        state = v.state,
        due_at = v.due_at,
        tries = v.number,
        first_tried_at = COALESCE(dl.first_tried_at, v.began_at),
        lease_owner = CASE WHEN v.state = 'unknown' THEN dl.lease_owner END,
        account_id = v.account_id,
        call_began_at = CASE WHEN v.state = 'unknown' THEN COALESCE(dl.call_began_at, v.began_at) END,
        key = CASE WHEN v.state = 'unknown' THEN COALESCE(dl.key, v.key) END,
        error_class = CASE WHEN v.state = 'unknown' THEN 'unknown_outcome' ELSE v.error_class END,
        error_code = NULLIF(v.code, ''),
        provider_message_id = COALESCE(v.message_id, dl.provider_message_id),
        sent_at = CASE WHEN v.state = 'sent' THEN CAST(:now AS timestamptz) ELSE dl.sent_at END,
        changed_at = :now
    FROM v
    WHERE dl.distribution_id = :distribution_id AND dl.seq = v.seq AND dl.seq = ANY(CAST(:seqs AS bigint[]))
      AND dl.lease_owner = :owner AND (dl.state = 'sending' OR (dl.state = 'unknown' AND v.state <> 'unknown'))
"""
)

# A row goes back to where it may be claimed; one in doubt, whose replay did not leave, is in doubt again.
_BACK = """
    state = CASE WHEN {in_doubt} THEN 'unknown' WHEN dl.tries > 0 THEN 'retrying' ELSE 'planned' END,
    lease_owner = CASE WHEN {in_doubt} THEN dl.lease_owner END,
    error_class = CASE WHEN {in_doubt} THEN 'unknown_outcome' ELSE dl.error_class END,
    due_at = CASE WHEN {in_doubt} THEN CASE WHEN {key} IS NOT NULL THEN GREATEST(dl.due_at, :now) END
             WHEN dl.tries > 0 THEN COALESCE(dl.due_at, :now) END,
    changed_at = :now
"""

_RELEASE = text(f"""{BY_ARRAY}
    UPDATE deliveries dl SET {_BACK.format(in_doubt="dl.key IS NOT NULL", key="dl.key")}
    WHERE dl.distribution_id = :distribution_id AND dl.seq = ANY(CAST(:seqs AS bigint[])) AND dl.state = 'sending'
      AND dl.lease_owner = :owner
    RETURNING dl.seq, dl.state
""")

# Of a sender that was taken for dead while these waited for a free slot: it knows that they have not left.
_NEVER_LEFT = text(f"""{BY_ARRAY}
    UPDATE deliveries dl SET
        state = 'retrying', due_at = :now, lease_owner = NULL, call_began_at = NULL, error_class = NULL,
        changed_at = :now
    WHERE dl.distribution_id = :distribution_id AND dl.seq = ANY(CAST(:seqs AS bigint[])) AND dl.state = 'unknown'
      AND dl.lease_owner = :owner AND dl.key IS NULL
""")

_DEAD = text("SELECT id, distribution_id FROM senders WHERE alive_until <= :now ORDER BY id FOR UPDATE SKIP LOCKED")

# Of each row the last mark tells: its call may have left, or surely has not.
_REAPED = _BACK.format(in_doubt="(held.begun OR dl.key IS NOT NULL)", key="COALESCE(dl.key, held.key)")
_REAP = text(f"""{BY_INDEX}
    WITH held AS (
        SELECT DISTINCT ON (row.seq) row.seq, m.begun, m.account_id, m.made_at, row.key
        FROM sender_marks m, unnest(m.seqs, m.keys) AS row(seq, key)
        WHERE m.sender_id = :owner ORDER BY row.seq, m.id DESC
    ), picked AS MATERIALIZED (
        SELECT dl.id, held.* FROM held, LATERAL (
            SELECT id FROM deliveries WHERE distribution_id = :distribution_id AND seq = held.seq OFFSET 0
        ) dl
    )
    UPDATE deliveries dl SET {_REAPED},
        call_began_at = CASE WHEN held.begun THEN COALESCE(dl.call_began_at, held.made_at) ELSE dl.call_began_at END,
        account_id = CASE WHEN held.begun THEN held.account_id ELSE dl.account_id END,
        key = COALESCE(dl.key, held.key)
    FROM picked held WHERE dl.id = held.id AND dl.state = 'sending' AND dl.lease_owner = :owner
    RETURNING dl.seq, dl.state
""")
_LEAVE = text("DELETE FROM senders WHERE id = :owner")

# Tried at least once and out of time, even where the account backs off and would not let it be tried again.
_GIVE_UP = text("""
    WITH late AS (
        SELECT id FROM deliveries
        WHERE distribution_id = :distribution_id AND due_at IS NOT NULL AND state = 'retrying'
          AND first_tried_at <= :tried_before AND error_class = ANY(CAST(:classes AS text[]))
        FOR UPDATE SKIP LOCKED
    )
    UPDATE deliveries dl SET state = 'failed', due_at = NULL, changed_at = :now
    FROM late WHERE dl.id = late.id RETURNING dl.seq
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
    FROM deliveries dl WHERE dl.distribution_id = :distribution_id AND dl.seq = ANY(CAST(:seqs AS bigint[]))
    ORDER BY dl.customer_id
    ON CONFLICT (customer_id, channel) DO UPDATE
    SET granted = false, source = excluded.source, recorded_at = excluded.recorded_at
""")


#: Of a message that carries none.
NO_CODES: Mapping[str, str] = MappingProxyType({})


class Claimed(NamedTuple):
    """A delivery that a sender holds, with what its message is rendered from. `key` is set on a replay alone."""

    seq: int
    id: UUID
    address: str
    tries: int
    first_tried_at: datetime | None
    key: str | None
    account_id: int | None  # of the call in doubt, on a replay
    external_id: str
    name: str | None
    country: str
    language: str
    timezone: str
    codes: Mapping[str, str] = NO_CODES  # by coupon, as they are written

    def __repr__(self) -> str:
        return f"Claimed(seq={self.seq}, id={self.id})"  # codes and addresses are nobody's to read in a log


class Result(NamedTuple):
    """What one try came to, as it is written down."""

    seq: int
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
    account_id: int
    key: str | None


class Claim(NamedTuple):
    deliveries: list[Claimed]
    settled: Mapping[DeliveryState, int]  # of those that were taken and may not leave, without a call
    good_until: datetime | None = None  # what has not left by then is to be claimed anew: quiet hours, a new day


class Reaped(NamedTuple):
    given_back: int
    in_doubt: int


def enter(session: Session, *, distribution_id: int, owner: UUID, until: datetime, now: datetime, host: str) -> None:
    """Let a sender begin its work: what it claims is its own until then, and longer as long as it says so."""
    values = {"distribution_id": distribution_id, "owner": owner, "until": until, "now": now, "host": host}
    session.execute(_ENTER, values)


def hold_alive(session: Session, *, owner: UUID, now: datetime) -> bool:
    """Keep a sender from being taken for dead until the transaction ends; False when it counts as dead already."""
    return session.scalar(_HOLD, {"owner": owner, "now": now}) is not None


def beat(session: Session, *, owner: UUID, until: datetime, now: datetime) -> bool:
    """Hold on to what is held; False when the sender counts as dead already."""
    return session.scalar(_BEAT, {"owner": owner, "until": until, "now": now}) is not None


def forget_settled(session: Session, *, distribution_id: int, owner: UUID) -> None:
    """Forget the marks of a sender of which nothing is under way any more."""
    session.execute(_TRIM, {"owner": owner, "distribution_id": distribution_id})


def claim_fresh(
    session: Session, *, distribution_id: int, owner: UUID, limit: int, now: datetime, coupons: Sequence[str] = ()
) -> Claim:
    """Take up to `limit` rows that nobody has tried yet, while the distribution may send.

    Everything is asked again here: theme live on this revision, not ended, nor an offer of it (of a correction: taken
    down), distribution going, address not suppressed, consent given. Rows that others hold are passed over, never
    waited for. With each come the recipient's codes of the `coupons` that the message names.
    """
    own = {"distribution_id": distribution_id, "owner": owner, "limit": limit, "now": now}
    return _taken(session, CLAIM_FRESH, own, coupons)


def claim_waiting(
    session: Session, *, distribution_id: int, owner: UUID, limit: int, now: datetime, coupons: Sequence[str] = ()
) -> Claim:
    """The same for rows whose time has come again: retried ones, and held ones."""
    own = {"distribution_id": distribution_id, "owner": owner, "limit": limit, "now": now}
    return _taken(session, CLAIM_WAITING, own, coupons)


def claim_replays(
    session: Session,
    *,
    distribution_id: int,
    owner: UUID,
    limit: int,
    account_ids: Sequence[int],
    now: datetime,
    coupons: Sequence[str] = (),
) -> Claim:
    """The same for rows in doubt whose key the provider still knows, of calls over these accounts."""
    own = {"distribution_id": distribution_id, "owner": owner, "limit": limit, "now": now}
    known = {"keys_since": now - KEY_VALIDITY, "account_ids": plain_array(account_ids)}
    return _taken(session, CLAIM_REPLAYS, {**own, **known}, coupons)


def _taken(session: Session, claiming: Claiming, values: Mapping[str, object], coupons: Sequence[str]) -> Claim:
    if not coupons:
        rows = session.execute(claiming.plain, values).all()
        held = [Claimed(*row[:-1]) for row in rows if row[-1] == DeliveryState.SENDING]
    else:
        rows = session.execute(claiming.with_codes, {**values, "coupons": text_array(coupons)}).all()
        held = [Claimed._make((*row[:-2], _written(row[-2]))) for row in rows if row[-1] == DeliveryState.SENDING]
    return Claim(held, Counter({DeliveryState.SUPPRESSED: len(rows) - len(held)}))


def _written(codes: Mapping[str, int | str | None]) -> Mapping[str, str]:
    found = {coupon: code for coupon, code in codes.items() if code is not None}
    return {coupon: written(code) if isinstance(code, int) else code for coupon, code in found.items()}


def begin_calls(
    session: Session,
    *,
    distribution_id: int,
    owner: UUID,
    account_id: int,
    seqs: Sequence[int],
    keys: Sequence[str | None] | None,
    until: datetime,
    now: datetime,
) -> bool:
    """Mark durably that the calls of these may leave from now on, and hold on to what is held.

    False: none may leave, for the sender counts as dead, or the distribution may no longer send.
    """
    values = {"seqs": plain_array(seqs), "keys": None if keys is None else text_array(keys), "account_id": account_id}
    moment = {"distribution_id": distribution_id, "owner": owner, "until": until, "now": now}
    return session.scalar(_BEGIN, {**values, **moment}) is not None


def record_outcomes(
    session: Session, *, distribution_id: int, owner: UUID, results: Sequence[Result], now: datetime, durably: bool
) -> int:
    """Write outcomes and attempts; returns how many rows were still ours to move.

    A row that was taken from us and that somebody else took on is left alone; one that was only declared in doubt is
    settled by the answer that came late after all. The attempt is kept either way.
    """
    (
        seqs, states, dues, classes, codes, details, message_ids, request_ids, numbers, begun, latencies, accounts, keys
    ) = zip(*results, strict=True)  # fmt: skip
    columns = {
        "seqs": plain_array(seqs),
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
        "accounts": plain_array(accounts),
        "keys": text_array(keys),
    }
    if not durably:
        session.execute(text(LATER_ON_DISK))
    done = session.execute(_RECORD, {**columns, "distribution_id": distribution_id, "owner": owner, "now": now})
    return int(done.rowcount)  # type: ignore[attr-defined] # a CursorResult, which the stubs widen


def release(session: Session, *, distribution_id: int, owner: UUID, seqs: Sequence[int], now: datetime) -> None:
    """Give back deliveries whose call never left; a replay is in doubt again.

    One that was declared in doubt, because its sender was taken for dead before it could make the call, is so no more.
    """
    values = {"distribution_id": distribution_id, "owner": owner, "seqs": plain_array(seqs), "now": now}
    session.execute(_NEVER_LEFT, values)
    _fresh_again(session, distribution_id, session.execute(_RELEASE, values).all())


def leave(session: Session, *, owner: UUID) -> None:
    """A sender that holds nothing any more is gone."""
    session.execute(_LEAVE, {"owner": owner})


def reap_dead_senders(session: Session, *, now: datetime) -> Reaped:
    """Take back what dead senders held: claimable where no call had begun, else in doubt, with its key."""
    given_back = in_doubt = 0
    for owner, distribution_id in session.execute(_DEAD, {"now": now}).all():
        rows = session.execute(_REAP, {"owner": owner, "distribution_id": distribution_id, "now": now}).all()
        session.execute(_LEAVE, {"owner": owner})
        _fresh_again(session, distribution_id, rows)
        doubtful = sum(row.state == DeliveryState.UNKNOWN for row in rows)
        in_doubt += doubtful
        given_back += len(rows) - doubtful
    return Reaped(given_back, in_doubt)


def _fresh_again(session: Session, distribution_id: int, rows: Sequence[Row[Any]]) -> None:
    fresh = [row.seq for row in rows if row.state == DeliveryState.PLANNED]
    if fresh:
        walks.back_to(session, distribution_id=distribution_id, seq=min(fresh))


def give_up_after_budget(session: Session, *, distribution_id: int, budget: timedelta, now: datetime) -> Sequence[int]:
    """Fail what has been tried in vain for longer than its budget; returns which, by their numbers."""
    bound = sorted(TRANSIENT_CLASSES - {ErrorClass.QUOTA})  # a quota comes back when its window does
    parameters = {"tried_before": now - budget, "classes": plain_array(bound), "now": now}
    return session.scalars(_GIVE_UP, {"distribution_id": distribution_id, **parameters}).all()


def suppress(session: Session, *, distribution_id: int, reasons: dict[str, str], now: datetime) -> None:
    """Suppress addresses, each for its reason, for the product line of the distribution."""
    columns = {"addresses": text_array(reasons), "reasons": text_array(reasons.values())}
    session.execute(_SUPPRESS, {"distribution_id": distribution_id, "now": now, **columns})


def record_opt_outs(session: Session, *, distribution_id: int, seqs: Iterable[int], now: datetime) -> None:
    session.execute(_OPT_OUT, {"distribution_id": distribution_id, "seqs": plain_array(seqs), "now": now})
