"""Writing the audit down, and checking it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from approval.audit import (
    FIELDS,
    GENESIS,
    SIGNED_BY,
    SIGNED_FOR,
    AuditEntry,
    AuditReport,
    Head,
    StoredEntry,
    entry_hash,
    verify,
)
from approval.audit_export import SignatureLine, signature_line
from models import roles
from models.approval import AuditRow
from models.queries import audit as rows
from models.queries import people


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
    details = _with_names(session, act)
    last = rows.lock_chain(session)
    entry = AuditEntry(
        seq=1 if last is None else last.seq + 1,
        prev_hash=GENESIS if last is None else last.hash,
        # The database keeps microseconds in UTC: the hash must be of what will be read back.
        at=now.astimezone(UTC),
        **{name.name: getattr(act, name.name) for name in fields(act)} | {"details": details},
    )
    session.add(AuditRow(**{name: getattr(entry, name) for name in FIELDS}, hash=entry_hash(entry)))
    session.flush()


def _with_names(session: Session, act: Act) -> dict[str, object]:
    """A signature keeps the names as they are now, whatever the people are called later (21 CFR 11.50)."""
    if not act.meaning:
        return dict(act.details)
    names = people.names(session, [act.actor, *([act.on_behalf_of] if act.on_behalf_of else [])])
    printed = {SIGNED_BY: names.get(act.actor), SIGNED_FOR: names.get(act.on_behalf_of or "")}
    return {**act.details, **{key: name for key, name in printed.items() if name is not None}}


def stored_entry(row: AuditRow | Row[Any]) -> StoredEntry:
    return StoredEntry(entry=AuditEntry(**{name: getattr(row, name) for name in FIELDS}), hash=row.hash)


def verify_audit(session: Session, *, head: Head | None = None) -> AuditReport:
    return verify(export_audit(session), head)


def export_audit(
    session: Session, *, theme_key: str | None = None, since: datetime | None = None
) -> Iterator[StoredEntry]:
    """Every row, or some, in order; read as it is asked for."""
    columns = (*FIELDS, "hash")
    for row in rows.whole_audit(session, theme_key=theme_key, since=since, columns=columns):
        yield stored_entry(row)


def export_signatures(
    session: Session, *, theme_key: str | None = None, since: datetime | None = None
) -> Iterator[SignatureLine]:
    """Every signature, or some, in order; times in the zone of the theme, or in UTC."""
    names, zones = people.names(session), rows.zones(session)
    columns = (*FIELDS, "hash")
    for row in rows.whole_audit(session, theme_key=theme_key, since=since, signed=True, columns=columns):
        zone = zones.get(row.theme_key or "", "UTC")
        if line := signature_line(stored_entry(row), zone=zone, names=names):
            yield line


def powers_over_audit(session: Session) -> tuple[str, ...]:
    """By what the role that we are connected as could change the record; empty as it should be."""
    return roles.powers_over_audit(session)
