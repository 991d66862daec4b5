"""Deliveries in doubt that their provider can be asked about, and what its word does to them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from channels.engine import KEY_VALIDITY
from channels.inquiries import WAITS
from channels.states import DeliveryState
from models.delivery import Distribution, ProviderAccount
from models.queries import tallies
from models.queries.access_paths import by_index
from models.queries.arrays import plain_array, text_array

# A delivery that can be replayed with its key is left to that, as long as the provider knows the key.
_DUE = text("""
    SELECT dl.id, dl.seq, dl.distribution_id, dl.address, dl.channel, dl.call_began_at,
           COALESCE(i.asked, 0) AS asked, COALESCE(i.absent, 0) AS absent
    FROM deliveries dl
    LEFT JOIN inquiries i ON i.delivery_seq = dl.seq AND i.call_began_at = dl.call_began_at
    WHERE CAST(dl.distribution_id AS bigint) = ANY(CAST(:distributions AS bigint[]))
      AND dl.error_class = 'unknown_outcome' AND dl.state = 'unknown' AND dl.account_id = :account_id
      AND dl.call_began_at <= CAST(:now AS timestamptz) - CAST(:first_wait AS interval)
      AND (dl.key IS NULL OR dl.call_began_at <= :keys_since)
      AND (i.delivery_seq IS NULL OR i.ask_again_at <= :now)
    ORDER BY i.asked_at NULLS FIRST, dl.seq
    LIMIT :limit
""")

_OURS = text("""
    SELECT v.seq, led.distribution_id IS NOT DISTINCT FROM v.distribution_id AS ours
    FROM unnest(CAST(:seqs AS bigint[]), CAST(:distributions AS int[]), CAST(:references AS uuid[]))
        AS v(seq, distribution_id, reference)
    LEFT JOIN deliveries led ON led.id = v.reference
""")

# A message id that another delivery to the same address has is that one's. OFFSET 0: each is looked up by itself.
_TAKEN = text("""
    SELECT v.seq
    FROM unnest(CAST(:seqs AS bigint[]), CAST(:addresses AS text[]), CAST(:channels AS text[]),
                CAST(:message_ids AS text[])) AS v(seq, address, channel, message_id)
    WHERE EXISTS (
        SELECT FROM deliveries other
        WHERE other.address = v.address AND other.channel = v.channel AND other.seq <> v.seq AND (
            other.provider_message_id = v.message_id OR EXISTS (
                SELECT FROM attempts a WHERE a.delivery_seq = other.seq AND a.provider_message_id = v.message_id
                OFFSET 0
            )
        )
        OFFSET 0
    )
""")

_NOTE = text("""
    INSERT INTO inquiries (delivery_seq, call_began_at, asked, absent, asked_at, ask_again_at, answer)
    SELECT * FROM unnest(CAST(:seqs AS bigint[]), CAST(:began AS timestamptz[]), CAST(:asked AS int[]),
                         CAST(:absent AS int[]), CAST(:asked_ats AS timestamptz[]), CAST(:agains AS timestamptz[]),
                         CAST(:answers AS text[]))
    ORDER BY 1
    ON CONFLICT (delivery_seq) DO UPDATE SET
        call_began_at = excluded.call_began_at, asked = excluded.asked, absent = excluded.absent,
        asked_at = excluded.asked_at, ask_again_at = excluded.ask_again_at, answer = excluded.answer
""")

# Only a row that is still in doubt about the very call that was asked about; of a theme that is over nothing is sent
# again, whatever was found.
_SETTLE = text("""
    WITH v AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:began AS timestamptz[]), CAST(:states AS text[]), CAST(:codes AS text[]),
            CAST(:message_ids AS text[]), CAST(:notes AS text[])
        ) AS v(id, began_at, state, code, message_id, note)
    ), picked AS MATERIALIZED (
        SELECT v.*, t.state AS theme_state FROM deliveries dl JOIN v ON v.id = dl.id JOIN themes t ON t.id = dl.theme_id
        WHERE dl.id = ANY(CAST(:ids AS uuid[])) AND dl.state = 'unknown' AND dl.call_began_at = v.began_at
        ORDER BY dl.seq FOR UPDATE OF dl
    ), moved AS (
        UPDATE deliveries dl SET
            state = v.state,
            due_at = CASE WHEN v.state = 'retrying' THEN CAST(:now AS timestamptz) END,
            first_tried_at = CASE WHEN v.state = 'retrying' THEN NULL ELSE dl.first_tried_at END,
            sent_at = CASE WHEN v.state IN ('sent', 'delivered') THEN v.began_at ELSE dl.sent_at END,
            provider_message_id = COALESCE(v.message_id, dl.provider_message_id),
            error_class = CASE WHEN v.state = 'failed' THEN 'unrecognised' END,
            error_code = CASE WHEN v.state = 'failed' THEN NULLIF(v.code, '') END,
            lease_owner = NULL, call_began_at = NULL, key = NULL, changed_at = :now
        FROM picked v
        WHERE dl.id = v.id AND dl.state = 'unknown'
          AND (v.state <> 'retrying' OR v.theme_state IN ('live', 'paused') OR dl.purpose <> 'theme')
        RETURNING dl.id, dl.seq, dl.distribution_id, dl.tries, dl.account_id, v.began_at, v.state, v.note, v.message_id
    ), noted AS (
        INSERT INTO attempts (delivery_seq, number, account_id, began_at, latency_ms, code, detail, provider_message_id)
        SELECT moved.seq, moved.tries, moved.account_id, moved.began_at, 0, 'inquired', moved.note, moved.message_id
        FROM moved
    ), reopened AS (
        UPDATE distributions d SET state = 'sending', completed_at = NULL
        FROM (SELECT DISTINCT distribution_id FROM moved WHERE moved.state = 'retrying') AS again
        WHERE d.id = again.distribution_id AND d.state = 'complete'
    )
    SELECT seq, state FROM moved
