"""The scenarios of some files, for a test of each: two processes share the tests file by file."""

import pytest
from _pytest.mark import ParameterSet

from tests.scenarios.delivery.scenario_file import HERE, read_file


def scenarios_of(*subjects: str) -> list[ParameterSet]:
    scenarios = [scenario for subject in subjects for scenario in read_file(HERE / f"{subject}.yaml")]
    return [pytest.param(scenario, id=scenario.id) for scenario in scenarios]
