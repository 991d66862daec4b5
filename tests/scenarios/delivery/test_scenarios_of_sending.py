"""What providers refuse, and what people stop and let go on again."""

from collections.abc import Callable

import pytest

from tests.scenarios.delivery.driver import DeliveryDriver
from tests.scenarios.delivery.play import play
from tests.scenarios.delivery.scenario_file import Scenario
from tests.scenarios.delivery.scenarios_of import scenarios_of


@pytest.mark.parametrize("scenario", scenarios_of("failure", "steering", "accounts"))
def test_scenario(scenario: Scenario, stage_of: Callable[[Scenario], DeliveryDriver]) -> None:
    play(scenario, stage_of(scenario))
