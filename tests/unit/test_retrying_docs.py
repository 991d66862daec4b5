"""docs/retrying.md says what the code does."""

import re
from pathlib import Path

from channels.inquiries import ABSENT_AFTER, ABSENT_TIMES, WAITS
from channels.service.retry import LEFT_BECAUSE
from models.queries.failures import LOOKED_AT
from models.queries.metrics import MOST_RECEIPTS

TEXT = (Path(__file__).parents[2] / "docs" / "retrying.md").read_text(encoding="utf-8")


def table_under(heading: str) -> dict[str, str]:
    """Word -> meaning, of the last table of a section."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE))


def test_the_page_has_every_word_of_a_report_with_its_meaning() -> None:
    assert table_under("Retry") == dict(LEFT_BECAUSE)


def test_the_page_has_every_metric() -> None:
    source = (Path(__file__).parents[2] / "console" / "http" / "metrics.py").read_text(encoding="utf-8")
    named = set(re.findall(r'"themeline_(\w+)"', source)) | set(re.findall(r'_(?:by_channel|gauge)\("(\w+)"', source))
    counters = set(re.findall(r'CounterMetricFamily\("themeline_(\w+)"', source))
    wanted = {f"themeline_{name}{'_total' if name in counters else ''}" for name in named}
    assert set(re.findall(r"^\| `(themeline_\w+)`", TEXT, re.MULTILINE)) == wanted


def test_the_figures_on_the_page_are_those_of_the_code() -> None:
    assert (LOOKED_AT, MOST_RECEIPTS, ABSENT_TIMES) == (100, 10_000, 3)
    assert ABSENT_AFTER.total_seconds() == 15 * 60
    assert WAITS[0].total_seconds() == 30
    assert 3 <= sum(wait.total_seconds() for wait in WAITS) / 86_400 < 3.5
