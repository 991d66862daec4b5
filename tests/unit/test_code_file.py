"""Files of codes, as they come from elsewhere."""

import csv

import pytest

from offers.code_file import read_lines


def read(text: str) -> list[tuple[int, str, bool]]:
    return [(one.line, one.typed, one.free) for one in read_lines(text.splitlines(keepends=True))]


def test_a_plain_file_has_a_code_in_each_line_and_empty_ones_mean_nothing() -> None:
    assert read("AAAA-1\n\n  BBBB 2 \r\n,\nCCCC3") == [(1, "AAAA-1", True), (3, "BBBB 2", True), (5, "CCCC3", True)]


def test_a_first_row_says_where_the_code_stands_and_what_became_of_it() -> None:
    text = "no,State,Code\n1,free,A\n2,reserved,B\n3,CLAIMED,C\n4,,D\n5\n"
    assert read(text) == [(2, "A", True), (3, "B", False), (4, "C", False), (5, "D", True), (6, "", True)]


def test_without_a_first_row_the_first_column_counts() -> None:
    assert read("A,claimed\nB,free\n") == [(1, "A", True), (2, "B", True)]


def test_a_code_that_reads_like_the_name_of_the_column_is_one_unless_it_comes_first() -> None:
    assert read("A\ncode\n") == [(1, "A", True), (2, "code", True)]


def test_what_is_no_csv_is_refused() -> None:
    with pytest.raises(csv.Error):
        read('A\n"B" C\n')
