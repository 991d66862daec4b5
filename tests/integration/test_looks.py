"""Looking at the database without a transaction: what connections keep between looks, and what they must not."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.database import Database
from models.product_line import ProductLine
from offers.service.quotes import QuoteAsked, quote
from tests.integration import redemption_world
from tests.integration.offers_world import NOON
from tests.integration.redemption_world import MUGS, Shop
from themes.theme import RedeemIn

ORDERS = 3_000
#: Rows that a quote may read of any table. A look at one person's orders reads one.
MOST_READ = 50

stocked, market = redemption_world.stocked, redemption_world.opened


@pytest.fixture
def looker(database_url: str) -> Iterator[Database]:
    database = Database(url=database_url, pool_size=2)
    yield database
    database.dispose()


def backend(session: Session) -> int:
    return int(session.scalars(text("SELECT pg_backend_pid()")).one())


def test_the_next_look_goes_over_the_same_connection(looker: Database) -> None:
    with looker.look() as session:
        first = backend(session)
    with looker.look() as session:
        assert backend(session) == first


def test_looks_at_the_same_time_go_over_connections_of_their_own(looker: Database) -> None:
    with ExitStack() as stack:
        sessions = [stack.enter_context(looker.look()) for _ in range(3)]
        assert len({backend(session) for session in sessions}) == 3


def test_a_look_does_not_remember_what_one_before_it_has_read(looker: Database, session: Session) -> None:
    session.add(ProductLine(key="looked-at", name="Before", currency="GBP"))
    session.commit()
    by_key = select(ProductLine).where(ProductLine.key == "looked-at")
    with looker.look() as looking:
        kept = looking.scalars(by_key).one()  # a session only knows what somebody still holds
        assert kept.name == "Before"
    session.execute(text("UPDATE product_lines SET name = 'After' WHERE key = 'looked-at'"))
    session.commit()
    with looker.look() as looking:
        assert looking.scalars(by_key).one().name == "After"


def test_after_connections_died_one_look_fails_and_all_that_follow_go_on(looker: Database, database: Database) -> None:
    with ExitStack() as stack:
        pids = [backend(stack.enter_context(looker.look())) for _ in range(3)]
    with database.begin() as session:
        for pid in pids:
            session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    with pytest.raises(DBAPIError), looker.look() as session:
        backend(session)
    for _ in pids:
        with looker.look() as session:
            assert backend(session) not in pids


def test_a_quote_reads_no_orders_of_others_by_a_plan_of_when_there_were_none(market: Shop) -> None:
    """The plan is made once a connection, and the shop may be a day old then."""
    asked = QuoteAsked(cart=MUGS, customer="c18", channel=RedeemIn.APP)
    seen: list[tuple[str, Any]] = []

    def note(*about: Any) -> None:
        seen.append((about[2], about[3]))

    database = market.scene.database
    with database.look() as session:
        connection = session.connection()
        connection.exec_driver_sql("TRUNCATE orders CASCADE; ANALYZE orders")
        event.listen(connection, "before_cursor_execute", note)
        quote(session, market.book, asked, product_line_id=market.line_id, now=NOON)
        statement, values = seen[-1]
        fill_with_orders(market)
        explained = statement.replace("EXECUTE cart_facts", "EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE cart_facts")
        assert explained != statement
        plan = connection.exec_driver_sql(explained, values).scalar_one()
        event.remove(connection, "before_cursor_execute", note)
    read = dict(rows_read(plan[0]["Plan"]))
    assert read["orders"] <= 1
    assert max(read.values()) <= MOST_READ


def fill_with_orders(market: Shop) -> None:
    """Of another customer, and not counted by PostgreSQL yet."""
    with market.scene.begin() as session:
        session.execute(
            text("""
                INSERT INTO orders (product_line_id, customer_id, number, placed_at, kept, kept_total_minor)
                SELECT c.product_line_id, c.id, 'many-' || n, now(), true, 100
                FROM customers c CROSS JOIN generate_series(1, :many) n WHERE c.external_id = 'c01'
            """),
            {"many": ORDERS},
        )


def rows_read(node: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The most that any step read of a table."""
    own: dict[str, float] = {}
    for step in steps(node):
        if "Relation Name" in step:
            read = (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]
            own[step["Relation Name"]] = max(read, own.get(step["Relation Name"], 0))
    yield from own.items()


def steps(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for part in node.get("Plans", ()):
        yield from steps(part)
