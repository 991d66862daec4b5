"""Deliveries that were there before corrections were: up, and down again."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from models import database as db
from tests.integration.delivery_world import make_world

_COPY = """
INSERT INTO deliveries
    (id, distribution_id, theme_id, channel, customer_id, address, state, due_at, changed_at {extra})
SELECT delivery_id(id::text || clock_timestamp()),
    distribution_id, theme_id, channel, customer_id, address, state, due_at, changed_at {value}
FROM deliveries
"""


def test_rows_of_before_are_the_themes_own_and_corrections_go_with_the_newer_schema(database: db.Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    world = make_world(database, customers=3)
    world.plan()
    database.dispose()
    db.downgrade(url, "0003")
    with pytest.raises(IntegrityError), database.begin() as session:
        session.execute(text(_COPY.format(extra="", value="")))
    db.upgrade(url)
    assert world.rows("SELECT purpose, count(*) FROM deliveries GROUP BY 1") == [("theme", 3)]
    world.change(_COPY.format(extra=", purpose", value=", 'correction'"))
    world.change("UPDATE distributions SET state = 'cancelled'")
    assert world.rows("SELECT count(*) FROM deliveries") == [(6,)]
    db.downgrade(url, "0003")
    assert world.rows("SELECT count(*) FROM deliveries") == [(3,)]
    assert world.rows("SELECT state FROM distributions") == [("complete",)]
    db.upgrade(url)


def test_an_address_has_one_delivery_for_each_purpose(database: db.Database) -> None:
    world = make_world(database, customers=1)
    world.plan()
    own = "FROM deliveries WHERE distribution_id = :distribution_id"
    again = _COPY.replace("FROM deliveries", f"{own} LIMIT 1")
    with pytest.raises(IntegrityError):
        world.change(again.format(extra="", value=""))
    world.change(again.format(extra=", purpose", value=", 'correction'"))
    with pytest.raises(IntegrityError):
        world.change(again.format(extra=", purpose", value=", 'correction'"))
