# ruff: noqa: S608 - every statement here is put together from constants of this module
"""Receipts: stored at once, joined to their deliveries afterwards. Set-based, by array parameters."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Row, RowMapping, func, select, text
from sqlalchemy.orm import Session

from channels.callbacks import SubscriptionWord
from channels.message import Receipt
from channels.receipts import as_reference
from channels.states import Channel, DeliveryState, ErrorClass
from models.queries.access_paths import BY_INDEX
from models.queries.arrays import plain_array, text_array
from models.receipt import ReceiptRow

# A receipt that names neither a delivery nor an address can never be joined: it is kept, and not looked at.
_STORE = text("""
    INSERT INTO receipts (account_id, dedupe, kind, occurred_at, received_at, provider_message_id, reference, address,
                          error_class, code, detail, join_at)
    SELECT :account_id, v.dedupe, v.kind, v.occurred_at, :now, v.message_id, v.reference, v.address, v.error_class,
           v.code, v.detail,
           CASE WHEN v.reference IS NOT NULL OR (v.address IS NOT NULL AND v.message_id IS NOT NULL)
                THEN CAST(:now AS timestamptz) END
    FROM unnest(
        CAST(:dedupes AS text[]), CAST(:kinds AS text[]), CAST(:occurred AS timestamptz[]),
        CAST(:message_ids AS text[]), CAST(:references AS uuid[]), CAST(:addresses AS text[]),
        CAST(:classes AS text[]), CAST(:codes AS text[]), CAST(:details AS text[])
    ) AS v(dedupe, kind, occurred_at, message_id, reference, address, error_class, code, detail)
    ORDER BY v.dedupe
    ON CONFLICT (account_id, dedupe) DO NOTHING
    RETURNING id
""")

_STORE_SUBSCRIPTIONS = text("""
    INSERT INTO subscription_events (account_id, dedupe, openid, template, accepted, occurred_at, received_at)
    SELECT :account_id, v.dedupe, v.openid, v.template, v.accepted, v.occurred_at, :now
    FROM unnest(
        CAST(:dedupes AS text[]), CAST(:openids AS text[]), CAST(:templates AS text[]), CAST(:accepted AS bool[]),
        CAST(:occurred AS timestamptz[])
    ) AS v(dedupe, openid, template, accepted, occurred_at)
    ORDER BY v.dedupe
    ON CONFLICT (account_id, dedupe) DO NOTHING
    RETURNING dedupe
""")

# A batch shares the reference of the delivery that leads its call, so the address says whose receipt it is. A letter
# has a reference of its own, and may bounce from an address to which it was forwarded.
_MATCH = text(
    BY_INDEX
    + """
    WITH r AS (
        SELECT r.id, r.account_id, r.reference, r.address, r.provider_message_id, a.channel, a.product_line_id
        FROM receipts r JOIN provider_accounts a ON a.id = r.account_id WHERE r.id = ANY(CAST(:ids AS bigint[]))
    ), by_reference AS (
        SELECT r.id, dl.id AS delivery_id
        FROM r
        JOIN deliveries led ON led.id = r.reference AND led.channel = r.channel
        JOIN themes t ON t.id = led.theme_id AND t.product_line_id = r.product_line_id
        JOIN deliveries dl ON dl.address = CASE WHEN r.channel = 'email' OR r.address IS NULL THEN led.address
                                           ELSE r.address END
            AND dl.channel = led.channel AND dl.theme_id = led.theme_id AND dl.purpose = led.purpose
    ), by_message AS (
        SELECT r.id, dl.id AS delivery_id
        FROM r JOIN deliveries dl ON dl.address = r.address AND dl.channel = r.channel
        WHERE NOT EXISTS (SELECT FROM by_reference found WHERE found.id = r.id) AND (
            (dl.provider_message_id = r.provider_message_id AND dl.account_id = r.account_id)
            OR EXISTS (
                SELECT FROM attempts at WHERE at.delivery_seq = dl.seq AND at.account_id = r.account_id
                AND at.provider_message_id = r.provider_message_id
            )
        )
    )
    SELECT id, delivery_id FROM by_reference UNION ALL SELECT id, delivery_id FROM by_message
"""
)

# Whoever is just recording a row holds it: its receipts wait for the next look rather than for the lock.
_HOLD = text(
    BY_INDEX
    + """
    SELECT dl.id, dl.seq, dl.distribution_id, dl.channel, dl.customer_id, dl.address, dl.state, dl.error_class,
           dl.error_code, dl.provider_message_id, dl.call_began_at, t.product_line_id
    FROM deliveries dl JOIN themes t ON t.id = dl.theme_id
    WHERE dl.id = ANY(CAST(:ids AS uuid[])) AND dl.state <> 'sending'
    ORDER BY dl.id FOR UPDATE OF dl SKIP LOCKED
