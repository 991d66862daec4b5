from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from audience import service
from audience.errors import NothingToMultiply, ProductLineUnknown
from audience.retail import read_retail
from audience.segments import segments_named
from models.customer import Address, Customer
from models.database import Database
from models.order import Order
from models.queries.customers import GENERATED_PREFIX
from models.queries.segments import audience_select, audience_size
from models.queries.themes import product_line_by_key

DATA = Path(__file__).parents[2] / "data" / "online_retail_2010_12.csv"
LINE = "giftware-eu"
MARCH_2027 = datetime(2027, 3, 1, tzinfo=UTC)
AFTER_DECEMBER = datetime(2010, 12, 21, tzinfo=UTC)
NAMES = ("visitors", "registered_no_order", "ordered_once", "at_most_two_orders", "core", "lapsed")


@pytest.fixture(scope="module", autouse=True)
def _imported(database: Database) -> None:
    with DATA.open(encoding="utf-8-sig", newline="") as source:
        retail = read_retail(source)
    with database.begin() as session:
        service.import_retail(session, retail, product_line=LINE, currency="GBP", as_of=MARCH_2027)


def audience(session: Session, include: list[str], exclude: list[str], as_of: datetime) -> set[int]:
    line = product_line_by_key(session, LINE)
    assert line is not None
    chosen = {"include": segments_named(include), "exclude": segments_named(exclude)}
    ids = session.scalars(audience_select(**chosen, product_line_id=line.id, as_of=as_of)).all()
    assert len(set(ids)) == len(ids) == audience_size(session, **chosen, product_line_id=line.id, as_of=as_of)
    return set(ids)


def test_segments_of_the_data_set_have_their_known_sizes(session: Session) -> None:
    counts = service.count_segments(session, NAMES, product_line=LINE, as_of=MARCH_2027)
    assert counts == {
        "visitors": 114,
        "registered_no_order": 62,
        "ordered_once": 608,
        "at_most_two_orders": 608 + 167,
        "core": 40,
        "lapsed": 860,
    }


def test_the_womens_day_audience_leaves_out_who_ordered_in_the_last_week(session: Session) -> None:
    include, exclude = ["ordered_once", "at_most_two_orders"], ["ordered_last_7_days"]
    assert len(audience(session, include, exclude, MARCH_2027)) == 775
    in_december = audience(session, include, exclude, AFTER_DECEMBER)
    assert len(in_december) > 400
    assert in_december == audience(session, include, [], AFTER_DECEMBER) - audience(
        session, ["ordered_last_7_days"], [], AFTER_DECEMBER
    )


def test_who_never_ordered_is_not_lost_when_a_segment_is_excluded(session: Session) -> None:
    kept = audience(session, ["registered_no_order"], ["ordered_last_7_days", "lapsed", "core"], MARCH_2027)
    assert len(kept) == 62


def test_nobody_is_in_an_audience_that_includes_nothing(session: Session) -> None:
    assert audience(session, [], ["core"], MARCH_2027) == set()


def test_orders_after_the_instant_do_not_count(session: Session) -> None:
    before = datetime(2010, 12, 1, tzinfo=UTC)
    assert audience(session, ["ordered_once", "core", "lapsed"], [], before) == set()
    assert len(audience(session, ["registered_no_order"], [], before)) == 922


def test_the_last_days_end_at_the_instant_to_the_second(session: Session) -> None:
    ordered_once = (
        select(Order.customer_id, func.max(Order.placed_at))
        .join(Customer)
        .where(Customer.registered)
        .group_by(Order.customer_id)
        .having(func.count() == 1)
    )
    customer, placed = session.execute(ordered_once.limit(1)).one()
    two_days, second = timedelta(days=2), timedelta(seconds=1)
    name = "ordered_last_2_days"
    assert customer not in audience(session, [name], [], placed - second)
    assert customer in audience(session, [name], [], placed)
    assert customer in audience(session, [name], [], placed + two_days - second)
    assert customer not in audience(session, [name], [], placed + two_days)


def test_every_registered_customer_is_in_exactly_one_of_the_segments_by_number_of_orders(session: Session) -> None:
    none, twice, core = (
        audience(session, [name], [], MARCH_2027) for name in ("registered_no_order", "at_most_two_orders", "core")
    )
    assert len(none | twice | core) == len(none) + len(twice) + len(core) == 922 - 45


def test_an_unknown_product_line_is_named_with_those_there_are(session: Session) -> None:
    with pytest.raises(ProductLineUnknown, match=r"no product line 'gift' \(there are: giftware-eu\)"):
        service.count_segments(session, NAMES, product_line="gift", as_of=MARCH_2027)


def test_multiplied_customers_have_the_shares_of_the_imported(database: Database) -> None:
    with database.begin() as session:
        made = service.multiply_customers(session, product_line=LINE, target=922 * 4, seed=7)
        assert made == 922 * 3
        counts = service.count_segments(session, NAMES, product_line=LINE, as_of=MARCH_2027)
        assert counts["ordered_once"] == 608 * 4
        assert counts["core"] == 40 * 4
        assert counts["registered_no_order"] == 62 * 4
        assert counts["visitors"] == 114
        countries = select(func.count()).where(Customer.country == "DE", Customer.registered)
        assert session.scalars(countries).one() == 19 * 4
        session.rollback()


def test_multiplied_addresses_are_unique_and_reserved(database: Database) -> None:
    with database.begin() as session:
        service.multiply_customers(session, product_line=LINE, target=3000, seed=1)
        assert (
            session.scalars(
                select(Address.address).group_by(Address.channel, Address.address).having(func.count() > 1)
            ).all()
            == []
        )
        made = select(Address.address).join(Customer).where(Customer.external_id.startswith(GENERATED_PREFIX))
        reserved = r"^(\+8881\d{10}|generated-\d+@[a-z]{2}\.example\.com|1a0018970b[0-9a-f]{9}|oGenerated\d{18})$"
        assert session.scalars(made.where(Address.address.regexp_match(reserved).is_(False))).all() == []
        assert session.scalars(select(func.count()).select_from(made.subquery())).one() > 5000
        session.rollback()


def test_multiplying_again_adds_only_what_is_missing(database: Database) -> None:
    with database.begin() as session:
        assert service.multiply_customers(session, product_line=LINE, target=1000, seed=1) == 78
        assert service.multiply_customers(session, product_line=LINE, target=1000, seed=1) == 0
        assert service.multiply_customers(session, product_line=LINE, target=1500, seed=1) == 500
        registered = select(func.count()).where(Customer.registered)
        assert session.scalars(registered).one() == 1500
        session.rollback()


def test_nothing_is_multiplied_before_an_import(session: Session) -> None:
    session.execute(text("INSERT INTO product_lines (key, name, currency) VALUES ('empty', 'empty', 'GBP')"))
    with pytest.raises(NothingToMultiply, match="themeline import retail"):
        service.multiply_customers(session, product_line="empty", target=10, seed=1)
    session.rollback()
