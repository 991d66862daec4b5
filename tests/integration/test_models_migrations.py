"""The schema on a real PostgreSQL: up, down, and what the database itself enforces."""

from hashlib import sha256
from uuid import UUID

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import ProgrammingError

from models import database as db


def test_mappings_and_migrations_agree(database_url: str) -> None:
    db.check(database_url)


def test_migrations_go_down_to_nothing_and_up_again(database_url: str) -> None:
    db.downgrade(database_url, "base")
    engine = db.engine_for(database_url)
    assert set(inspect(engine).get_table_names()) == {"themeline_version"}
    db.upgrade(database_url)
    assert {"themes", "deliveries", "audit"} <= set(inspect(engine).get_table_names())
    engine.dispose()


@pytest.mark.parametrize("statement", ["UPDATE audit SET act = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
def test_the_database_refuses_to_change_the_audit(database: db.Database, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="only grows"), database.begin() as session:
        session.execute(text(statement))


def test_a_delivery_id_is_a_version_8_uuid_of_its_name(database: db.Database) -> None:
    with database.begin() as session:
        made = session.scalar(text("SELECT delivery_id('1:2:sms:+44')"))
    digest = bytearray(sha256(b"1:2:sms:+44").digest()[:16])
    digest[6], digest[8] = digest[6] & 0x0F | 0x80, digest[8] & 0x3F | 0x80
    assert made == UUID(bytes=bytes(digest))
    assert (made.version, made.variant) == (8, "specified in RFC 4122")


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    database = db.Database(url="postgresql://someone:hidden@127.0.0.1:1/none")
    with pytest.raises(db.DatabaseUnreachable, match="THEMELINE_DATABASE_URL") as caught, database.begin():
        pass
    assert "hidden" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