"""
)

# What a person settled stands among the attempts as well, and no provider was called for it: a receipt of the call
# before must not look as if it came from an earlier one.
_CALLS = text(
    BY_INDEX
    + """
    SELECT delivery_seq, max(began_at) AS last_began_at, array_agg(DISTINCT provider_message_id) AS message_ids
    FROM attempts WHERE delivery_seq = ANY(CAST(:seqs AS bigint[])) AND NOT (code = 'settled' AND error_class IS NULL)
    GROUP BY delivery_seq
"""
)

_OF_DELIVERIES = text("SELECT * FROM receipts WHERE delivery_id = ANY(CAST(:ids AS uuid[]))")

_MOVE = text(
    BY_INDEX
    + """
    UPDATE deliveries dl SET
        state = v.state,
        due_at = NULL,
        lease_owner = NULL,
        call_began_at = NULL,
        key = NULL,
        error_class = v.error_class,
        error_code = v.code,
        provider_message_id = v.message_id,
        sent_at = CASE WHEN v.state = 'failed' THEN dl.sent_at ELSE COALESCE(dl.sent_at, :now) END,
        changed_at = :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:classes AS text[]), CAST(:codes AS text[]),
                CAST(:message_ids AS text[])) AS v(id, state, error_class, code, message_id)
    WHERE dl.id = v.id AND dl.id = ANY(CAST(:ids AS uuid[]))
"""
)

_JOINED = text(
    BY_INDEX
    + """
    UPDATE receipts r SET delivery_id = v.delivery_id, join_at = v.join_at
    FROM unnest(CAST(:ids AS bigint[]), CAST(:delivery_ids AS uuid[]), CAST(:dues AS timestamptz[]))
        AS v(id, delivery_id, join_at)
    WHERE r.id = v.id AND r.id = ANY(CAST(:ids AS bigint[]))
"""
)

# Of two reasons the one that stays does not depend on which came first.
_SUPPRESS = text("""
    INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)
    SELECT v.product_line_id, v.channel, v.address, max(v.reason), :source, :now
    FROM unnest(CAST(:lines AS int[]), CAST(:channels AS text[]), CAST(:addresses AS text[]), CAST(:reasons AS text[]))
        AS v(product_line_id, channel, address, reason)
    GROUP BY v.product_line_id, v.channel, v.address
    ORDER BY v.product_line_id, v.channel, v.address
    ON CONFLICT (product_line_id, channel, address) DO UPDATE SET reason = excluded.reason
    WHERE suppressions.source = excluded.source AND excluded.reason > suppressions.reason
""")

_OPT_OUT = text("""
    INSERT INTO consents (customer_id, channel, granted, source, recorded_at)
    SELECT DISTINCT v.customer_id, v.channel, false, :source, CAST(:now AS timestamptz)
    FROM unnest(CAST(:customers AS int[]), CAST(:channels AS text[])) AS v(customer_id, channel)
    ORDER BY v.customer_id, v.channel
    ON CONFLICT (customer_id, channel) DO UPDATE
    SET granted = false, source = excluded.source, recorded_at = excluded.recorded_at
    WHERE consents.granted
