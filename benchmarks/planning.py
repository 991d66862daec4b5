"""Planning with suppression, consent and caps, against the bare `INSERT … SELECT` of the very same rows."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, text
from sqlalchemy.orm import Session

from audience.segments import segments_named
from benchmarks.audience import live_theme
from channels.service.planning import plan
from channels.states import Channel, DeliveryState
from models.database import Database
from models.delivery import Distribution
from models.queries import themes
from models.queries.segments import audience_select

CHANNEL = Channel.SMS
#: So often a plan is made, and its rows are inserted bare, in turn; the sums of the times are compared.
ROUNDS = 2

#: Gaps of every kind. Of each 100 customers 87 make a row that may leave and 6 one that may not; 7 make none.
MIXED = (
    "DELETE FROM addresses WHERE customer_id % 100 = 1",
    "UPDATE addresses SET valid = false WHERE customer_id % 100 = 2",
    "UPDATE consents SET granted = false WHERE customer_id % 100 BETWEEN 3 AND 6",
    "DELETE FROM consents WHERE customer_id % 100 = 7",
    "UPDATE addresses SET address = 's' || left(encode(sha256(customer_id::text::bytea), 'hex'), 24)",
    """
    INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)
    SELECT c.product_line_id, a.channel, a.address, 'by_hand', 'benchmark', now()
    FROM addresses a JOIN customers c ON c.id = a.customer_id WHERE a.customer_id % 100 BETWEEN 8 AND 10
    """,
    """
    INSERT INTO limits (product_line_id, content, applied_by, applied_at)
    SELECT product_line_id, '{"product_line": "x", "caps": [{"cap": "weekly", "most": 2, "per": "7d"}]}', '', now()
    FROM themes WHERE key = 'benchmark-sms'
    """,
    """
    INSERT INTO cap_reservations (delivery_seq, distribution_id, customer_id, channel, reserved_at)
    SELECT -(c.id::bigint * 2 + n), 0, c.id, 'email', now() - interval '2 days'
    FROM customers c, generate_series(0, 1) n WHERE c.id % 100 BETWEEN 11 AND 13 OR (n = 0 AND c.id % 100 < 40)
    """,
)
_ANEW = "TRUNCATE deliveries, left_out, plans, plan_chunks, tallies"
_BARE = """
    INSERT INTO deliveries (id, distribution_id, theme_id, channel, customer_id, address, state, error_code, changed_at)
    SELECT * FROM planned_rows
"""


class RowsDiffer(Exception):
    """A plan or its bare copy did not make the rows that it should have."""

    def __init__(self, *, wanted: int, found: dict[DeliveryState, int]) -> None:
        self.wanted, self.found = wanted, found
        super().__init__(f"{wanted} recipients were to be planned, not {found}")


@dataclass(frozen=True, kw_only=True)
class Measured:
    rows: int
    planned_per_second: float
    ratio: float  # the time of the bare statement to that of the plan


def measure(database: Database, *, recipients: int, rounds: int = ROUNDS) -> Measured:
    customers = recipients * 100 // 93
    distribution_id, _ = live_theme(database, channel=CHANNEL, customers=customers)
    run(database, *MIXED, "CREATE UNLOGGED TABLE planned_rows AS SELECT NULL WHERE false")
    tidy(database)
    planned = bare = 0.0
    for _ in range(rounds):
        run(database, _ANEW)
        tidy(database)
        seconds, rows = _planned(database, distribution_id, customers)
        planned += seconds
        run(database, "DROP TABLE planned_rows", _COPY, _ANEW)
        tidy(database)
        bare += _timed(database, _BARE)
    return Measured(rows=rows, planned_per_second=rows * rounds / planned, ratio=bare / planned)


_COPY = """
    CREATE UNLOGGED TABLE planned_rows AS
    SELECT id, distribution_id, theme_id, channel, customer_id, address, state, error_code, changed_at
    FROM deliveries ORDER BY seq
"""


def _planned(database: Database, distribution_id: int, customers: int) -> tuple[float, int]:
    now, began = datetime.now(UTC), time.perf_counter()
    report = plan(database, distribution_id=distribution_id, audience_of=_audience, now=now)
    seconds = time.perf_counter() - began
    found = {**report.states, DeliveryState.CAPPED: report.over_cap}  # these are planned as well
    wanted = {DeliveryState.PLANNED: 90, DeliveryState.SUPPRESSED: 3, DeliveryState.CAPPED: 3}
    if any(abs(found[state] * 100 - customers * share) > 10_000 for state, share in wanted.items()):
        raise RowsDiffer(wanted=customers, found=found)
    return seconds, report.planned


def _audience(session: Session, distribution: Distribution) -> Select[Any]:
    return audience_select(
        include=segments_named(["registered_no_order", "core"]),
        exclude=segments_named(["ordered_last_7_days"]),
        product_line_id=themes.theme_by_id(session, distribution.theme_id).product_line_id,
        as_of=distribution.segment_as_of,
    )


def run(database: Database, *statements: str) -> None:
    with database.begin() as session:
        for statement in statements:
            session.execute(text(statement))


def _timed(database: Database, statement: str) -> float:
    began = time.perf_counter()
    run(database, statement)
    return time.perf_counter() - began


def tidy(database: Database) -> None:
    """Neither of the two is to pay for what was done before it."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
        connection.execute(text("CHECKPOINT"))
