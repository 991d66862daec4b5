"""Reading what the command line names: files, times."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from console.refusals import FileUnreadable, OptionInvalid
from themes.document import template_names


def read_text(file: Path) -> str:
    with _refused_if_unreadable(file):
        return file.read_text(encoding="utf-8")


def read_bytes(file: Path) -> bytes:
    with _refused_if_unreadable(file):
        return file.read_bytes()


@contextmanager
def opened(file: Path, *, encoding: str = "utf-8-sig", newline: str = "") -> Iterator[TextIO]:
    """A text file to be read line by line; a byte order mark is passed over unless `encoding` is plain `utf-8`.

    Raises:
        FileUnreadable: it cannot be opened, or somewhere in it is what is no text, or no CSV for whoever reads it so.
    """
    with _refused_if_unreadable(file), file.open(encoding=encoding, newline=newline) as source:
        yield source


@contextmanager
def _refused_if_unreadable(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileUnreadable(path=str(file), reason=getattr(error, "strerror", None) or str(error)) from error


def read_theme_files(file: Path) -> tuple[str, dict[str, str]]:
    """The theme file and the templates beside it that it names; a missing one is left to the theme's own check."""
    text = read_text(file)
    beside = {name: file.parent / name for name in template_names(text)}
    return text, {name: read_text(path) for name, path in beside.items() if path.is_file()}


def read_instant(option: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise OptionInvalid(f"{option} {text!r} is no time such as 2027-03-06T09:00+00:00") from error
    if instant.tzinfo is None:
        raise OptionInvalid(f"{option} {text!r} has no zone: add one, such as +00:00")
    return instant
