"""Markdown that shows just what it was given, whatever a marketer or an approver wrote in it."""

import html
import re
from collections.abc import Iterable

_MARKUP = re.compile(r"([\\`*_\[\]{}()#~!+|%:@=-])")
_NUMBERED = re.compile(r"^([0-9]+)\.(?= |$)")
#: What a Markdown renderer would make a link of even where it is escaped: `://`, `www.`, an address's `@`.
_LINK = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?<=@)", re.IGNORECASE)
_INVISIBLE = "\u200b"


def plain(text: str) -> str:
    """Any text as Markdown that shows just it, on one line: no markup, no HTML, no template, no link, no table cell.

    Prefect's UI shows numeric entities as they are written, so all but HTML's own five is escaped by a backslash.
    """
    unlinked = _LINK.sub(_INVISIBLE, " ".join(text.split()))
    escaped = html.escape(_MARKUP.sub(r"\\\1", unlinked), quote=False)
    return _NUMBERED.sub(r"\1\\.", escaped)


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def quotation(text: str) -> str:
    """Each line a paragraph of its own: Prefect's UI shows line breaks within a paragraph badly."""
    return "\n>\n".join(f"> {plain(line)}" for line in text.splitlines() if line.strip())


def shortened(text: str, length: int) -> str:
    """On one line, no longer than this; that something was cut off shows."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
