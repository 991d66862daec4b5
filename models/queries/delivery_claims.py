# ruff: noqa: S608 - every statement here is put together from constants of this module
"""How a sender makes rows its own: one statement that asks everything again, and brings what messages are made from."""

from typing import NamedTuple

from sqlalchemy import TextClause, text

from models.queries import walks
from models.queries.access_paths import IN_ORDER

# Lost in a crash of the database: a claim is then claimable again, an outcome in doubt. Neither is sent twice for it.
LATER_ON_DISK = "SET LOCAL synchronous_commit = off;"

# What must hold for any call of a distribution to leave, now.
OPEN = """
    SELECT d.id, t.product_line_id, d.channel
    FROM distributions d
    JOIN themes t ON t.id = d.theme_id
    WHERE d.id = :distribution_id AND d.state = 'sending' AND t.revision_id = d.revision_id
      AND CASE d.purpose
          WHEN 'theme' THEN t.state = 'live' AND t.ends_at > :now
          WHEN 'correction' THEN t.state IN ('revoking', 'revoked')
          END
      AND (d.expires_at IS NULL OR d.expires_at > :now)
"""

# What must hold for this person and address, now. OFFSET 0, here and below: each row is looked up by itself. Once the
# statistics know the tables, reading all consents and all customers for every batch would seem the better way.
_ALLOWED = """
    NOT EXISTS (
        SELECT FROM suppressions s
        WHERE s.product_line_id = open.product_line_id AND s.channel = open.channel AND s.address = picked.address
        OFFSET 0
    ) AND EXISTS (
        SELECT FROM consents c WHERE c.customer_id = picked.customer_id AND c.channel = open.channel AND c.granted
        OFFSET 0
    )
"""

_PICK_FRESH = f"{walks.fresh('EXISTS (SELECT FROM open)')}, picked AS (SELECT * FROM fresh)"

_PICK_WAITING = """
    picked AS (
        SELECT id, seq, customer_id, address FROM deliveries
        WHERE distribution_id = :distribution_id AND EXISTS (SELECT FROM open)
          AND due_at IS NOT NULL AND due_at <= :now AND state IN ('retrying', 'held')
        ORDER BY due_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
"""

_PICK_REPLAYS = """
    picked AS (
        SELECT id, seq, customer_id, address FROM deliveries
        WHERE distribution_id = :distribution_id AND EXISTS (SELECT FROM open)
          AND due_at IS NOT NULL AND due_at <= :now AND state = 'unknown' AND error_class = 'unknown_outcome'
          AND key IS NOT NULL AND call_began_at > :keys_since AND account_id = ANY(CAST(:account_ids AS int[]))
        LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
"""

_CLAIM = """
    WITH {pools}open AS ({open}), {picked}, judged AS MATERIALIZED (
        SELECT picked.id, {allowed} AS allowed FROM picked CROSS JOIN open
    ), claimed AS (
        UPDATE deliveries dl SET
            state = CASE WHEN judged.allowed THEN 'sending' ELSE 'suppressed' END,
            lease_owner = CASE WHEN judged.allowed THEN CAST(:owner AS uuid) END,
            due_at = CASE WHEN judged.allowed THEN due_at END,
            changed_at = :now
        FROM judged WHERE dl.id = judged.id
        RETURNING dl.seq, dl.id, dl.customer_id, dl.address, dl.tries, dl.first_tried_at, dl.key, dl.account_id,
                  dl.state
    ), marked AS (
        INSERT INTO sender_marks (sender_id, begun, made_at, seqs)
        SELECT :owner, false, :now, array_agg(seq) FROM claimed WHERE state = 'sending' HAVING count(*) > 0
    )
    SELECT claimed.seq, claimed.id, claimed.address, claimed.tries, claimed.first_tried_at, claimed.key,
           claimed.account_id, c.external_id, c.name, c.country, c.language, c.timezone{codes}, claimed.state
    FROM claimed, LATERAL (SELECT * FROM customers WHERE id = claimed.customer_id OFFSET 0) c
"""


# What messages with codes are rendered from beside it: a number is her own code, a text that of all.
_POOLS = """
    pools AS MATERIALIZED (
        SELECT named.offer, p.id, p.shared FROM unnest(CAST(:coupons AS text[])) AS named(offer)
        LEFT JOIN code_pools p ON p.offer = named.offer
            AND p.theme_id = (SELECT theme_id FROM distributions WHERE id = :distribution_id)
    ),
"""
_CODES = """, (
        SELECT jsonb_object_agg(pools.offer, COALESCE(to_jsonb(pools.shared), to_jsonb((
            SELECT number FROM codes WHERE pool_id = pools.id AND customer_id = claimed.customer_id OFFSET 0
        )))) FROM pools
    )
"""


class Claiming(NamedTuple):
    """The same claim for messages without codes, and for those with some."""

    plain: TextClause
    with_codes: TextClause


def _claim(picked: str, *, allowed: str = _ALLOWED) -> Claiming:
    def statement(pools: str, codes: str) -> TextClause:
        whole = _CLAIM.format(open=OPEN, picked=picked, allowed=allowed, pools=pools, codes=codes)
        return text(IN_ORDER + LATER_ON_DISK + whole)

    return Claiming(statement("", ""), statement(_POOLS, _CODES))


CLAIM_FRESH = _claim(_PICK_FRESH)
CLAIM_WAITING = _claim(_PICK_WAITING)
# A replay settles what may already have reached the person: that is not a new message, so consent is not asked again.
CLAIM_REPLAYS = _claim(_PICK_REPLAYS, allowed="true")