""")


class InDoubt(NamedTuple):
    """A delivery in doubt that is to be asked about."""

    id: UUID
    seq: int
    distribution_id: int
    address: str
    channel: str
    call_began_at: datetime
    asked: int
    absent: int


class Noted(NamedTuple):
    seq: int
    call_began_at: datetime
    asked: int
    absent: int
    ask_again_at: datetime | None
    answer: str


class Settling(NamedTuple):
    id: UUID
    call_began_at: datetime
    state: DeliveryState
    code: str
    provider_message_id: str | None
    note: str


def distributions_in_doubt(session: Session) -> Sequence[int]:
    query = select(Distribution.id).where(tallies.any_in([DeliveryState.UNKNOWN]))
    return session.scalars(query.order_by(Distribution.id)).all()


def accounts_in_doubt(session: Session, distributions: Sequence[int]) -> Sequence[ProviderAccount]:
    """The accounts over which the calls went that are in doubt."""
    by_index(session)
    ids = session.scalars(
        text(
            "SELECT DISTINCT dl.account_id FROM deliveries dl"
            " WHERE CAST(dl.distribution_id AS bigint) = ANY(CAST(:of AS bigint[]))"
            " AND dl.error_class = 'unknown_outcome' AND dl.state = 'unknown' AND dl.account_id IS NOT NULL"
        ),
        {"of": plain_array(distributions)},
    ).all()
    return session.scalars(
        select(ProviderAccount).where(ProviderAccount.id.in_(ids)).order_by(ProviderAccount.id)
    ).all()


def due(
    session: Session, *, distributions: Sequence[int], account_id: int, limit: int, now: datetime
) -> Sequence[InDoubt]:
    """What is to be asked about now: never asked first, then whoever waits longest."""
    by_index(session)
    values = {
        "distributions": plain_array(distributions),
        "account_id": account_id,
        "first_wait": WAITS[0],
        "keys_since": now - KEY_VALIDITY,
        "limit": limit,
        "now": now,
    }
    return [InDoubt(*row) for row in session.execute(_DUE, values)]


def references_of(session: Session, named: Sequence[tuple[int, int, UUID]]) -> Sequence[tuple[int, bool]]:
    """Of each (number, distribution, reference of a provider's record): whether the record is of that distribution."""
    by_index(session)
    seqs, distributions, references = zip(*named, strict=True)
    values = {
        "seqs": plain_array(seqs),
        "distributions": plain_array(distributions),
        "references": plain_array(references),
    }
    return [(row[0], row[1]) for row in session.execute(_OURS, values)]


def of_others(session: Session, named: Sequence[tuple[int, str, str, str]]) -> frozenset[int]:
    """Of each (number, address, channel, message id): those whose message id another delivery has."""
    by_index(session)
    seqs, addresses, channels, message_ids = zip(*named, strict=True)
    values = {
        "seqs": plain_array(seqs),
        "addresses": text_array(addresses),
        "channels": plain_array(channels),
        "message_ids": text_array(message_ids),
    }
    return frozenset(session.scalars(_TAKEN, values))


def note(session: Session, noted: Sequence[Noted], *, now: datetime) -> None:
    values = {
        "seqs": plain_array(one.seq for one in noted),
        "began": plain_array(_quoted(one.call_began_at) for one in noted),
        "asked": plain_array(one.asked for one in noted),
        "absent": plain_array(one.absent for one in noted),
        "asked_ats": plain_array(_quoted(now) for _ in noted),
        "agains": plain_array(None if one.ask_again_at is None else _quoted(one.ask_again_at) for one in noted),
        "answers": text_array(one.answer for one in noted),
    }
    session.execute(_NOTE, values)


def settle(session: Session, settling: Sequence[Settling], *, now: datetime) -> Sequence[tuple[int, DeliveryState]]:
    """Move those that are still in doubt about that call; returns the number and the new state of each."""
    by_index(session)
    values = {
        "ids": plain_array(one.id for one in settling),
        "began": plain_array(_quoted(one.call_began_at) for one in settling),
        "states": plain_array(one.state.value for one in settling),
        "codes": text_array(one.code for one in settling),
        "message_ids": text_array(one.provider_message_id for one in settling),
        "notes": text_array(one.note for one in settling),
        "now": now,
    }
    return [(row[0], DeliveryState(row[1])) for row in session.execute(_SETTLE, values)]


def _quoted(moment: datetime) -> str:
    return f'"{moment.isoformat()}"'
