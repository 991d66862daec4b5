"""The page about single sign-on shows the very files that the proxy test runs."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
FILES = sorted(path.name for path in (DOCS / "proxy").iterdir())


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_the_proxy_stands_on_its_page_word_for_word(name: str) -> None:
    page = (DOCS / "single-sign-on.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"\[[^\]]+\]\(proxy/([\w.-]+)\)[^\n]*\n\n```\w*\n(.*?)```", page, re.DOTALL))
    assert shown[name] == (DOCS / "proxy" / name).read_text(encoding="utf-8")
