"""Rows on their way in: copied into a temporary table, merged from there by one statement."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import psycopg2.extensions
from sqlalchemy import text
from sqlalchemy.orm import Session

_CHUNK_ROWS = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merge did; rows that were already there as they are count as neither."""

    inserted: int
    updated: int = 0


def stage(session: Session, table: str, columns: Mapping[str, str], rows: Iterable[tuple[Any, ...]]) -> None:
    """Fill the temporary table `table` (column name -> type) by COPY. None becomes NULL, and so does an empty text."""
    spelled = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    session.execute(text(f"DROP TABLE IF EXISTS pg_temp.{table}"))
    session.execute(text(f"CREATE TEMPORARY TABLE {table} ({spelled}) ON COMMIT DROP"))
    cursor = cast("psycopg2.extensions.cursor", session.connection().connection.cursor())
    with cursor:
        for chunk in _chunks(rows):
            cursor.copy_expert(f"COPY {table} FROM STDIN WITH (FORMAT csv)", chunk)
    session.execute(text(f"ANALYZE {table}"))


def merge(session: Session, statement: str, **values: object) -> Merged:
    """Run an `INSERT … ON CONFLICT` and count. It must update only rows that differ."""
    # xmax is 0 in a row version that no statement has updated, so it tells an insert from an update.
    counted = text(
        f"WITH merged AS ({statement} RETURNING (xmax = 0) AS inserted) "  # noqa: S608 - a constant of these modules
        "SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM merged"
    )
    inserted, updated = session.execute(counted, values).one()
    return Merged(inserted=inserted, updated=updated)


def _chunks(rows: Iterable[tuple[Any, ...]]) -> Iterable[io.StringIO]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for number, row in enumerate(rows, start=1):
        writer.writerow(row)
        if number % _CHUNK_ROWS == 0:
            yield _rewound(buffer)
            buffer = io.StringIO()
            writer = csv.writer(buffer)
    yield _rewound(buffer)


def _rewound(buffer: io.StringIO) -> io.StringIO:
    buffer.seek(0)
    return buffer
