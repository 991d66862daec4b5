# ruff: noqa: S608 - every statement here is put together from constants of this module
"""The idempotency keys of many requests at once."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.queries.access_paths import BY_INDEX
from models.queries.arrays import text_array

# In one order for all: whoever waits for a key has no later one.
_TAKE = text(
    BY_INDEX
    + """
    INSERT INTO kept_answers (product_line_id, key, request_hash, made_at)
    SELECT :line, v.key, v.hash, :now
    FROM unnest(CAST(:keys AS text[]), CAST(:hashes AS text[])) AS v(key, hash) ORDER BY v.key
    ON CONFLICT (product_line_id, key) DO NOTHING RETURNING key
"""
)
_FIND = text("""
    SELECT key, request_hash, answer FROM kept_answers
    WHERE product_line_id = :line AND key = ANY(CAST(:keys AS text[]))
""")
_KEEP = text("""
    UPDATE kept_answers k SET answer = CAST(v.answer AS jsonb)
    FROM unnest(CAST(:keys AS text[]), CAST(:answers AS text[])) AS v(key, answer)
    WHERE k.product_line_id = :line AND k.key = v.key
""")


class Kept(NamedTuple):
    request_hash: str
    answer: Mapping[str, Any] | None


def take(session: Session, hashes: Mapping[str, str], *, product_line_id: int, now: datetime) -> set[str]:
    """Of keys with the hashes of their requests those that are new: they are ours until the transaction ends.

    One that is being used waits for its transaction.
    """
    values = {"keys": text_array(hashes), "hashes": text_array(hashes.values())}
    return set(session.scalars(_TAKE, {"line": product_line_id, "now": now, **values}))


def find(session: Session, keys: Iterable[str], *, product_line_id: int) -> Mapping[str, Kept]:
    rows = session.execute(_FIND, {"line": product_line_id, "keys": text_array(keys)})
    return {row.key: Kept(row.request_hash, row.answer) for row in rows}


def keep(session: Session, answers: Mapping[str, Mapping[str, Any]], *, product_line_id: int) -> None:
    written = (orjson.dumps(answer).decode() for answer in answers.values())
    values = {"keys": text_array(answers), "answers": text_array(written)}
    session.execute(_KEEP, {"line": product_line_id, **values})
