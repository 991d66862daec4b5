"""Reading what the command line names: files, times."""

from datetime import datetime
from pathlib import Path

from console.refusals import FileUnreadable, OptionInvalid
from themes.document import template_names


def read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnreadable(path=str(file), reason=getattr(error, "strerror", None) or str(error)) from error


def read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise FileUnreadable(path=str(file), reason=error.strerror or str(error)) from error


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
