from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approval.audit import GENESIS, AuditEntry, AuditReport, Head, StoredEntry, entry_hash, verify
from approval.errors import AuditValueInvalid

AT = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def record(length: int) -> list[StoredEntry]:
    rows: list[StoredEntry] = []
    for seq in range(1, length + 1):
        entry = AuditEntry(
            seq=seq,
            prev_hash=rows[-1].hash if rows else GENESIS,
            at=AT + timedelta(minutes=seq),
            actor="carl",
            act="approve",
            object_kind="theme",
            object_key="womens-day",
            comment=f"第 {seq}",
            details={"seq": seq, "names": ["a", "b"]},
        )
        rows.append(StoredEntry(entry=entry, hash=entry_hash(entry)))
    return rows


def head_of(rows: Sequence[StoredEntry]) -> Head:
    return Head(seq=rows[-1].entry.seq, hash=rows[-1].hash)


def rechained(rows: Sequence[StoredEntry], start: int) -> list[StoredEntry]:
    """What a forger does who knows the scheme: new numbers and fresh hashes from a row on."""
    forged = list(rows[:start])
    for row in rows[start:]:
        entry = replace(row.entry, seq=len(forged) + 1, prev_hash=forged[-1].hash if forged else GENESIS)
        forged.append(StoredEntry(entry=entry, hash=entry_hash(entry)))
    return forged


def test_a_record_left_alone_is_sound() -> None:
    rows = record(5)
    assert verify(iter(rows), head_of(rows)) == AuditReport(rows=5, head=head_of(rows))
    assert verify(rows).sound


def test_an_empty_record_is_sound_until_something_was_exported() -> None:
    assert verify([]) == AuditReport(rows=0, head=None)
    assert verify([], head_of(record(2))).broken_seq == 1


def test_a_record_that_has_grown_since_the_export_is_sound() -> None:
    rows = record(5)
    assert verify(rows, head_of(rows[:3])).sound


@pytest.mark.parametrize("name", [each.name for each in fields(AuditEntry)])
def test_altering_any_field_of_a_row_names_that_row(name: str) -> None:
    other: dict[str, Any] = {
        "at": AT,
        "details": {"seq": 99},
        "flow_run_id": UUID(int=1),
        "round_number": 7,
    }
    rows = record(4)
    rows[1] = replace(
        rows[1], entry=replace(rows[1].entry, **{name: other.get(name, 9 if name == "seq" else "forged")})
    )
    report = verify(rows)
    assert not report.sound
    assert (report.rows, report.broken_seq) == (1, 2)


@given(st.data(), st.integers(2, 8))
def test_an_altered_row_is_the_one_named(data: st.DataObject, length: int) -> None:
    rows = record(length)
    index = data.draw(st.integers(0, length - 1))
    rows[index] = replace(rows[index], entry=replace(rows[index].entry, comment="forged"))
    report = verify(rows)
    assert (report.broken_seq, report.rows) == (index + 1, index)
    assert "altered" in str(report.problem)


@given(st.data(), st.integers(2, 8))
def test_an_altered_row_with_a_fresh_hash_breaks_at_the_next_or_at_the_exported_head(
    data: st.DataObject, length: int
) -> None:
    rows = record(length)
    head = head_of(rows)
    index = data.draw(st.integers(0, length - 1))
    forged = replace(rows[index].entry, actor="eve")
    rows[index] = StoredEntry(entry=forged, hash=entry_hash(forged))
    report = verify(rows, head)
    assert report.broken_seq == min(index + 2, length)


@given(st.data(), st.integers(2, 8))
def test_a_removed_row_is_the_one_named(data: st.DataObject, length: int) -> None:
    rows = record(length)
    head = head_of(rows)
    index = data.draw(st.integers(0, length - 1))
    del rows[index]
    report = verify(rows, head)
    assert report.broken_seq == index + 1
    assert "removed" in str(report.problem) or "cut off" in str(report.problem)


