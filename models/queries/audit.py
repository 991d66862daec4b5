"""The audit: appended under one lock, read in order."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.orm import Session

from models.approval import AuditRow
from models.theme import Theme

#: Any number that nothing else uses: appends wait for each other on it, so that the chain has one end.
_CHAIN_LOCK = 7_420_519
_BATCH = 2_000


def lock_chain(session: Session) -> AuditRow | None:
    """Wait for the end of the chain until this transaction is over; None while the audit is empty."""
    session.execute(select(func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    return session.scalar(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1))


def whole_audit(
    session: Session,
    *,
    theme_key: str | None = None,
    since: datetime | None = None,
    signed: bool = False,
    columns: Sequence[str],
) -> Iterator[Row[Any]]:
    """These columns of every row, or of a theme's, or since a time, or of signatures only: in order, batch by batch."""
    # Columns rather than mapped rows: of a million nobody wants a session to keep track.
    query = select(*(getattr(AuditRow, name) for name in columns)).order_by(AuditRow.seq)
    if theme_key is not None:
        query = query.where(AuditRow.theme_key == theme_key)
    if since is not None:
        query = query.where(AuditRow.at >= since)
    if signed:
        query = query.where(AuditRow.meaning != "")
    yield from session.execute(query.execution_options(yield_per=_BATCH))


def audit_of_theme(session: Session, theme_key: str) -> Sequence[AuditRow]:
    return session.scalars(select(AuditRow).where(AuditRow.theme_key == theme_key).order_by(AuditRow.seq)).all()


def zones(session: Session) -> dict[str, str]:
    """Key -> time zone, of every theme."""
    return {row.key: row.timezone for row in session.execute(select(Theme.key, Theme.timezone))}
