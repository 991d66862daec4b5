"""A file of codes, one for each person: what another installation exported, or a printer was given."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_CODE, _STATE, _FREE = "code", "state", "free"


class CodeLine(NamedTuple):
    """One code of a file. `free` is False where the file says that somebody has it."""

    line: int  # from 1
    typed: str
    free: bool


def read_lines(source: Iterable[str]) -> Iterator[CodeLine]:
    """Codes, one in a line; or CSV with a first row that names the columns `code` and, if it likes, `state`.

    Without such a row the first column counts. Empty lines are passed over.

    Raises:
        csv.Error: a line is no CSV.
    """
    rows = csv.reader(source, strict=True)
    code_at, state_at = 0, None
    first = True
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        names = [cell.strip().lower() for cell in row]
        if first and _CODE in names:
            code_at, state_at = names.index(_CODE), _place(names, _STATE)
        else:
            typed = row[code_at] if code_at < len(row) else ""
            yield CodeLine(rows.line_num, typed.strip(), _cell(names, state_at) in {"", _FREE})
        first = False


def _place(names: Sequence[str], wanted: str) -> int | None:
    return names.index(wanted) if wanted in names else None


def _cell(names: Sequence[str], at: int | None) -> str:
    return "" if at is None or at >= len(names) else names[at]
