import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approval.audit import GENESIS, AuditEntry, AuditReport, Head, StoredEntry, entry_hash, verify, verify_part
from approval.audit_export import read_line, signature_line, verify_lines, write_line, write_signature
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


# outside of the database


def signed(**changes: Any) -> StoredEntry:
    entry = replace(
        AuditEntry(
            seq=7,
            prev_hash="p" * 64,
            at=datetime(2027, 3, 6, 9, 30, tzinfo=UTC),
            actor="bob",
            act="approve",
            object_kind="coupon",
            object_key="women-20-off-100",
            theme_key="womens-day",
            meaning="I have read this content and approve it",
            round_number=2,
            level="finance",
            object_hash="c" * 64,
            details={"signed_by": "Bob of Operations"},
        ),
        **changes,
    )
    return StoredEntry(entry=entry, hash=entry_hash(entry))


def test_line_of_an_export_is_checked_with_nothing_but_json_and_sha256() -> None:
    for row in record(3):
        found = json.loads(write_line(row))
        claimed = found.pop("hash")
        text = json.dumps(found, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == claimed


def test_line_is_read_back_as_it_was_and_written_the_same_again() -> None:
    row = signed(flow_run_id=UUID(int=5), on_behalf_of="dan", comment='不行 "x"\n\u2028')
    assert read_line(write_line(row), 1) == row
    assert write_line(read_line(write_line(row), 1)) == write_line(row)
    assert "\n" not in write_line(row)


@given(st.text(), st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.lists(st.text())))
def test_whatever_a_row_holds_its_line_holds(comment: str, details: dict[str, object]) -> None:
    row = signed(comment=comment, details=details)
    assert read_line(write_line(row), 1).hash == row.hash
    assert verify_lines([write_line(row)], part=True).sound


def lines_of(rows: Sequence[StoredEntry]) -> list[str]:
    return [f"{write_line(row)}\n" for row in rows]


def test_export_left_alone_is_sound_also_against_a_head() -> None:
    rows = record(5)
    assert verify_lines(lines_of(rows), head=head_of(rows)) == AuditReport(rows=5, head=head_of(rows))
    assert not verify_lines(lines_of(rows[:4]), head=head_of(rows)).sound


EDITS = [
    # what was done to the third of five lines, and the words of the report
    ("another word", lambda line: line.replace("carl", "cora"), "row 3 was altered"),
    ("another way to write it", lambda line: line.replace(",", ", ", 1), "line 3 is no row"),
    ("a key twice", lambda line: '{"actor":"cora",' + line[1:], "line 3 is no row"),
    ("a key more", lambda line: line.replace("{", '{"x":1,', 1), "line 3 is no row"),
    ("a key less", lambda line: line.replace('"level":null,', ""), "line 3 is no row"),
    ("cut short", lambda line: line[: len(line) // 2], "line 3 is no row"),
    ("no JSON", lambda _: "hello\n", "line 3 is no row"),
    ("no mapping", lambda _: "[1]\n", "line 3 is no row"),
    ("no line", lambda _: "\n", "line 3 is no row"),
    ("very deep", lambda _: "[" * 100_000, "line 3 is no row"),
    ("a broken time", lambda line: line.replace("2027", "20x7", 1), "line 3 is no row"),
    ("a number of its own notation", lambda line: line.replace('"seq":3', '"seq":3.0'), "line 3 is no row"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "told"), [row[1:] for row in EDITS], ids=[row[0] for row in EDITS])
@pytest.mark.parametrize("part", [False, True])
def test_edited_line_is_named(edit: Callable[[str], str], told: str, part: bool) -> None:  # noqa: FBT001 - a case
    lines = lines_of(record(5))
    lines[2] = edit(lines[2])
    report = verify_lines(lines, part=part)
    assert (report.sound, report.rows) == (False, 2)
    assert told in (report.problem or "")


def test_part_of_a_record_is_sound_only_as_a_part() -> None:
    rows = record(9)
    some = [rows[1], rows[2], rows[5], rows[8]]
    assert verify_lines(lines_of(some), part=True) == AuditReport(rows=4, head=head_of(rows))
    assert verify_lines(lines_of(some)).broken_seq == 1
    assert verify_part(some, head_of(rows[:6])).sound
    assert not verify_part(some, Head(seq=6, hash="f" * 64)).sound


def test_part_with_rows_in_another_order_or_of_two_records_is_refused() -> None:
    rows = record(6)
    assert verify_part([rows[3], rows[1]]).broken_seq == 2
    assert verify_part([rows[3], rows[3]]).broken_seq == 4
    assert verify_part([rows[2], rechained(rows[1:], 1)[2], rows[4]]).broken_seq == 3
    forged = replace(rows[4].entry, prev_hash="f" * 64)
    assert verify_part([rows[3], StoredEntry(entry=forged, hash=entry_hash(forged))]).broken_seq == 5


def test_signature_has_name_time_with_zone_meaning_hash_and_on_behalf_of() -> None:
    row = signed(on_behalf_of="dan", details={"signed_by": "Bob", "signed_for": "Dan"}, comment="ok")
    line = signature_line(row, zone="Asia/Shanghai", names={"bob": "Robert since"})
    assert line is not None
    assert (line.name, line.login, line.on_behalf_of_name, line.on_behalf_of) == ("Bob", "bob", "Dan", "dan")
    assert (line.signed_at, line.zone) == ("2027-03-06T17:30:00+08:00", "Asia/Shanghai")
    assert (line.decision, line.object_kind, line.object_key) == ("approve", "coupon", "women-20-off-100")
    assert (line.object_hash, line.row_hash) == ("c" * 64, row.hash)
    shown = str(line)
    for word in ("Bob (bob) on behalf of Dan (dan)", line.signed_at, line.meaning, "c" * 64, "round 2", '"ok"'):
        assert word in shown
    assert json.loads(write_signature(line))["row_hash"] == row.hash


def test_signature_of_a_row_that_holds_no_name_takes_the_one_of_today_or_the_login() -> None:
    row = signed(details={}, on_behalf_of="gone")
    line = signature_line(row, zone="UTC", names={"bob": "Bob"})
    assert line is not None
    assert (line.name, line.on_behalf_of_name) == ("Bob", "gone")


def test_row_without_a_meaning_is_no_signature() -> None:
    assert signature_line(signed(meaning=""), zone="UTC", names={}) is None
