"""The record outside of the database: lines that anybody can check, and the signatures among them.

A line is the canonical JSON of an act (keys sorted, no blanks, UTF-8) with its hash. Who takes the key `hash` out and
hashes the rest, written the same way, with SHA-256, has the hash again; `prev_hash` is that of the row before.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from approval.audit import (
    FIELDS,
    SIGNED_BY,
    SIGNED_FOR,
    AuditEntry,
    AuditReport,
    Head,
    StoredEntry,
    plain_values,
    verify,
    verify_part,
)
from approval.canonical import canonical_json
from approval.errors import ApprovalError, AuditValueInvalid


class AuditLineInvalid(ApprovalError):
    """A line is not one that an export writes."""

    def __init__(self, *, number: int, reason: str) -> None:
        self.number, self.reason = number, reason
        super().__init__(f"line {number} is no row as `themeline audit export` writes it: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureLine:
    """What 21 CFR 11.50 asks to be shown of a signature, and the hashes that tie it to its content (11.70)."""

    seq: int
    name: str
    login: str
    signed_at: str  # ISO 8601 with the offset of `zone`
    zone: str
    meaning: str
    decision: str  # the act
    object_kind: str
    object_key: str
    theme_key: str | None
    round_number: int | None
    level: str | None
    object_hash: str | None
    comment: str
    on_behalf_of: str | None
    on_behalf_of_name: str | None
    row_hash: str

    def __str__(self) -> str:
        whose = f"{self.name} ({self.login})"
        if self.on_behalf_of:
            whose += f" on behalf of {self.on_behalf_of_name} ({self.on_behalf_of})"
        where = f"theme {self.theme_key}, round {self.round_number}, level {self.level}"
        said = f'"{self.meaning}"' + (
            f", comment: {json.dumps(self.comment, ensure_ascii=False)}" if self.comment else ""
        )
        what = f"{self.decision} of {self.object_kind} {self.object_key} [sha256 {self.object_hash}]"
        return f"{self.signed_at} {self.zone}  {whose}: {said}  {what} ({where}), row {self.seq} [{self.row_hash}]"


def write_line(row: StoredEntry) -> str:
    """One row, without the end of the line. The same row is the same line every time."""
    return canonical_json({**plain_values(row.entry), "hash": row.hash})


def read_line(line: str, number: int) -> StoredEntry:
    """Raises AuditLineInvalid, also where the same row is merely written in another way."""
    try:
        found = json.loads(line)
        row = StoredEntry(entry=_entry(found), hash=str(found["hash"]))
        same = write_line(row) == line
    except (ValueError, TypeError, KeyError, AttributeError, AuditValueInvalid, RecursionError) as error:
        raise AuditLineInvalid(number=number, reason=f"{type(error).__name__}: {error}") from error
    if not same:
        raise AuditLineInvalid(number=number, reason="it is not in the one notation that hashes are made of")
    return row


def _entry(found: Mapping[str, Any]) -> AuditEntry:
    values = {name: found[name] for name in FIELDS}
    values["at"] = datetime.fromisoformat(values["at"])
    values["flow_run_id"] = values["flow_run_id"] and UUID(values["flow_run_id"])
    return AuditEntry(**values)


def verify_lines(lines: Iterable[str], *, head: Head | None = None, part: bool = False) -> AuditReport:
    """Check an export without any database; with `part` one that holds only some of the rows."""
    last: list[StoredEntry] = []

    def rows() -> Iterator[StoredEntry]:
        for number, line in enumerate(lines, start=1):
            last[:] = [read_line(line.rstrip("\n"), number)]
            yield last[0]

    try:
        return (verify_part if part else verify)(rows(), head)
    except AuditLineInvalid as invalid:
        sound = Head(seq=last[0].entry.seq, hash=last[0].hash) if last else None
        return AuditReport(rows=invalid.number - 1, head=sound, broken_seq=None, problem=str(invalid))


def signature_line(row: StoredEntry, *, zone: str, names: Mapping[str, str]) -> SignatureLine | None:
    """The signature that a row is, in the zone of its theme; None where nobody signed.

    The names are those at the time of signing, which the row holds; `names` stands in for rows without.
    """
    entry = row.entry
    if not entry.meaning:
        return None
    return SignatureLine(
        seq=entry.seq,
        name=_name(entry, SIGNED_BY, entry.actor, names),
        login=entry.actor,
        signed_at=entry.at.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds"),
        zone=zone,
        meaning=entry.meaning,
        decision=entry.act,
        object_kind=entry.object_kind,
        object_key=entry.object_key,
        theme_key=entry.theme_key,
        round_number=entry.round_number,
        level=entry.level,
        object_hash=entry.object_hash,
        comment=entry.comment,
        on_behalf_of=entry.on_behalf_of,
        on_behalf_of_name=_name(entry, SIGNED_FOR, entry.on_behalf_of, names) if entry.on_behalf_of else None,
        row_hash=row.hash,
    )


def _name(entry: AuditEntry, kept: str, login: str, names: Mapping[str, str]) -> str:
    return str(entry.details.get(kept) or names.get(login, login))


def write_signature(line: SignatureLine) -> str:
    return json.dumps(asdict(line), ensure_ascii=False)
