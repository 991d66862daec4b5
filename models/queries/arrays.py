"""PostgreSQL array literals: one parameter a column for thousands of rows, far cheaper than a parameter a value."""

from collections.abc import Iterable


def plain_array(values: Iterable[object]) -> str:
    """Of values whose text needs no quoting: numbers, UUIDs, timestamps, enums, None."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def text_array(values: Iterable[str | None]) -> str:
    """Of any text, None. PostgreSQL's text holds no NUL, so that is left out."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\x00", "") + '"'
