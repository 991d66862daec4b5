"""What ops wait for, beside a million deliveries: the failed ones for a retry, and the counts of a progress bar."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median

from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.audience import live_theme
from channels import service
from channels.service.failures import failures_of
from channels.states import Channel
from models.database import Database
from models.theme import Theme

CHANNEL = Channel.SMS
TIMES = 5
#: What selecting the failed and counting for a progress bar may take, each.
MOST_MILLISECONDS = 100.0

_FILL = """
    INSERT INTO deliveries (id, distribution_id, theme_id, channel, purpose, customer_id, address, state, tries,
                            first_tried_at, error_class, error_code, sent_at, changed_at)
    SELECT delivery_id(d.id || ':' || a.customer_id), d.id, d.theme_id, d.channel, d.purpose, a.customer_id, a.address,
           CASE WHEN failed THEN 'failed' ELSE 'sent' END, 1, now(), CASE WHEN failed THEN 'throttled' END,
           CASE WHEN failed THEN 'isv.BUSINESS_LIMIT_CONTROL' END, CASE WHEN NOT failed THEN now() END, now()
    FROM distributions d, addresses a, LATERAL (SELECT a.id % :every = 0 AS failed) f
    WHERE d.id = :distribution_id AND a.channel = :channel
"""
_ATTEMPTS = """
    INSERT INTO attempts (delivery_seq, number, account_id, began_at, latency_ms, error_class, code, detail)
    SELECT dl.seq, 1, d.account_id, now(), 40, dl.error_class, COALESCE(dl.error_code, ''), 'minute level flow control'
    FROM deliveries dl JOIN distributions d ON d.id = dl.distribution_id WHERE d.id = :distribution_id
"""
_SCANS = """
    SELECT COALESCE(sum(seq_tup_read), 0) FROM pg_stat_xact_user_tables WHERE relname IN ('deliveries', 'attempts')
"""


class ScannedAll(Exception):
    """What should go by an index read a table from end to end."""

    def __init__(self, *, what: str, rows: int) -> None:
        self.what, self.rows = what, rows
        super().__init__(f"{what} read {rows:,} rows by a scan")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Milliseconds, the median of some times."""

    select_failed: float  # the failed of a theme, each judged whether a retry may take it
    take_failed: float  # the same, and all of them made due again
    progress: float  # the counts of every channel by state and class
    failures: float  # grouped, with the provider's own words


def measure(database: Database, *, rows: int = 1_000_000, failed: int = 10_000) -> Measured:
    """Raises ScannedAll."""
    distribution_id, _ = live_theme(database, channel=CHANNEL, customers=rows)
    key = f"benchmark-{CHANNEL}"
    with database.begin() as session:
        values = {"distribution_id": distribution_id, "channel": CHANNEL, "every": rows // failed}
        session.execute(text(_FILL), values)
        session.execute(text(_ATTEMPTS), values)
        session.execute(text("UPDATE distributions SET state = 'sending', expires_at = NULL"))
        theme_id = session.query(Theme).filter_by(key=key).one().id
    # As autovacuum and a checkpoint leave it some minutes after a launch.
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE deliveries, attempts"))
        connection.execute(text("CHECKPOINT"))

    def retried(session: Session, *, dry_run: bool) -> None:
        report = service.retry_failed(session, theme_key=key, dry_run=dry_run, now=datetime.now(UTC))
        if report.total_taken != failed:
            raise AssertionError(f"{report.total_taken} taken, not {failed}")

    return Measured(
        select_failed=_timed(database, "selecting the failed", lambda session: retried(session, dry_run=True)),
        progress=_timed(
            database,
            "the counts",
            lambda session: service.progress(session, theme_id=theme_id, now=datetime.now(UTC)),
        ),
        failures=_timed(database, "the failures", lambda session: failures_of(session, theme_key=key)),
        take_failed=_timed(database, "taking the failed", lambda session: retried(session, dry_run=False)),
    )


def _timed(database: Database, what: str, ask: Callable[[Session], object]) -> float:
    """Each time in a transaction of its own that is rolled back."""
    taken = []
    for _ in range(TIMES):
        with Session(database.engine) as session:
            began = time.perf_counter()
            ask(session)
            taken.append((time.perf_counter() - began) * 1_000)
            if scanned := session.scalars(text(_SCANS)).one():
                raise ScannedAll(what=what, rows=scanned)
            session.rollback()
    return median(taken)
