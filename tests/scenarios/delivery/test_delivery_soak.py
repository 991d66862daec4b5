"""The soak: a short one here; `make soak` runs it with a million deliveries."""

import os
import random
from collections.abc import Callable

import pytest

from channels.states import Channel
from sandbox.process import started
from tests.scenarios.delivery.driver import DeliveryDriver
from tests.scenarios.delivery.provider import ProviderSide
from tests.scenarios.delivery.scenario_file import STARTS_AT, Scenario
from tests.scenarios.delivery.soak import Soak

DELIVERIES = int(os.environ.get("THEMELINE_SOAK_DELIVERIES", "20000"))
SEED = int(os.environ.get("THEMELINE_SOAK_SEED", "4"))


@pytest.mark.timeout(max(300, DELIVERIES // 100))
def test_random_faults_and_kills_lose_nobody_and_double_nobody(
    stage_of: Callable[[Scenario], DeliveryDriver], tmp_path_factory: pytest.TempPathFactory
) -> None:
    scenario = Scenario(
        name=f"soak, seed {SEED}",
        guarantee="Our counts equal the provider's, whatever fails and whoever is killed",
        where="the soak",
        customers=DELIVERIES // len(Channel),
        channels=tuple(Channel),
        at=STARTS_AT,
        steps=(),
        expect={},
    )
    driver = stage_of(scenario)
    # One that keeps who got a message, and not the message: a million of them would fill the memory.
    with started(folder=tmp_path_factory.mktemp("soak"), config={"keep_content": False}) as sandbox:
        driver.point_accounts_at(sandbox)
        driver.side = ProviderSide(sandbox)
        soak = Soak(driver=driver, chance=random.Random(SEED))  # noqa: S311 - moments, not secrets
        soak.run()
        balance = soak.balance()
    print(f"{soak.kills} kills, {soak.faults} faults, {soak.failures} senders failed by themselves: {balance}")  # noqa: T201 - a soak is watched
    assert all(one.holds for one in balance.values()), balance
    assert sum(one.sent + one.doubtful for one in balance.values()) > 0.97 * DELIVERIES  # about 1 % is refused for good
    assert soak.kills >= min(DELIVERIES / 5_000, 100)
