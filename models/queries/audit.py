"""The audit: appended under one lock, read in order."""

from collections.abc import Iterator, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.approval import AuditRow

#: Any number that nothing else uses: appends wait for each other on it, so that the chain has one end.
_CHAIN_LOCK = 7_420_519


def lock_chain(session: Session) -> AuditRow | None:
    """Wait for the end of the chain until this transaction is over; None while the audit is empty."""
    session.execute(select(func.pg_advisory_xact_lock(_CHAIN_LOCK)))
    return session.scalar(select(AuditRow).order_by(AuditRow.seq.desc()).limit(1))


def whole_audit(session: Session) -> Iterator[AuditRow]:
    yield from session.scalars(select(AuditRow).order_by(AuditRow.seq).execution_options(yield_per=1_000))


def audit_of_theme(session: Session, theme_key: str) -> Sequence[AuditRow]:
    return session.scalars(select(AuditRow).where(AuditRow.theme_key == theme_key).order_by(AuditRow.seq)).all()
