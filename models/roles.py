"""The role that the application works as: it reads and appends to the audit, and can do no more to it.

Whoever owns a table can switch its triggers off, change or drop it. So the tables belong to another role, which only
migrations use.
"""

from sqlalchemy import Connection, func, make_url, select, text
from sqlalchemy.orm import Session

from models.database import engine_for

_ROWS = "SELECT, INSERT, UPDATE, DELETE"
_SEQUENCES = "USAGE, SELECT, UPDATE"
_MAINTAIN_SINCE = 17  # the version of PostgreSQL; before, only the owner can ANALYZE, and autovacuum has to do


class RoleMissing(Exception):
    """The role that is to be granted to does not exist."""

    def __init__(self, *, role: str) -> None:
        self.role = role
        super().__init__(f"there is no role {role}: make it with CREATE ROLE {role} LOGIN PASSWORD '…' and try again")


class RoleTooPowerful(Exception):
    """A role can still change the record of what was decided, in a way that no grant of ours can take from it."""

    def __init__(self, *, role: str, powers: tuple[str, ...]) -> None:
        self.role, self.powers = role, powers
        super().__init__(
            f"role {role} could change the audit ({'; '.join(powers)}): give the application a role of its own that "
            "owns nothing and is a member of nothing, and migrate as another"
        )


#: What a role can do to the audit beyond reading and appending, also by way of the roles that it may become.
_POWERS = text("""
    WITH me AS (SELECT oid, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = coalesce(:role, current_user)),
         mine AS (SELECT other.oid FROM pg_roles AS other, me WHERE pg_has_role(me.oid, other.oid, 'MEMBER')),
         kept AS (SELECT relation.oid, relation.relowner, relation.relnamespace FROM pg_class AS relation
                  WHERE relation.oid = to_regclass('audit')),
         guards AS (SELECT called.proowner FROM pg_trigger AS guard JOIN pg_proc AS called ON called.oid = guard.tgfoid
                    JOIN kept ON kept.oid = guard.tgrelid)
    SELECT power FROM (
        SELECT 1 AS place, 'it is a superuser' AS power FROM me WHERE rolsuper
        UNION ALL SELECT 2, 'it owns the table' FROM kept WHERE relowner IN (TABLE mine)
        UNION ALL SELECT 3, 'it owns the schema' FROM kept JOIN pg_namespace AS place ON place.oid = kept.relnamespace
            WHERE place.nspowner IN (TABLE mine)
        UNION ALL SELECT 4, 'it owns the database' FROM pg_database
            WHERE datname = current_database() AND datdba IN (TABLE mine)
        UNION ALL SELECT 5, 'it owns what the trigger calls' FROM guards WHERE proowner IN (TABLE mine)
        UNION ALL SELECT 6, 'it has ' || word FROM unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS word
            WHERE EXISTS (SELECT FROM mine, kept WHERE has_table_privilege(mine.oid, kept.oid, word))
        UNION ALL SELECT 7, 'it has UPDATE on a column'
            WHERE EXISTS (SELECT FROM mine, kept WHERE has_any_column_privilege(mine.oid, kept.oid, 'UPDATE'))
            AND NOT EXISTS (SELECT FROM mine, kept WHERE has_table_privilege(mine.oid, kept.oid, 'UPDATE'))
        UNION ALL SELECT 8, 'it may write the files of the server' FROM pg_roles
            WHERE rolname IN ('pg_write_server_files', 'pg_execute_server_program') AND oid IN (TABLE mine)
        UNION ALL SELECT 9, 'it may make roles' FROM me
            WHERE rolcreaterole AND NOT rolsuper AND current_setting('server_version_num')::int < 160000
    ) AS found GROUP BY place, power ORDER BY place, power
""")


def powers_over_audit(session: Session | Connection, role: str | None = None) -> tuple[str, ...]:
    """By what a role, or the one of this connection, could change the audit; empty as it should be."""
    return tuple(session.execute(_POWERS, {"role": role}).scalars())


def create_database(owner_url: str, *, maintenance: str = "postgres") -> None:
    """Create the database of the address unless it is there, by way of one that always is."""
    name = make_url(owner_url).database or ""
    beside = make_url(owner_url).set(database=maintenance)
    engine = engine_for(beside.render_as_string(hide_password=False), pool_size=1)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        known = connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name})
        if not known:
            connection.execute(text(f"CREATE DATABASE {_quoted(connection, name)}"))
    engine.dispose()


def ensure_role(owner_url: str, role: str, *, verifier: str) -> None:
    """A role that can log in with the password of this SCRAM verifier, and can do nothing else yet."""
    engine = engine_for(owner_url, pool_size=1)
    with engine.begin() as connection:
        _one_at_a_time(connection)
        quoted = _quoted(connection, role)
        if not _exists(connection, role):
            connection.execute(text(f"CREATE ROLE {quoted}"))
        plain = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
        # A verifier is made of base64 and `$:` only, so it needs no quoting, and it is no password itself.
        connection.exec_driver_sql(f"ALTER ROLE {quoted} {plain} PASSWORD '{verifier}'")
    engine.dispose()


def grant(owner_url: str, role: str) -> None:
    """Everything that the application needs on the migrated schema, and on the tables of later migrations.

    Raises:
        RoleMissing, RoleTooPowerful: nothing was changed.
    """
    engine = engine_for(owner_url, pool_size=1)
    with engine.begin() as connection:
        _one_at_a_time(connection)
        if not _exists(connection, role):
            raise RoleMissing(role=role)
        for statement in grants(connection, role):
            connection.exec_driver_sql(statement)
        if powers := powers_over_audit(connection, role):
            raise RoleTooPowerful(role=role, powers=powers)
    engine.dispose()


def grants(connection: Connection, role: str) -> tuple[str, ...]:
    """The statements, in their order; to be run by the owner of the tables."""
    schema, database = connection.execute(select(func.current_schema(), func.current_database())).one()
    to, within = _quoted(connection, role), f"SCHEMA {_quoted(connection, schema)}"
    version = connection.dialect.server_version_info or (0,)
    rows = f"{_ROWS}, MAINTAIN" if version[0] >= _MAINTAIN_SINCE else _ROWS
    return (
        f"REVOKE CREATE ON {within} FROM PUBLIC, {to}",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {_quoted(connection, database)} TO {to}",
        f"GRANT USAGE ON {within} TO {to}",
        f"GRANT {rows} ON ALL TABLES IN {within} TO {to}",
        f"GRANT {_SEQUENCES} ON ALL SEQUENCES IN {within} TO {to}",
        f"REVOKE ALL ON audit, themeline_version FROM PUBLIC, {to}",
        f"GRANT SELECT, INSERT ON audit TO {to}",
        f"GRANT SELECT ON themeline_version TO {to}",
        f"ALTER DEFAULT PRIVILEGES IN {within} GRANT {rows} ON TABLES TO {to}",
        f"ALTER DEFAULT PRIVILEGES IN {within} GRANT {_SEQUENCES} ON SEQUENCES TO {to}",
    )


def _one_at_a_time(connection: Connection) -> None:
    """Beside a migration, or another of these, grants would meet tables that are just changing."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('themeline migrations'))"))


def _exists(connection: Connection, role: str) -> bool:
    return bool(connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}))


def _quoted(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)
