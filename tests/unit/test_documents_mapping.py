"""Files whose readers tell places by themselves: limits, accounts."""

import pytest

from documents.source import SourceUnreadable, read_mapping


def refused(text: str) -> str:
    with pytest.raises(SourceUnreadable) as caught:
        read_mapping(text, is_not="a list of limits")
    return str(caught.value)


def test_anchors_and_merged_keys_are_at_home() -> None:
    text = "base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\nsame: *base\n"
    assert read_mapping(text, is_not="") == {
        "base": {"a": 1, "b": 2},
        "other": {"a": 1, "b": 3},
        "same": {"a": 1, "b": 2},
    }


def test_a_key_that_is_given_twice_is_told_with_both_lines_wherever_it_stands() -> None:
    assert refused("x:\n- a: 1\n  b: 2\n  a: 3\n") == "a (line 4): is given twice; the first is at line 2"


@pytest.mark.parametrize("text", ["? [1, 2]\n: x\n", "? {a: 1}\n: x\n", "a: !nobodys x\n"])
def test_what_no_plain_value_comes_of_is_a_problem_with_its_line_and_no_crash(text: str) -> None:
    assert "is not YAML at line 1" in refused(text)


def test_a_file_that_is_no_mapping_is_told_as_that() -> None:
    assert refused("- a\n") == "the file: is not a list of limits"
