# ruff: noqa: S608 - every statement here is put together from constants of this module
"""The idempotency keys of many requests at once, and who sent them."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.queries.access_paths import BY_INDEX
from models.queries.arrays import text_array

# In one order for all: whoever waits for a key has no later one. What else is asked before anything is locked comes
# with it: a batch is worth little more than its ways to the database.
_TAKE = text(
    BY_INDEX
    + """
    WITH taken AS (
        INSERT INTO kept_answers (product_line_id, key, request_hash, made_at)
        SELECT :line, v.key, v.hash, :now
        FROM unnest(CAST(:keys AS text[]), CAST(:hashes AS text[])) AS v(key, hash) ORDER BY v.key
        ON CONFLICT (product_line_id, key) DO NOTHING RETURNING key
    )
    SELECT (SELECT json_agg(key) FROM taken) AS keys,
           (SELECT json_object_agg(external_id, id) FROM customers
            WHERE product_line_id = :line AND external_id = ANY(CAST(:customers AS text[]))) AS customers,
           (SELECT offers_version FROM product_lines WHERE id = :line) AS version
"""
)
_FIND = text("""
    SELECT key, request_hash, answer FROM kept_answers
    WHERE product_line_id = :line AND key = ANY(CAST(:keys AS text[]))
""")
# The keys by themselves as well: of an array it is known how many there are, and each is looked up.
_KEEP = text("""
    UPDATE kept_answers k SET answer = CAST(:answers AS jsonb) -> v.key
    FROM unnest(CAST(:keys AS text[])) AS v(key) WHERE k.product_line_id = :line AND k.key = v.key
""")


class Kept(NamedTuple):
    request_hash: str
    answer: Mapping[str, Any] | None


class Taken(NamedTuple):
    """Keys that are new; ids of customers by their external ones; the version of the product line's live offers."""

    keys: set[str]
    customers: Mapping[str, int]
    version: int


def take(
    session: Session, hashes: Mapping[str, str], *, customers: Iterable[str], product_line_id: int, now: datetime
) -> Taken:
    """Of keys with the hashes of their requests those that are new: they are ours until the transaction ends.

    One that is being used waits for its transaction. The rest is as it was before that.
    """
    values = {
        "keys": text_array(hashes),
        "hashes": text_array(hashes.values()),
        "customers": text_array(customers),
        "line": product_line_id,
        "now": now,
    }
    keys, ids, version = session.execute(_TAKE, values).one()
    return Taken(set(keys or ()), ids or {}, version)


def find(session: Session, keys: Iterable[str], *, product_line_id: int) -> Mapping[str, Kept]:
    rows = session.execute(_FIND, {"line": product_line_id, "keys": text_array(keys)})
    return {row.key: Kept(row.request_hash, row.answer) for row in rows}


def keep(session: Session, answers: Mapping[str, Mapping[str, Any]], *, product_line_id: int) -> None:
    values = {"keys": text_array(answers), "answers": orjson.dumps(answers).decode()}
    session.execute(_KEEP, {"line": product_line_id, **values})
