"""A fresh migrated database for each module, and a scene of its own for each test that wants one."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from models import database as db
from tests.integration.scene import Scene, new_rules, populate
from tests.postgres import admin, with_database


@pytest.fixture(scope="module")
def database_url(postgres: str, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex[:8]}"
    admin(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield with_database(postgres, name)
    admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[db.Database]:
    database = db.Database(url=database_url, pool_size=16)
    yield database
    database.dispose()


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
    filled, first = scenery
    name = f"scene_{uuid4().hex[:8]}"
    admin(postgres, f"CREATE DATABASE {name} TEMPLATE {filled} STRATEGY file_copy")
    database = db.Database(url=with_database(postgres, name), pool_size=24)
    yield Scene(database=database, rules=first.rules, secrets=dict(first.secrets))
    database.dispose()
    admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")
