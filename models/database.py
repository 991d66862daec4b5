"""Connections and migrations. Nothing connects at import."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

import settings
from models import tables

MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseUnreachable(Exception):
    """The database does not answer."""

    def __init__(self, *, where: str, reason: str) -> None:
        self.where, self.reason = where, reason
        super().__init__(
            f"the database at {where} does not answer ({reason}): start it with `themeline up`, "
            "or set THEMELINE_DATABASE_URL to a PostgreSQL that runs"
        )


class DatabaseNotConfigured(Exception):
    """No database is configured."""

    def __init__(self) -> None:
        super().__init__("no database is configured: run `themeline up`, or set THEMELINE_DATABASE_URL")


class DatabaseUrlInvalid(Exception):
    """The address of the database cannot be used; it is not repeated, for it may hold a password."""

    def __init__(self, *, problem: str) -> None:
        self.problem = problem
        super().__init__(f"THEMELINE_DATABASE_URL {problem}: set it to postgresql://user:password@host/database")


def engine_for(url: str, *, pool_size: int = 5, looks: bool = False) -> Engine:
    """Raises DatabaseUrlInvalid."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseUrlInvalid(problem="is no address of a database") from None
    if parsed.get_backend_name() != "postgresql":
        raise DatabaseUrlInvalid(problem=f"names {parsed.get_backend_name()!r}; only postgresql is supported")
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        pool_size=pool_size,
        pool_pre_ping=not looks,
        isolation_level="AUTOCOMMIT" if looks else None,
        connect_args={"options": "-c timezone=UTC", "application_name": "themeline"},
        hide_parameters=True,  # codes and addresses are among them, and errors are logged
    )


def configured_url() -> str:
    url = settings.get_settings().database_url
    if url is None:
        raise DatabaseNotConfigured
    return url.get_secret_value()


class Database:
    """One engine and its sessions; `begin` is one transaction."""

    def __init__(self, *, url: str, pool_size: int = 5) -> None:
        self.engine = engine_for(url, pool_size=pool_size)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self._looking = engine_for(url, pool_size=pool_size, looks=True)
        self._looks = sessionmaker(self._looking, expire_on_commit=False)
        self._idle: list[Session] = []

    @classmethod
    def from_settings(cls) -> "Database":
        return cls(url=configured_url())

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A session in a transaction: committed at the end, rolled back on an error.

        Raises:
            DatabaseUnreachable: the connection could not be made.
        """
        with self._sessions() as session:
            try:
                session.connection()
            except OperationalError as error:
                raise unreachable(self.engine, error) from error
            yield session
            session.commit()

    @contextmanager
    def look(self) -> Iterator[Session]:
        """A session for single statements that change nothing: each sees what there is at its own moment.

        It costs two ways to the database less than a transaction, and the session keeps its connection for the next
        look, without what it read: to make and to close one takes longer than many a statement. A connection that has
        died is only seen when it is used: whoever asks, asks again.

        Raises:
            DatabaseUnreachable: the connection could not be made.
        """
        session = self._idle_session()
        try:
            try:
                session.connection()
            except OperationalError as error:
                raise unreachable(self.engine, error) from error
            yield session
        except BaseException as error:
            session.close()
            if isinstance(error, DBAPIError | DatabaseUnreachable):
                self._close_idle()  # where one connection has died, the others have
            raise
        session.expunge_all()
        self._idle.append(session)

    def _idle_session(self) -> Session:
        try:
            return self._idle.pop()
        except IndexError:
            return self._looks()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle_session().close()

    def dispose(self) -> None:
        self._close_idle()
        self.engine.dispose()
        self._looking.dispose()


def unreachable(engine: Engine, error: OperationalError) -> DatabaseUnreachable:
    reason = str(error.orig).strip().splitlines()[0] if error.orig else "no answer"
    return DatabaseUnreachable(where=engine.url.render_as_string(hide_password=True), reason=reason)


def _alembic(url: str) -> Any:  # noqa: ANN401 - of Alembic, which only migrations load: commands start faster without
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    config.attributes["metadata"] = tables.Base.metadata
    return config


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to a revision."""
    from alembic import command  # noqa: PLC0415 - as above

    command.upgrade(_alembic(url), revision)


def downgrade(url: str, revision: str) -> None:
    from alembic import command  # noqa: PLC0415 - as above

    command.downgrade(_alembic(url), revision)


def check(url: str) -> None:
    """Refuse when mappings and migrations differ (alembic.util.AutogenerateDiffsDetected)."""
    from alembic import command  # noqa: PLC0415 - as above

    command.check(_alembic(url))
