"""The docs say what the code has: no word, verb, setting or link may be missing or stale."""

import re
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

import pytest
import typer.main
from pydantic import TypeAdapter
from typer.core import TyperCommand, TyperGroup

from approval.states import ChainState, DecisionKind, LevelState, ObjectKind, RoundState, TaskState
from audience.segments import KNOWN_NAMES
from channels.states import Channel, DeliveryState, ErrorClass
from console import cli
from settings import Settings
from themes.lifecycle import Move, ThemeState

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "data" / "README.md", *sorted(DOCS.glob("*.md"))]
WORDS: tuple[type[StrEnum], ...] = (
    *(Channel, DeliveryState, ErrorClass, ThemeState, Move),
    *(ObjectKind, RoundState, ChainState, LevelState, TaskState, DecisionKind),
)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.mark.parametrize("words", WORDS, ids=lambda words: words.__name__)
def test_every_value_of_a_state_is_in_the_glossary(words: type[StrEnum]) -> None:
    glossary = (DOCS / "glossary.md").read_text(encoding="utf-8")
    assert [word.value for word in words if f"`{word.value}`" not in glossary] == []


def test_every_segment_is_in_the_glossary() -> None:
    glossary = (DOCS / "glossary.md").read_text(encoding="utf-8")
    names = [name.replace("<1-365>", "N") for name in KNOWN_NAMES]
    assert [name for name in names if f"`{name}`" not in glossary] == []


def test_every_verb_of_the_command_line_is_in_the_operations_page_and_none_that_is_not_there() -> None:
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    verbs = set(_verbs())
    mentioned = {
        " ".join(words.split()) for words in re.findall(r"`themeline ([a-z -]+?)(?=[ `]*(?:`|[^a-z `-]))", page)
    }
    assert sorted(verb for verb in verbs if f"`themeline {verb}`" not in page) == []
    assert sorted(words for words in mentioned if not _begins_with_a_verb(words, verbs)) == []


def test_every_setting_is_in_the_operations_page_with_its_default() -> None:
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `THEMELINE_([A-Z_]+)` \| (.*?) \|", page, re.MULTILINE))
    settings = Settings.model_fields.items()
    assert rows == {name.upper(): _in_words(field.default) for name, field in settings}


@every_page
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = [target for target in _links(page) if not _resolves(page, target)]
    assert broken == []


def test_every_page_is_reached_from_the_readme() -> None:
    readme = ROOT / "README.md"
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in _links(readme)}
    assert [page.name for page in PAGES if page != readme and page not in linked] == []


def _verbs() -> Iterator[str]:
    cli.add_commands()
    root = typer.main.get_command(cli.app)
    assert isinstance(root, TyperGroup)
    for name, command in root.commands.items():
        if isinstance(command, TyperGroup):
            yield from (f"{name} {verb}" for verb in command.commands)
        elif isinstance(command, TyperCommand):
            yield name


def _begins_with_a_verb(words: str, verbs: set[str]) -> bool:
    return words in cli.VERBS or any(f"{words} ".startswith(f"{verb} ") for verb in verbs)


def _in_words(default: object) -> str:
    if default is None:
        return "none"
    if isinstance(default, timedelta):
        return f"`{TypeAdapter(timedelta).dump_python(default, mode='json')}`"  # as it may be typed
    return f"`{default.name if isinstance(default, Path) else default}`"


def _links(page: Path) -> list[str]:
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", prose)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def _resolves(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
