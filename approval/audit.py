"""The record: acts chained by hash, so that a row altered, removed or inserted later shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from operator import attrgetter
from uuid import UUID

from approval.canonical import canonical_json, sha256_of
from approval.errors import AuditValueInvalid

#: What the first row has for its previous hash.
GENESIS = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act.

    `seq` counts from 1 without a gap, `at` has a zone, `details` holds text, whole numbers, truths, lists and mappings.
    """

    seq: int
    prev_hash: str
    at: datetime
    actor: str
    act: str
    object_kind: str
    object_key: str
    on_behalf_of: str | None = None
    meaning: str = ""
    theme_key: str | None = None
    round_number: int | None = None
    level: str | None = None
    object_hash: str | None = None
    comment: str = ""
    flow_run_id: UUID | None = None
    details: Mapping[str, object] = field(default_factory=dict)


FIELDS = tuple(each.name for each in fields(AuditEntry))
_READ = attrgetter(*FIELDS)
#: Where the details of a signature keep the printed names of who signed and of whom it was for.
SIGNED_BY, SIGNED_FOR = "signed_by", "signed_for"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """An act as it is stored: with the hash that was computed when it was written."""

    entry: AuditEntry
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last row at some moment, exported to a place that the database cannot reach."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    rows: int  # rows that were found sound, from the first
    head: Head | None  # the last sound row; None before the first
    broken_seq: int | None = None  # the first row that is wrong or missing
    problem: str | None = None  # what is wrong with it

    @property
    def sound(self) -> bool:
        return self.problem is None


def canonical_entry(entry: AuditEntry) -> str:
    """The one text that stands for an entry. A time is written in UTC to the microsecond, whatever its zone was.

    Raises:
        AuditValueInvalid: a value that could be written in more than one way, or a time without a zone.
    """
    return canonical_json(plain_values(entry))


def plain_values(entry: AuditEntry) -> dict[str, object]:
    """Of every field, what JSON can say. Raises AuditValueInvalid."""
    values = dict(zip(FIELDS, _READ(entry), strict=True))
    if entry.at.tzinfo is None:
        raise AuditValueInvalid(where="time", found="a time without a zone")
    values["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    values["flow_run_id"] = None if entry.flow_run_id is None else str(entry.flow_run_id)
    values["details"] = _plain(entry.details, "details")
    return values


def entry_hash(entry: AuditEntry) -> str:
    return sha256_of(canonical_entry(entry))


def _plain(value: object, where: str) -> object:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {_key(key, where): _plain(part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, f"{where}[{index}]") for index, part in enumerate(value)]
    raise AuditValueInvalid(where=where, found=f"{value!r} ({type(value).__name__})")


def _key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise AuditValueInvalid(where=where, found=f"the key {key!r}")
    return str(key)


def verify(rows: Iterable[StoredEntry], head: Head | None = None) -> AuditReport:
    """Walk the record from its first row, in the order of `seq`, and stop at the first row that is wrong.

    A `head` exported earlier also shows a tail that was cut off, and a record that was rewritten from some row on with
    fresh hashes, which no chain can show by itself.
    """
    last: Head | None = None
    for row in rows:
        problem = _follows(row, last) or _differs(row, head)
        if problem is not None:
            broken = min(row.entry.seq, _next_seq(last))
            return AuditReport(rows=_next_seq(last) - 1, head=last, broken_seq=broken, problem=problem)
        last = Head(seq=row.entry.seq, hash=row.hash)
    rows_seen = _next_seq(last) - 1
    if head is not None and rows_seen < head.seq:
        problem = f"the record ends at row {rows_seen}, but row {head.seq} was exported: its tail was cut off"
        return AuditReport(rows=rows_seen, head=last, broken_seq=rows_seen + 1, problem=problem)
    return AuditReport(rows=rows_seen, head=last)


def verify_part(rows: Iterable[StoredEntry], head: Head | None = None) -> AuditReport:
    """What can be told of some rows of a record, in order: each is as it was hashed, neighbours follow each other.

    Whether a row between two that are no neighbours was left out or removed cannot be told.
    """
    last: Head | None = None
    seen = 0
    for row in rows:
        problem = _follows_in_part(row, last) or _differs(row, head)
        if problem is not None:
            return AuditReport(rows=seen, head=last, broken_seq=row.entry.seq, problem=problem)
        last, seen = Head(seq=row.entry.seq, hash=row.hash), seen + 1
    return AuditReport(rows=seen, head=last)


def _follows_in_part(row: StoredEntry, last: Head | None) -> str | None:
    if last is not None and row.entry.seq <= last.seq:
        return f"row {row.entry.seq} stands a second time or out of order: it was inserted or moved"
    if last is not None and row.entry.seq == last.seq + 1:
        return _follows(row, last)
    return None if row.hash == _hash_or_none(row.entry) else _altered(row)


def _next_seq(last: Head | None) -> int:
    return 1 if last is None else last.seq + 1


def _follows(row: StoredEntry, last: Head | None) -> str | None:
    """What keeps a row from being the one after the last sound row; None if it is that row."""
    seq, expected = row.entry.seq, _next_seq(last)
    if seq > expected:
        missing = f"row {expected} was" if seq == expected + 1 else f"rows {expected} to {seq - 1} were"
        return f"{missing} removed"
    if seq < expected:
        return f"row {seq} stands a second time or out of order: it was inserted or moved"
    if row.hash != _hash_or_none(row.entry):
        return _altered(row)
    if row.entry.prev_hash != (GENESIS if last is None else last.hash):
        return f"row {seq} does not follow from row {seq - 1}: one of the two was altered, inserted or replaced"
    return None


def _altered(row: StoredEntry) -> str:
    return f"row {row.entry.seq} was altered: its hash does not fit its content"


def _differs(row: StoredEntry, head: Head | None) -> str | None:
    if head is None or row.entry.seq != head.seq or row.hash == head.hash:
        return None
    return f"row {head.seq} is not the one that was exported: the record was rewritten at or before it"


def _hash_or_none(entry: AuditEntry) -> str | None:
    try:
        return entry_hash(entry)
    except AuditValueInvalid:  # only a row that was not written by us can hold such a value
        return None