@given(st.data(), st.integers(2, 8))
def test_an_inserted_row_is_found(data: st.DataObject, length: int) -> None:
    rows = record(length)
    index = data.draw(st.integers(0, length - 1))
    rows.insert(index, rows[data.draw(st.integers(0, length - 1))])
    assert not verify(rows).sound


def test_an_inserted_row_with_a_hash_that_fits_is_found_at_the_row_after_it() -> None:
    rows = record(3)
    extra = replace(rows[1].entry, actor="eve")
    rows.insert(1, StoredEntry(entry=extra, hash=entry_hash(extra)))
    report = verify(rows)
    assert report.broken_seq == 2
    assert "inserted" in str(report.problem)


@given(st.data(), st.integers(2, 8))
def test_two_swapped_rows_are_found(data: st.DataObject, length: int) -> None:
    rows = record(length)
    first = data.draw(st.integers(0, length - 2))
    second = data.draw(st.integers(first + 1, length - 1))
    rows[first], rows[second] = rows[second], rows[first]
    assert verify(rows).broken_seq == first + 1


@given(st.data(), st.integers(2, 8))
def test_a_record_rewritten_with_fresh_hashes_fails_against_the_exported_head(data: st.DataObject, length: int) -> None:
    rows = record(length)
    head = head_of(rows)
    index = data.draw(st.integers(0, length - 1))
    rows[index] = replace(rows[index], entry=replace(rows[index].entry, comment="forged"))
    forged = rechained(rows, index)
    assert verify(forged).sound  # the chain alone cannot know
    assert verify(forged, head).broken_seq == length


@given(st.integers(1, 5))
def test_a_cut_tail_shows_against_the_exported_head(cut: int) -> None:
    rows = record(5)
    report = verify(rows[:-cut], head_of(rows))
    assert (report.broken_seq, report.rows) == (6 - cut, 5 - cut)
    assert "cut off" in str(report.problem)
    assert verify(rows[:-cut]).sound


def test_the_zone_in_which_a_time_is_read_back_does_not_matter() -> None:
    entry = record(1)[0].entry
    shanghai = replace(entry, at=entry.at.astimezone(ZoneInfo("Asia/Shanghai")))
    assert entry_hash(shanghai) == entry_hash(entry)
    assert entry_hash(replace(entry, at=entry.at + timedelta(microseconds=1))) != entry_hash(entry)


def test_the_order_of_details_does_not_matter_but_their_kind_does() -> None:
    entry = record(1)[0].entry
    assert entry_hash(replace(entry, details={"a": 1, "b": (2,)})) == entry_hash(
        replace(entry, details={"b": [2], "a": 1})
    )
    assert entry_hash(replace(entry, details={"a": 1})) != entry_hash(replace(entry, details={"a": "1"}))
    assert entry_hash(replace(entry, details={"a": 1})) != entry_hash(replace(entry, details={"a": True}))


@pytest.mark.parametrize(
    "details", [{"a": 1.5}, {"a": Decimal(1)}, {"a": {"b": [AT]}}, {1: "a"}, {"a": {2: "b"}}, {"a": {"b"}}]
)
def test_a_value_with_more_than_one_spelling_is_refused(details: dict[Any, Any]) -> None:
    with pytest.raises(AuditValueInvalid, match="audit details"):
        entry_hash(replace(record(1)[0].entry, details=details))


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(AuditValueInvalid, match="without a zone"):
        entry_hash(replace(record(1)[0].entry, at=datetime(2027, 3, 1)))  # noqa: DTZ001 - the point of the test


def test_a_foreign_row_with_such_a_value_is_named_as_altered_and_does_not_stop_the_check() -> None:
    rows = record(2)
    rows[1] = replace(rows[1], entry=replace(rows[1].entry, details={"a": 1.5}))
    assert verify(rows).broken_seq == 2
