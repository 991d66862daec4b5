"""Writing the audit down, and checking it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from approval.audit import GENESIS, AuditEntry, AuditReport, Head, StoredEntry, entry_hash, verify
from models.approval import AuditRow
from models.queries import audit as rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What happened, as the record keeps it. `actor` is a login or `system:<what>`."""

    act: str
    actor: str
    object_kind: str
    object_key: str
    theme_key: str | None = None
    on_behalf_of: str | None = None
    meaning: str = ""
    round_number: int | None = None
    level: str | None = None
    object_hash: str | None = None
    comment: str = ""
    flow_run_id: UUID | None = None
    details: Mapping[str, object] = field(default_factory=dict)


def write_down(session: Session, act: Act, *, now: datetime) -> None:
    """Append an act to the audit, chained to the one before it. The transaction that it belongs to carries it."""
    last = rows.lock_chain(session)
    entry = AuditEntry(
        seq=1 if last is None else last.seq + 1,
        prev_hash=GENESIS if last is None else last.hash,
        # The database keeps microseconds in UTC: the hash must be of what will be read back.
        at=now.astimezone(UTC),
        **{name.name: getattr(act, name.name) for name in fields(act)},
    )
    values = {name.name: getattr(entry, name.name) for name in fields(entry)}
    session.add(AuditRow(**values | {"details": dict(entry.details)}, hash=entry_hash(entry)))
    session.flush()


def stored_entry(row: AuditRow) -> StoredEntry:
    entry = AuditEntry(**{name.name: getattr(row, name.name) for name in fields(AuditEntry)})
    return StoredEntry(entry=entry, hash=row.hash)


def verify_audit(session: Session, *, head: Head | None = None) -> AuditReport:
    return verify((stored_entry(row) for row in rows.whole_audit(session)), head)


def export_audit(session: Session) -> Iterator[StoredEntry]:
    yield from (stored_entry(row) for row in rows.whole_audit(session))
