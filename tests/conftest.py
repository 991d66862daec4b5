"""What holds for every test: with THEMELINE_FORBID_SKIPS set, a skipped test is a failed one.

Property tests are judged by what they find, not by how busy the machine is.
"""

import os
from collections.abc import Generator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.installation import installation, themeline_at
from tests.postgres import postgres, template

#: Made once for all tests that ask for them.
__all__ = ["installation", "postgres", "template", "themeline_at"]

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Tests start a good hundred processes: these need not compile the project's modules anew, each for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _forbid_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _forbid_skip(report)


class TwoProcesses(LoadScopeScheduling):  # type: ignore[misc]  # of a package without types
    """Two processes share the tests: one those that need the one installation, the other the rest, file by file.

    A file is never split, for its fixtures are made once.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "installation" if _needs_installation(path) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TwoProcesses:
    return TwoProcesses(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first."""
    items.sort(key=lambda item: (not _needs_installation(item.nodeid), not _makes_installations(item.nodeid)))


def _needs_installation(path: str) -> bool:
    in_it = "/acceptance/" in path or "/resilience/" in path or "test_scenarios_prefect.py" in path
    return in_it and not _makes_installations(path)


def _makes_installations(path: str) -> bool:
    return "test_supervisor.py" in path


def _forbid_skip(report: Report) -> Report:
    if report.skipped and os.environ.get("THEMELINE_FORBID_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where no test may be: {report.longrepr}"
    return report