""")


class Held(NamedTuple):
    """A delivery that receipts have come for, locked."""

    id: UUID
    seq: int
    distribution_id: int
    channel: Channel
    customer_id: int
    address: str
    state: DeliveryState
    error_class: ErrorClass | None
    error_code: str | None
    provider_message_id: str | None
    call_began_at: datetime | None
    product_line_id: int


class CallsOf(NamedTuple):
    message_ids: frozenset[str]
    last_began_at: datetime


class Moved(NamedTuple):
    id: UUID
    state: DeliveryState
    error_class: ErrorClass | None
    code: str | None
    provider_message_id: str | None


class Blocked(NamedTuple):
    """An address that no message may go to any more."""

    product_line_id: int
    channel: Channel
    address: str
    reason: str


def store(session: Session, *, account_id: int, receipts: Sequence[Receipt], now: datetime) -> list[int]:
    """The ids of those that were not known yet."""
    columns = {
        "dedupes": text_array(one.dedupe for one in receipts),
        "kinds": plain_array(one.kind.value for one in receipts),
        "occurred": plain_array(one.occurred_at for one in receipts),
        "message_ids": text_array(one.provider_message_id for one in receipts),
        "references": plain_array(as_reference(one.reference) for one in receipts),
        "addresses": text_array(one.address for one in receipts),
        "classes": plain_array(one.error and one.error.value for one in receipts),
        "codes": text_array(one.code for one in receipts),
        "details": text_array(one.detail for one in receipts),
    }
    return list(session.scalars(_STORE, {"account_id": account_id, "now": now, **columns}))


def store_subscriptions(
    session: Session, *, account_id: int, words: Sequence[SubscriptionWord], now: datetime
) -> set[str]:
    """The dedupe keys of those that were not known yet."""
    columns = {
        "dedupes": text_array(one.dedupe for one in words),
        "openids": text_array(one.openid for one in words),
        "templates": text_array(one.template for one in words),
        "accepted": plain_array(one.accepted for one in words),
        "occurred": plain_array(one.occurred_at for one in words),
    }
    return set(session.scalars(_STORE_SUBSCRIPTIONS, {"account_id": account_id, "now": now, **columns}))


def waiting(session: Session, *, now: datetime, limit: int) -> Sequence[ReceiptRow]:
    """Receipts whose delivery is to be looked for now, locked; those that somebody else is at are passed over."""
    query = select(ReceiptRow).where(ReceiptRow.join_at <= now).order_by(ReceiptRow.join_at).limit(limit)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def next_look(session: Session) -> datetime | None:
    """When the next receipt is to be looked at."""
    return session.scalar(select(func.min(ReceiptRow.join_at)))


def match(session: Session, ids: Iterable[int]) -> dict[int, UUID]:
    """Receipt -> the delivery that it is about."""
    return {row.id: row.delivery_id for row in session.execute(_MATCH, {"ids": plain_array(ids)})}


def hold(session: Session, ids: Iterable[UUID]) -> dict[UUID, Held]:
    """Those deliveries that nobody else is just changing, locked."""
    held = (_held(row) for row in session.execute(_HOLD, {"ids": plain_array(ids)}))
    return {one.id: one for one in held}


def calls(session: Session, seqs: Iterable[int]) -> dict[int, CallsOf]:
    rows = session.execute(_CALLS, {"seqs": plain_array(seqs)})
    return {
        row.delivery_seq: CallsOf(frozenset(one for one in row.message_ids if one is not None), row.last_began_at)
        for row in rows
    }


def of_deliveries(session: Session, ids: Sequence[UUID]) -> Sequence[ReceiptRow]:
    """All receipts that are joined to these, in no order."""
    query = select(ReceiptRow).from_statement(_OF_DELIVERIES)
    return session.scalars(query, {"ids": plain_array(ids)}, execution_options={"populate_existing": True}).all()


def move(session: Session, moved: Sequence[Moved], *, now: datetime) -> None:
    columns = {
        "ids": plain_array(one.id for one in moved),
        "states": plain_array(one.state.value for one in moved),
        "classes": plain_array(one.error_class and one.error_class.value for one in moved),
        "codes": text_array(one.code for one in moved),
        "message_ids": text_array(one.provider_message_id for one in moved),
    }
    session.execute(_MOVE, {"now": now, **columns})


def joined(session: Session, looked_at: Sequence[tuple[int, UUID | None, datetime | None]]) -> None:
    """With each receipt its delivery, or when to look for it again."""
    ids, deliveries, dues = zip(*looked_at, strict=True)
    columns = {
        "ids": plain_array(ids),
        "delivery_ids": plain_array(deliveries),
        "dues": plain_array(dues),
    }
    session.execute(_JOINED, columns)


def suppress(session: Session, blocked: Sequence[Blocked], *, source: str, now: datetime) -> None:
    columns = {
        "lines": plain_array(one.product_line_id for one in blocked),
        "channels": plain_array(one.channel.value for one in blocked),
        "addresses": text_array(one.address for one in blocked),
        "reasons": text_array(one.reason for one in blocked),
    }
    session.execute(_SUPPRESS, {"source": source, "now": now, **columns})


def opt_out(session: Session, customers: Sequence[tuple[int, Channel]], *, source: str, now: datetime) -> None:
    columns = {
        "customers": plain_array(customer for customer, _ in customers),
        "channels": plain_array(channel.value for _, channel in customers),
    }
    session.execute(_OPT_OUT, {"source": source, "now": now, **columns})


def _held(row: Row[tuple[object, ...]]) -> Held:
    values: RowMapping = row._mapping  # noqa: SLF001 - the public name of a row's mapping
    error = values["error_class"]
    return Held(
        id=values["id"],
        seq=values["seq"],
        distribution_id=values["distribution_id"],
        channel=Channel(values["channel"]),
        customer_id=values["customer_id"],
        address=values["address"],
        state=DeliveryState(values["state"]),
        error_class=ErrorClass(error) if error else None,
        error_code=values["error_code"],
        provider_message_id=values["provider_message_id"],
        call_began_at=values["call_began_at"],
        product_line_id=values["product_line_id"],
    )
