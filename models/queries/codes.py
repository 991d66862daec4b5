# ruff: noqa: S608 - every statement here is put together from constants of this module
"""Codes of coupons, by the million: copied in, counted and read out."""

import io
import struct
import sys
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple, cast

import psycopg2.errors
import psycopg2.extensions
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.offer import Code, CodePool
from models.queries.access_paths import BY_INDEX
from models.queries.arrays import plain_array
from models.theme import Theme

_BATCH = 10_000
_BUFFER = 1 << 20
_COPY = "COPY codes (number, pool_id) FROM STDIN (FORMAT binary)"
_HEAD = struct.pack("!11sii", b"PGCOPY\n\xff\r\n\0", 0, 0)
_ROW = struct.Struct("!hiqii")  # how many values, and before each how long it is
_NUMBER_AT = 6
_END = struct.pack("!h", -1)
_PLAIN = {"synchronize_session": False}
# Two partial indexes hold those that are free and those that are somebody's.
_COUNTED = text("""
    SELECT p.offer, p.shared, p.generated,
           (SELECT count(*) FROM codes WHERE pool_id = p.id AND customer_id IS NULL AND held_id IS NULL) AS free,
           (SELECT count(*) FROM codes WHERE pool_id = p.id AND customer_id IS NOT NULL AND held_id IS NULL) AS reserved
    FROM code_pools p WHERE p.theme_id = :theme_id ORDER BY p.offer
""")
_SHARED_BY = text("""
    SELECT p.id, t.key AS theme, p.offer FROM code_pools p JOIN themes t ON t.id = p.theme_id
    WHERE p.product_line_id = :line AND translate(p.shared, 'OIL', '011') = :folded
""")
_THERE = text(BY_INDEX + "SELECT number FROM codes WHERE number = ANY(CAST(:numbers AS bigint[]))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The codes of one coupon. `shared` is the one for all; else so many were made, and so many of them are left."""

    offer: str
    shared: str | None
    generated: int
    free: int
    reserved: int  # a message carries each, and its recipient has not claimed with it yet

    @property
    def claimed(self) -> int:
        return self.generated - self.free - self.reserved


class Written(NamedTuple):
    number: int
    reserved: bool
    claimed: bool


class Sharer(NamedTuple):
    pool_id: int
    theme: str
    offer: str


def pool(session: Session, *, theme: Theme, offer: str) -> CodePool:
    """The pool of a coupon, made if it is missing, and locked: its codes are made by one at a time."""
    values = {"product_line_id": theme.product_line_id, "theme_id": theme.id, "offer": offer}
    session.execute(insert(CodePool).values(**values).on_conflict_do_nothing())
    query = select(CodePool).where(CodePool.theme_id == theme.id, CodePool.offer == offer)
    return session.scalars(query.with_for_update(), execution_options={"populate_existing": True}).one()


def find_pool(session: Session, *, theme_id: int, offer: str) -> CodePool | None:
    return session.scalar(select(CodePool).where(CodePool.theme_id == theme_id, CodePool.offer == offer))


def filled(session: Session) -> int:
    """How many codes there are in all."""
    return session.scalar(select(func.coalesce(func.sum(CodePool.generated), 0))) or 0


def pools(session: Session, *, theme_id: int) -> Sequence[Pool]:
    rows = session.execute(_COUNTED, {"theme_id": theme_id}).mappings()
    return [Pool(**row) for row in rows]


def sharer(session: Session, *, product_line_id: int, folded: str) -> Sharer | None:
    """Whose code for all it is, or one that looks like it; nobody else gets it before this transaction is over."""
    turn = func.hashtextextended(f"the code {folded} of {product_line_id}", 0)
    session.execute(select(func.pg_advisory_xact_lock(turn)))
    row = session.execute(_SHARED_BY, {"line": product_line_id, "folded": folded}).first()
    return None if row is None else Sharer(*row)


def store(session: Session, pool_id: int, parts: Iterable[Sequence[int]]) -> int:
    """Copy them in and count them, or none of them where one is there already, or comes twice. Returns how many."""
    connection = session.connection()
    savepoint = connection.begin_nested()
    cursor = cast("psycopg2.extensions.cursor", connection.connection.cursor())
    stored = 0
    try:
        with cursor, closing(_ahead(_as_rows(part, pool_id) for part in parts)) as written:
            for rows in written:
                cursor.copy_expert(_COPY, io.BytesIO(rows), _BUFFER)
                stored += cursor.rowcount
    except psycopg2.errors.UniqueViolation:
        savepoint.rollback()
        return 0
    savepoint.commit()
    return stored


def there(session: Session, numbers: Iterable[int]) -> Sequence[int]:
    """Those of the numbers that are codes already, of whatever coupon."""
    return session.scalars(_THERE, {"numbers": plain_array(numbers)}).all()


def _as_rows(numbers: Sequence[int], pool_id: int) -> bytes:
    """As COPY reads them: all rows at once, then the numbers put in, a byte of each at a time."""
    rows = bytearray(_ROW.pack(2, 8, 0, 4, pool_id) * len(numbers))
    turned = array("Q", numbers)
    if sys.byteorder == "little":
        turned.byteswap()
    values = turned.tobytes()
    for at in range(8):
        rows[_NUMBER_AT + at :: _ROW.size] = values[at::8]
    return b"".join((_HEAD, rows, _END))


def _ahead(written: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Each is made while the database works at the one before: so both cost the time of the slower."""
    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(next, written, None)
        while (rows := coming.result()) is not None:
            coming = worker.submit(next, written, None)
            yield rows


def count_generated(session: Session, pool_id: int, more: int) -> None:
    change = update(CodePool).where(CodePool.id == pool_id).values(generated=CodePool.generated + more)
    session.execute(change, execution_options=_PLAIN)


def all_of(session: Session, pool_id: int) -> Iterator[Written]:
    """By number, a batch at a time."""
    query = select(Code.number, Code.customer_id.is_not(None), Code.held_id.is_not(None)).where(Code.pool_id == pool_id)
    rows = session.execute(query.order_by(Code.number).execution_options(yield_per=_BATCH))
    return (Written(*row) for row in rows)
