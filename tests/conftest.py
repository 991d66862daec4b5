"""What holds for every test: with THEMELINE_FORBID_SKIPS set, a skipped test is a failed one.

Property tests are judged by what they find, not by how busy the machine is.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.installation import installation, themeline_at
from tests.postgres import postgres, template

#: Made once for all tests that ask for them.
__all__ = ["installation", "postgres", "template", "themeline_at"]

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

ROOT = Path(__file__).parents[1]

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _forbid_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _forbid_skip(report)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two processes share the tests: one those that need a whole installation, which come first, one the rest.

    A file is never split, for its fixtures are made once.
    """
    items.sort(key=lambda item: not _needs_installation(item))
    for item in items:
        group = "installation" if _needs_installation(item) else str(item.path.relative_to(ROOT))
        item.add_marker(pytest.mark.xdist_group(group))


def _needs_installation(item: pytest.Item) -> bool:
    return "acceptance" in item.path.parts or item.path.name == "test_scenarios_prefect.py"


def _forbid_skip(report: Report) -> Report:
    if report.skipped and os.environ.get("THEMELINE_FORBID_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where no test may be: {report.longrepr}"
    return report
