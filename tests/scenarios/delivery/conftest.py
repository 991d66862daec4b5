"""What scenarios of delivery play in: a copy of one database each, and one provider's stand-in for all."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from approval.secrecy import Cipher, new_key
from approval.service.people import IdentityRules
from channels.engine import MOVES
from models import database as db
from sandbox.process import Running, started
from tests.integration.moves_guard import guard_moves
from tests.integration.scene import Scene, populate
from tests.postgres import admin, with_database
from tests.scenarios.delivery.clock import Clock
from tests.scenarios.delivery.driver import DeliveryDriver
from tests.scenarios.delivery.provider import ProviderSide
from tests.scenarios.delivery.scenario_file import Scenario
from tests.scenarios.delivery.senders import Senders, forked
from tests.scenarios.delivery.stage import Staged, add_customers, apply_accounts, approve_themes


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(folder=tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="session")
def staged(postgres: str, template: str, sandbox: Running) -> Staged:
    """Approved themes, accounts at the sandbox; no customers yet."""
    name, key = f"staged_{uuid4().hex[:8]}", new_key()
    rules = IdentityRules(cipher=Cipher([key]), drift_steps=1, wrong_codes=5, lock=timedelta(minutes=15))
    admin(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    database = db.Database(url=with_database(postgres, name))
    with database.begin() as session:
        secrets = populate(session, rules.cipher)
        session.execute(text("DELETE FROM orders"))
    scene = Scene(database=database, rules=rules, secrets=secrets)
    with database.begin() as session:
        apply_accounts(session, scene, sandbox)
    approve_themes(scene)
    with database.begin() as session:  # those were there for the approvers to see somebody reached
        session.execute(text("DELETE FROM customers"))
    guard_moves(database, "deliveries", MOVES)
    database.dispose()
    return Staged(name=name, scene=scene, key=key, sandbox=sandbox)


@pytest.fixture
def stage_of(postgres: str, staged: Staged) -> Iterator[Callable[[Scenario], DeliveryDriver]]:
    """Sets the stage for a scenario, and clears it afterwards."""
    open_: list[tuple[str, DeliveryDriver]] = []

    def set_stage(scenario: Scenario) -> DeliveryDriver:
        name = f"play_{uuid4().hex[:8]}"
        admin(postgres, f"CREATE DATABASE {name} TEMPLATE {staged.name} STRATEGY file_copy")
        url = with_database(postgres, name)
        database = db.Database(url=url, pool_size=8)
        with database.begin() as session:
            add_customers(session, scenario.customers, scenario.channels)
        context = forked()
        clock = Clock.starting(context, scenario.at)
        side = ProviderSide(staged.sandbox)
        side.forget()
        scene = Scene(database=database, rules=staged.scene.rules, secrets=dict(staged.scene.secrets))
        driver = DeliveryDriver(
            scenario=scenario,
            database=database,
            url=url,
            key=staged.key,
            scene=scene,
            clock=clock,
            side=side,
            senders=Senders(context, clock),
        )
        open_.append((name, driver))
        return driver

    yield set_stage
    for name, driver in open_:
        driver.close()
        driver.database.dispose()
        admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")
