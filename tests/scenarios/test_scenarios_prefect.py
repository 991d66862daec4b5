"""The most telling scenarios, through real gate runs of a running installation; some of their answers in Chromium.

Those without a browser are played by a few threads from the beginning on, while the browser is at work.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from console.supervisor.layout import Layout, read_private
from tests.acceptance.prefect_ui import PrefectUi, browser_at, chromium
from tests.scenarios.play import play
from tests.scenarios.prefect_driver import PrefectDriver, Theatre
from tests.scenarios.scenario_file import Scenario, all_scenarios

SCENARIOS = [scenario for scenario in all_scenarios() if scenario.through != "service"]
IN_BROWSER = [scenario for scenario in SCENARIOS if scenario.through == "browser"]
THROUGH_GATES = [scenario for scenario in SCENARIOS if scenario.through == "gates"]
AT_ONCE = 3


def driver_of(scenario: Scenario, theatre: Theatre, ui: PrefectUi | None = None) -> PrefectDriver:
    prefix = f"scn{SCENARIOS.index(scenario)}-"
    return PrefectDriver(theatre=theatre, scenario=scenario, prefix=prefix, ui=ui)


@pytest.fixture(scope="module")
def theatre(installation: Any) -> Theatre:
    return Theatre.build(installation.environment)


@pytest.fixture(scope="module")
def played(theatre: Theatre, request: pytest.FixtureRequest) -> Iterator[dict[str, Future[None]]]:
    """The scenarios through gates that were asked for, under way."""
    here: list[Any] = [
        item for item in request.session.items if getattr(item, "originalname", "") == "test_scenario_through_gates"
    ]
    wanted = {item.callspec.params["scenario"].name for item in here}
    with ThreadPoolExecutor(AT_ONCE) as threads:
        asked = [scenario for scenario in THROUGH_GATES if scenario.name in wanted]
        yield {one.name: threads.submit(play, one, driver_of(one, theatre)) for one in asked}
        threads.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def ui(installation: Any) -> Iterator[PrefectUi]:
    auth = read_private(Layout(installation.themeline.state_dir).prefect_auth)
    executable = chromium()
    assert auth
    assert executable
    with browser_at(installation.addresses["prefect_ui"], auth, executable=executable) as opened:
        yield opened


@pytest.mark.skipif(chromium() is None, reason="the browser test needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("scenario", IN_BROWSER, ids=[scenario.id for scenario in IN_BROWSER])
def test_scenario_in_the_browser(
    scenario: Scenario, theatre: Theatre, ui: PrefectUi, played: dict[str, Future[None]]
) -> None:
    assert played is not None
    play(scenario, driver_of(scenario, theatre, ui))


@pytest.mark.parametrize("scenario", THROUGH_GATES, ids=[scenario.id for scenario in THROUGH_GATES])
def test_scenario_through_gates(scenario: Scenario, played: dict[str, Future[None]]) -> None:
    played[scenario.name].result()
