"""A file of several YAML documents: each by itself, with the lines of the file."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from documents.source import Part, SourceUnreadable, parts_of, read_source


def parts(text: str) -> list[Part]:
    return list(parts_of(text))


def test_a_file_without_marks_is_one_document() -> None:
    assert parts("a: 1\nb: 2\n") == [Part("a: 1\nb: 2\n", 1)]


def test_a_line_with_three_dashes_begins_the_next() -> None:
    assert parts("a: 1\n---\nb: 2\n--- # c\nc: 3") == [
        Part("a: 1\n", 1),
        Part("---\nb: 2\n", 2),
        Part("--- # c\nc: 3", 4),
    ]


def test_comments_and_directives_before_the_first_mark_are_no_document() -> None:
    text = "\ufeff# about\n\n%YAML 1.1\n---\na: 1\n"
    assert parts(text) == [Part(text, 1)]
    assert read_source(text, is_not="").values == {"a": 1}


def test_three_dots_end_a_document_and_what_is_empty_after_them_is_none() -> None:
    assert parts("a: 1\n...\n# over\n") == [Part("a: 1\n...\n", 1)]
    assert parts("a: 1\n...\n...\n") == [Part("a: 1\n...\n", 1)]
    assert parts("a: 1\n...\nb: 2\n") == [Part("a: 1\n...\n", 1), Part("b: 2\n", 3)]
    assert parts("a: 1\n...\n# next\n---\nb: 2\n") == [Part("a: 1\n...\n", 1), Part("# next\n---\nb: 2\n", 3)]


def test_nothing_between_two_marks_is_an_empty_document_and_so_is_an_empty_file() -> None:
    assert [part.line for part in parts("---\na: 1\n---\n---\nb: 2\n---\n")] == [1, 3, 4, 6]
    assert parts("") == [Part("", 1)]
    assert parts("...\n") == [Part("", 2)]
    assert parts("# nothing\n") == [Part("# nothing\n", 1)]


@pytest.mark.parametrize(
    "text", ["a: '\n  ---'\n", "a: |\n  ---\n  b\n", "a: ----\n", "a: 1\n----: 1\n", "a: 1\n---b: 1\n"]
)
def test_dashes_within_a_line_or_indented_part_nothing(text: str) -> None:
    assert parts(text) == [Part(text, 1)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\u2028"])
def test_lines_are_counted_whatever_they_end_with(end: str) -> None:
    first, second = parts(end.join(["a: 1", "---", "b: 2", "c: [3"]))
    assert (first.line, second.line) == (1, 2)
    with pytest.raises(SourceUnreadable) as broken:
        read_source(second.text, is_not="", line=second.line)
    assert broken.value.problems[0].line in {4, 5}  # of the file: where YAML misses the bracket


def test_places_and_problems_are_told_with_the_line_of_the_file() -> None:
    _, second = parts("a: 1\n---\nb: 2\nb: 3\nc: {d: 4}\n")
    source = read_source(second.text, is_not="", line=second.line)
    assert source.lines == {"b": 3, "c": 5, "c.d": 5}
    assert [(one.line, one.message) for one in source.problems] == [(4, "is given twice; the first is at line 3")]


def test_a_character_that_yaml_forbids_is_told_with_the_line_of_the_file() -> None:
    _, second = parts("a: 1\n---\nb: 2\nc: \x07\n")
    with pytest.raises(SourceUnreadable) as broken:
        read_source(second.text, is_not="", line=second.line)
    assert [problem.line for problem in broken.value.problems] == [4]


pieces = st.sampled_from(
    ["a: 1", "b: [2, 3]", "---", "...", "# c", "", "  ---", "d: |", "  text", "--- e: 5", "--- # f"]
)


@given(st.lists(pieces, max_size=10).map("\n".join))
def test_parts_are_the_documents_that_yaml_finds(text: str) -> None:
    try:
        whole = list(yaml.compose_all(text, yaml.SafeLoader))
    except yaml.YAMLError:
        return
    found = [yaml.compose(part.text, yaml.SafeLoader) for part in parts_of(text)]
    for part in parts_of(text):
        assert "\n".join(text.split("\n")[part.line - 1 :]).startswith(part.text)
    assert [plain(node) for node in found if node] == [plain(node) for node in whole if node]


def plain(node: yaml.Node) -> str:
    return str(yaml.serialize(node))
