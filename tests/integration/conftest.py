"""A fresh migrated database for each module, and a scene of its own for each test that wants one.

What only some tests use, Prefect and the command line, is imported when they do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from models import database as db
from tests.integration.scene import Scene, copied, new_rules, populate
from tests.postgres import admin, copy_of_database, with_database

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.client.orchestration import SyncPrefectClient

    from tests.integration.command_line import CommandLine


@pytest.fixture(scope="module")
def database(postgres: str, template: str) -> Iterator[db.Database]:
    with copy_of_database(postgres, template, pool_size=16) as database:
        yield database


@pytest.fixture(scope="module")
def database_url(database: db.Database) -> str:
    return database.engine.url.render_as_string(hide_password=False)


@pytest.fixture
def session(database: db.Database) -> Iterator[Session]:
    with database.begin() as session:
        yield session


@pytest.fixture(scope="session")
def scenery(postgres: str, template: str) -> tuple[str, Scene]:
    """A database that holds people, customers and policies; each `scene` is a copy of it."""
    name, rules = f"scenery_{uuid4().hex[:8]}", new_rules()
    admin(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    database = db.Database(url=with_database(postgres, name))
    with database.begin() as session:
        secrets = populate(session, rules.cipher)
    database.dispose()
    return name, Scene(database=database, rules=rules, secrets=secrets)


@pytest.fixture
def scene(postgres: str, scenery: tuple[str, Scene]) -> Iterator[Scene]:
    """A theme's surroundings in a database of the test's own."""
    with copied(postgres, scenery[1]) as scene:
        yield scene


@pytest.fixture(scope="module")
def scene_of_module(postgres: str, scenery: tuple[str, Scene]) -> Iterator[Scene]:
    """For what many tests of a module begin with: done once, each of them works in a copy."""
    with copied(postgres, scenery[1], pool_size=5) as scene:
        yield scene


@pytest.fixture(scope="session")
def submitted(postgres: str, scenery: tuple[str, Scene]) -> Iterator[Scene]:
    """The example theme is in review, for copies."""
    with copied(postgres, scenery[1], pool_size=5) as scene:
        scene.draft()
        scene.submit()
        yield scene


@pytest.fixture
def asked(postgres: str, submitted: Scene) -> Iterator[Scene]:
    """The first level of the demo's policy has been asked about the example theme."""
    with copied(postgres, submitted) as scene:
        yield scene


@pytest.fixture
def cli(scene: Scene, tmp_path: Path) -> Iterator[CommandLine]:
    """`themeline` over the scene."""
    from tests.integration.command_line import command_line_over  # noqa: PLC0415 - see above

    with command_line_over(scene.database, tmp_path) as cli:
        yield cli


@pytest.fixture(scope="module")
def prefect_server() -> Iterator[None]:
    """A Prefect server of the module's own, over SQLite; flows that are called run in this process.

    Not for all modules: as long as there is one, threads of Prefect's draw random numbers, and property tests, which
    have the same source, would not be repeatable.
    """
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415 - see above

    with prefect_test_harness(server_startup_timeout=90):
        yield


@pytest.fixture
def prefect(prefect_server: None) -> Iterator[SyncPrefectClient]:  # noqa: ARG001 - it has to run
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - see above

    with get_client(sync_client=True) as client:
        yield client
