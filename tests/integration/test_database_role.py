"""The role that the application works as: everything works, and nothing that was decided can be changed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from uuid import uuid4

import psycopg2.errors
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import InternalError, ProgrammingError

from approval.service import people
from approval.service.record import Act, powers_over_audit, verify_audit, write_down
from audience.retail import read_retail
from audience.service import import_retail, multiply_customers
from console.supervisor.passwords import new_password, scram_verifier
from models import database as db
from models import roles, tables
from models.queries import people as people_queries
from models.queries import turns
from settings import get_settings
from tests.integration.command_line import CommandLine, environment_of
from tests.integration.scene import KEY, Scene

PASSWORD = new_password()
PROJECT = Path(__file__).parents[2]
RETAIL = PROJECT / "data" / "online_retail_2010_12.csv"


def url_of(scene: Scene) -> str:
    return scene.database.engine.url.render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def role(postgres: str) -> Iterator[str]:
    """Roles belong to a server, not to a database."""
    name = f"app_{uuid4().hex[:8]}"
    roles.ensure_role(postgres, name, verifier=scram_verifier(PASSWORD))
    yield name
    owner = db.Database(url=postgres)
    with owner.begin() as session:
        session.execute(text(f"DROP ROLE {name}"))
    owner.dispose()


@contextmanager
def granted(scene: Scene, role: str) -> Iterator[Scene]:
    """The scene as its owner sees it; what was granted is taken back, for the role is to be dropped."""
    roles.grant(url_of(scene), role)
    yield scene
    scene.run(f"DROP OWNED BY {role}")


@contextmanager
def as_role(owner: Scene, role: str) -> Iterator[Scene]:
    """The same scene, as the application works in it."""
    url = owner.database.engine.url.set(username=role, password=PASSWORD)
    database = db.Database(url=url.render_as_string(hide_password=False), pool_size=8)
    yield Scene(database=database, rules=owner.rules, secrets=owner.secrets)
    database.dispose()


@pytest.fixture
def owner(scene: Scene, role: str) -> Iterator[Scene]:
    with granted(scene, role) as owner:
        yield owner


@pytest.fixture
def app(owner: Scene, role: str) -> Iterator[Scene]:
    with as_role(owner, role) as app:
        yield app


@pytest.fixture(scope="module")
def unchanged_owner(scene_of_module: Scene, role: str) -> Iterator[Scene]:
    """For tests that leave the database as it was."""
    with granted(scene_of_module, role) as owner:
        yield owner


@pytest.fixture(scope="module")
def unchanged_app(unchanged_owner: Scene, role: str) -> Iterator[Scene]:
    with as_role(unchanged_owner, role) as app:
        yield app


FORBIDDEN = [
    "UPDATE audit SET comment = 'fine by me'",
    "UPDATE audit SET comment = comment WHERE false",
    "DELETE FROM audit",
    "TRUNCATE audit",
    "MERGE INTO audit USING (SELECT 1) AS one ON seq = 1 WHEN MATCHED THEN DELETE",
    "INSERT INTO audit SELECT * FROM audit ON CONFLICT (seq) DO UPDATE SET comment = ''",
    "SELECT * FROM audit FOR UPDATE",
    "ALTER TABLE audit DISABLE TRIGGER audit_only_grows",
    "ALTER TABLE audit DISABLE TRIGGER ALL",
    "ALTER TABLE audit ADD COLUMN x int",
    "ALTER TABLE audit RENAME TO other",
    "ALTER TABLE audit OWNER TO CURRENT_USER",
    "ALTER TABLE audit INHERIT people",
    "DROP TRIGGER audit_only_grows ON audit",
    "CREATE OR REPLACE TRIGGER audit_only_grows BEFORE UPDATE ON audit EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER mine BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE RULE mine AS ON INSERT TO audit DO INSTEAD NOTHING",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "DROP FUNCTION refuse_change CASCADE",
    "DROP TABLE audit",
    "DROP SCHEMA public CASCADE",
    "SET session_replication_role = replica",
    "SET ROLE postgres",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "CREATE TABLE mine (x int)",
    "CREATE INDEX ON themes (title)",
    "ALTER TABLE themes ADD COLUMN x int",
    "DROP TABLE themes",
    "TRUNCATE decisions",
    "UPDATE themeline_version SET version_num = '0001'",
    "COPY audit TO PROGRAM 'cat'",
    "CREATE EXTENSION plpgsql SCHEMA public",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_role_cannot(unchanged_app: Scene, statement: str) -> None:
    with pytest.raises((ProgrammingError, InternalError)) as refused:
        unchanged_app.run(statement)
    # Both say no: who may not, and what is not there to be found without the right.
    assert isinstance(refused.value.orig, psycopg2.errors.InsufficientPrivilege | psycopg2.errors.DuplicateObject)


def test_role_can_do_with_every_other_table_what_services_do(unchanged_app: Scene, role: str) -> None:
    privilege = "SELECT has_table_privilege(:role, :name, :word)"
    with unchanged_app.begin() as session:
        for name in tables.Base.metadata.tables:
            for word in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                expected = name != "audit" or word in {"SELECT", "INSERT"}
                found = session.scalar(text(privilege), {"role": role, "name": name, "word": word})
                assert found is expected, (name, word)


def test_role_has_no_power_over_the_audit_and_the_owner_has(unchanged_app: Scene, unchanged_owner: Scene) -> None:
    with unchanged_app.begin() as session:
        assert powers_over_audit(session) == ()
    with unchanged_owner.begin() as session:
        assert "it owns the table" in powers_over_audit(session)


POWERS = [
    ("GRANT UPDATE ON audit TO {role}", "it has UPDATE"),
    ("GRANT DELETE ON audit TO PUBLIC", "it has DELETE"),
    ("GRANT TRUNCATE ON audit TO {role}", "it has TRUNCATE"),
    ("GRANT TRIGGER ON audit TO {role}", "it has TRIGGER"),
    ("GRANT UPDATE (comment) ON audit TO {role}", "it has UPDATE on a column"),
    ("ALTER TABLE audit OWNER TO {role}", "it owns the table"),
    ("ALTER SCHEMA public OWNER TO {role}", "it owns the schema"),
    ("ALTER FUNCTION refuse_change() OWNER TO {role}", "it owns what the trigger calls"),
    ("GRANT pg_write_all_data TO {role}", "it has UPDATE"),
    ("GRANT pg_write_all_data TO {role} WITH INHERIT FALSE", "it has UPDATE"),
    ("GRANT pg_execute_server_program TO {role}", "it may write the files of the server"),
    ("ALTER ROLE {role} SUPERUSER", "it is a superuser"),
]


@pytest.mark.parametrize(("statement", "power"), POWERS, ids=[row[0] for row in POWERS])
def test_power_over_the_audit_is_seen_however_it_was_given(
    unchanged_owner: Scene, role: str, statement: str, power: str
) -> None:
    with unchanged_owner.begin() as session:
        session.execute(text(statement.format(role=role)))
        assert power in roles.powers_over_audit(session, role)
        session.rollback()


def test_everything_that_an_installation_does_works_as_the_role(app: Scene, tmp_path: Path) -> None:
    app.draft()
    with RETAIL.open(encoding="utf-8-sig", newline="") as source:
        retail = read_retail(islice(source, 400))
    with app.begin() as session:
        import_retail(session, retail, product_line="other", currency="GBP", as_of=datetime.now(UTC))
        assert turns.take_turn(session, "sweep")
    with app.begin() as session:
        multiply_customers(session, product_line="other", target=500, seed=1)
    with app.begin() as session:
        people_queries.forget_codes(session, before_step=1)
        people.grant_role(session, login="cyn", role="finance", by="root", now=app.now)
        people.disable_person(session, login="dan", by="root", now=app.now)
    cli = CommandLine(environment_of(url_of(app), tmp_path))
    assert cli.json("audit", "verify")["role_could_change_it"] == []
    assert cli.json("theme", "list")
    get_settings.cache_clear()


def test_theme_goes_all_the_way_as_the_role(app: Scene) -> None:
    app.draft()
    app.submit()
    app.answer("bob", "return to drafter", "too dear")
    app.submit()
    app.approve_all()
    app.recall()
    assert app.verify().sound


def test_table_of_a_later_migration_is_the_roles_to_use_at_once(app: Scene, owner: Scene) -> None:
    owner.run("CREATE TABLE later (id serial PRIMARY KEY, x int)")
    app.run("INSERT INTO later (x) VALUES (1)", "UPDATE later SET x = 2", "DELETE FROM later")
    with pytest.raises(ProgrammingError, match="must be owner"):
        app.run("DROP TABLE later")


def test_granting_twice_changes_nothing(app: Scene, owner: Scene, role: str) -> None:
    roles.grant(url_of(owner), role)
    app.run("UPDATE themes SET title = title")
    with app.begin() as session:
        assert powers_over_audit(session) == ()


def test_role_gives_nobody_a_power_that_it_does_not_have(app: Scene, role: str) -> None:
    app.run("GRANT UPDATE, DELETE ON audit TO PUBLIC", f"GRANT ALL ON audit TO {role}")  # warned of, and without effect
    with app.begin() as session:
        assert powers_over_audit(session) == ()


def test_role_that_is_too_powerful_is_refused_and_nothing_is_granted(scene: Scene) -> None:
    name = f"strong_{uuid4().hex[:8]}"
    scene.run(f"CREATE ROLE {name}", f"GRANT pg_write_all_data TO {name}")
    with pytest.raises(roles.RoleTooPowerful, match="it has UPDATE"):
        roles.grant(url_of(scene), name)
    with scene.begin() as session:
        assert not session.scalar(text("SELECT has_table_privilege(:role, 'audit', 'SELECT')"), {"role": name})
    scene.run(f"DROP ROLE {name}")


def test_role_that_is_not_there_is_named_with_the_statement_that_makes_it(scene: Scene) -> None:
    with pytest.raises(roles.RoleMissing, match="CREATE ROLE nobody LOGIN"):
        roles.grant(url_of(scene), "nobody")


def test_verify_warns_of_an_owner_and_does_not_fail(scene: Scene, tmp_path: Path) -> None:
    outcome = CommandLine(environment_of(url_of(scene), tmp_path)).run("audit", "verify")
    get_settings.cache_clear()
    assert outcome.exit_code == 0
    assert "it owns the table" in outcome.stderr


def migrate(url: str, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "console.supervisor.migrate", *words],
        cwd=PROJECT,
        env={"THEMELINE_DATABASE_URL": url, "PATH": "", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_migrations_are_run_by_the_owner_who_grants_and_the_role_finds_nothing_to_do(postgres: str, role: str) -> None:
    name = f"fresh_{uuid4().hex[:8]}"
    admin = db.engine_for(postgres).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    fresh = make_url(postgres).set(database=name)
    as_role = fresh.set(username=role, password=PASSWORD).render_as_string(hide_password=False)
    as_owner = fresh.render_as_string(hide_password=False)

    early = migrate(as_role)
    assert (early.returncode, "--grant-to" in early.stderr) == (1, True)
    assert PASSWORD not in early.stderr
    first = migrate(as_owner, "--grant-to", role)
    assert first.returncode == 0, first.stderr
    assert migrate(as_owner, "--grant-to", role).returncode == 0
    then = migrate(as_role)
    assert then.returncode == 0, then.stderr

    database = db.Database(url=as_role)
    with database.begin() as session:
        act = Act(act="try", actor="ann", object_kind="theme", object_key=KEY)
        write_down(session, act, now=datetime.now(UTC))
        assert verify_audit(session).sound
    database.dispose()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
