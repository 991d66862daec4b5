"""Every scenario, played against the services on PostgreSQL."""

import pytest

from tests.integration.scene import Scene
from tests.scenarios.play import play
from tests.scenarios.scenario_file import Scenario, all_scenarios
from tests.scenarios.service_driver import ServiceDriver

SCENARIOS = all_scenarios()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[scenario.id for scenario in SCENARIOS])
def test_scenario(scenario: Scenario, world: Scene) -> None:
    play(scenario, ServiceDriver(scene=world, policies=scenario.policies, policy=str(scenario.policy["policy"])))
