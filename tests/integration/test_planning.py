# ruff: noqa: S608 - the one part put into a statement is a constant of this file
"""Plans on a real PostgreSQL: in chunks, broken off, two at once, and rows that got lost."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from channels.service import planning
from channels.service.errors import DistributionClosed, DistributionUnknown
from channels.service.planning import PlanReport
from channels.states import Channel, DeliveryState
from models.customer import Customer
from models.database import Database
from models.delivery import Distribution
from models.queries import plans
from tests.integration.delivery_world import RecordingProvider, World, make_world, run

_ID = "customer_id IN (SELECT id FROM customers WHERE product_line_id = :line AND external_id = :who)"


class Died(Exception):
    """What a test lets a planner die of."""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "CHUNK", 4)


def now() -> datetime:
    return datetime.now(UTC)


def everybody(session: Session, distribution: Distribution) -> Select[Any]:
    theme = "SELECT product_line_id FROM themes WHERE id = :theme"
    line = session.connection().exec_driver_sql(theme.replace(":theme", str(distribution.theme_id))).scalar_one()
    return select(Customer.id).where(Customer.product_line_id == line)


def plan(world: World) -> PlanReport:
    return planning.plan(world.database, distribution_id=world.distribution_id, audience_of=everybody, now=now())


def mend(world: World, **values: Any) -> dict[int, int]:
    made = planning.plan_missing(world.database, audience_of=everybody, now=now(), **values).made
    return {key: count for key, count in made.items() if key == world.distribution_id}


def addresses(world: World) -> list[str]:
    rows = world.rows("SELECT address FROM deliveries WHERE distribution_id = :distribution_id ORDER BY seq")
    return [row[0] for row in rows]


def left_out(world: World) -> dict[str, str]:
    return dict(
        world.rows(
            "SELECT c.external_id, l.reason FROM left_out l JOIN customers c ON c.id = l.customer_id"
            " WHERE l.distribution_id = :distribution_id"
        )
    )


@pytest.fixture
def mixed(database: Database) -> World:
    """Ten customers, of whom six get a row, one of those suppressed."""
    world = make_world(database, customers=10)
    world.change(f"DELETE FROM addresses WHERE {_ID}", who="c1")
    world.change(f"UPDATE addresses SET valid = false WHERE {_ID}", who="c2")
    world.change(f"UPDATE consents SET granted = false WHERE {_ID}", who="c3")
    ((shared,),) = world.rows(f"SELECT address FROM addresses WHERE {_ID}", line=world.product_line_id, who="c5")
    world.change(f"UPDATE addresses SET address = :shared WHERE {_ID}", who="c9", shared=shared)
    world.change(
        "INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)"
        f" SELECT :line, 'push', address, 'by_hand', 'test', now() FROM addresses WHERE {_ID}",
        who="c6",
    )
    return world


def cap(world: World, who: str, *, times: int, most: int = 1) -> None:
    content = f'{{"product_line": "x", "caps": [{{"cap": "weekly", "most": {most}, "per": "7d"}}]}}'
    world.change(
        "INSERT INTO limits (product_line_id, content, applied_by, applied_at) VALUES (:line, :content, 'ann', now())",
        content=content,
    )
    world.change(
        "INSERT INTO cap_reservations (delivery_seq, distribution_id, customer_id, channel, reserved_at)"
        " SELECT -c.id * 10 - n, 0, c.id, 'sms', now() - interval '1 day'"
        " FROM customers c, generate_series(1, :times) n"
        " WHERE c.product_line_id = :line AND c.external_id = :who",
        who=who,
        times=times,
    )


def cap_again(world: World, who: str, *, days_ago: int) -> None:
    world.change(
        "INSERT INTO cap_reservations (delivery_seq, distribution_id, customer_id, channel, reserved_at)"
        " SELECT -c.id * 10 - 9, 0, c.id, 'sms', now() - make_interval(days => :days) FROM customers c"
        " WHERE c.product_line_id = :line AND c.external_id = :who",
        who=who,
        days=days_ago,
    )


def test_a_plan_in_chunks_gives_each_address_one_row_and_says_who_gets_none_and_why(mixed: World) -> None:
    cap(mixed, "c7", times=1)

    report = plan(mixed)

    assert report.states == {DeliveryState.PLANNED: 5, DeliveryState.SUPPRESSED: 1}
    assert report.over_cap == 1
    assert left_out(mixed) == {"c1": "no_address", "c2": "invalid", "c3": "no_consent", "c9": "duplicate"}
    assert report.left_out == {"duplicate": 1, "invalid": 1, "no_address": 1, "no_consent": 1}
    assert mixed.rows("SELECT count(*) FROM plan_chunks WHERE distribution_id = :distribution_id") == [(3,)]


def test_who_had_less_than_the_cap_allows_is_not_counted_as_over_it(mixed: World) -> None:
    cap(mixed, "c7", times=2, most=3)

    assert plan(mixed).over_cap == 0


def test_whose_cap_has_room_by_the_time_her_message_leaves_gets_it_and_nobody_else(database: Database) -> None:
    world = make_world(database, customers=3)
    cap(world, "c1", times=1)
    cap_again(world, "c2", days_ago=1)
    assert plan(world).over_cap == 2
    world.change(
        "UPDATE cap_reservations SET reserved_at = now() - interval '8 days' WHERE " + _ID, who="c1"
    )  # as it is a week after

    provider = RecordingProvider()
    run(world.sender(provider))

    assert world.states() == {"sent": 2, "capped": 1}
    assert {address[-2:] for address in provider.reached} == {"c1", "c3"}


def test_a_message_of_the_plan_itself_is_not_counted_against_it_when_it_is_gone_through_again(
    database: Database,
) -> None:
    world = make_world(database, customers=3)
    cap(world, "c1", times=1)
    plan(world)
    run(world.sender(RecordingProvider()))
    assert world.states() == {"sent": 2, "capped": 1}

    again = planning.plan_again(database, distribution_id=world.distribution_id, audience_of=everybody, now=now())

    assert again is not None
    assert again.over_cap == 1


def test_of_customers_in_different_chunks_who_share_an_address_the_first_has_the_row(mixed: World) -> None:
    plan(mixed)

    whose = (
        "SELECT c.external_id FROM deliveries d JOIN customers c ON c.id = d.customer_id"
        " JOIN addresses a ON a.address = d.address WHERE a.customer_id <> d.customer_id"
        " AND d.distribution_id = :distribution_id"
    )
    assert mixed.rows(whose) == [("c5",)]


def test_of_customers_in_one_chunk_who_share_an_address_the_first_has_the_row(database: Database) -> None:
    world = make_world(database, customers=4)
    world.change(
        "UPDATE addresses SET address = 'shared-' || CAST(:line AS text) WHERE customer_id IN (SELECT id FROM customers"
        " WHERE product_line_id = :line AND external_id <> 'c1')"
    )

    plan(world)

    assert left_out(world) == {"c3": "duplicate", "c4": "duplicate"}


def test_every_row_has_the_id_that_the_database_makes_of_its_name(database: Database) -> None:
    world = make_world(database, customers=50)
    plan(world)

    name = "d.theme_id || ':' || s.revision_id || ':' || d.channel || ':' || d.address"
    same = (
        "SELECT count(*) FROM deliveries d JOIN distributions s ON s.id = d.distribution_id"
        f" WHERE s.id = :distribution_id AND d.id = delivery_id({name})"
    )
    assert world.rows(same) == [(50,)]


def test_each_cap_counts_its_own_window(database: Database) -> None:
    world = make_world(database, customers=3)
    caps = [{"cap": "daily", "most": 1, "per": "24h"}, {"cap": "monthly", "most": 2, "per": "30d"}]
    world.change(
        "INSERT INTO limits (product_line_id, content, applied_by, applied_at) VALUES (:line, :content, 'ann', now())",
        content=json.dumps({"product_line": "x", "caps": caps}),
    )
    # c1 had one two days ago, c2 two of them, c3 one an hour ago.
    for who, hours in (("c1", 48), ("c2", 48), ("c2", 49), ("c3", 1)):
        world.change(
            "INSERT INTO cap_reservations (delivery_seq, distribution_id, customer_id, channel, reserved_at)"
            " SELECT -1000 - c.id * 100 - :hours, 0, c.id, 'sms', now() - make_interval(hours => :hours)"
            " FROM customers c WHERE c.product_line_id = :line AND c.external_id = :who",
            who=who,
            hours=hours,
        )

    assert plan(world).over_cap == 2


def test_a_plan_that_is_made_twice_changes_nothing(mixed: World) -> None:
    first, before = plan(mixed), (addresses(mixed), left_out(mixed))
    again = planning.plan_again(mixed.database, distribution_id=mixed.distribution_id, audience_of=everybody, now=now())

    assert again is not None
    assert (first.new, again.new, again.states) == (6, 0, first.states)
    assert (addresses(mixed), left_out(mixed)) == before


def test_an_audience_without_anybody_is_planned_as_well(database: Database) -> None:
    world = make_world(database, customers=0)

    assert (plan(world).planned, plan(world).new) == (0, 0)
    assert world.rows("SELECT state FROM distributions WHERE id = :distribution_id") == [("sending",)]


@pytest.mark.parametrize("dies_in", [1, 2, 3])
def test_a_planner_that_dies_leaves_whole_chunks_and_the_next_one_goes_on(
    mixed: World, monkeypatch: pytest.MonkeyPatch, dies_in: int
) -> None:
    calls, plan_chunk = iter(range(1, 100)), plans.plan_chunk

    def dying(*args: Any, **values: Any) -> int:
        made = plan_chunk(*args, **values)
        if next(calls) == dies_in:
            raise Died
        return made

    with monkeypatch.context() as patch:
        patch.setattr(plans, "plan_chunk", dying)
        with pytest.raises(Died):
            plan(mixed)
    there = len(addresses(mixed))
    assert mixed.rows("SELECT state FROM distributions WHERE id = :distribution_id") == [("planning",)]

    report = plan(mixed)

    assert (report.new, report.planned) == (6 - there, 6)
    assert len(left_out(mixed)) == 4


def test_the_sweep_completes_a_plan_that_was_broken_off(mixed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(plans, "complete", lambda *_, **__: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            plan(mixed)

    assert mend(mixed) == {}
    assert mixed.rows("SELECT state FROM distributions WHERE id = :distribution_id") == [("sending",)]
    assert mixed.rows("SELECT rows FROM plans WHERE distribution_id = :distribution_id") == [(6,)]


def test_two_planners_at_once_make_each_row_once(database: Database) -> None:
    world = make_world(database, customers=200)

    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: plan(world), range(4)))

    assert sum(report.new for report in reports) == 200
    assert {report.planned for report in reports} == {200}
    assert len(set(addresses(world))) == 200


def test_the_audience_stays_the_one_that_was_evaluated(database: Database) -> None:
    world = make_world(database, customers=5)
    plan(world)
    world.change(
        "WITH new AS ("
        " INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)"
        " VALUES (:line, 'late', 'Late', 'GB', 'Europe/London', 'en', true) RETURNING id), address AS ("
        " INSERT INTO addresses (customer_id, channel, address, original) SELECT id, 'push', 'late', '' FROM new)"
        " INSERT INTO consents SELECT id, 'push', true, 'test', now() FROM new"
    )

    assert plan(world).planned == 5
    assert mend(world, check_every=timedelta(0)) == {}
    assert len(addresses(world)) == 5


def test_a_distribution_that_is_opened_anew_evaluates_its_audience_anew(database: Database) -> None:
    world = make_world(database, customers=5)
    plan(world)
    world.change("DELETE FROM deliveries WHERE distribution_id = :distribution_id")
    world.change(f"DELETE FROM addresses WHERE {_ID}", who="c1")
    world.change(
        "UPDATE distributions SET state = 'planning', segment_as_of = segment_as_of + interval '1 hour'"
        " WHERE id = :distribution_id"
    )

    assert plan(world).states == {DeliveryState.PLANNED: 4}


def test_a_lost_row_is_found_by_the_tallies_and_planned_anew_with_its_id(database: Database) -> None:
    world = make_world(database, customers=9)
    plan(world)
    before = world.rows("SELECT id, address FROM deliveries WHERE distribution_id = :distribution_id ORDER BY id")
    world.change("DELETE FROM deliveries WHERE distribution_id = :distribution_id AND address LIKE '%-c7'")

    assert mend(world) == {world.distribution_id: 1}
    assert mend(world) == {}
    after = world.rows("SELECT id, address FROM deliveries WHERE distribution_id = :distribution_id ORDER BY id")
    assert after == before


def test_what_the_tallies_cannot_show_is_found_when_all_is_gone_through_again(database: Database) -> None:
    world = make_world(database, customers=9)
    plan(world)
    world.change("DELETE FROM deliveries WHERE distribution_id = :distribution_id AND address LIKE '%-c7'")
    world.change("UPDATE plans SET rows = rows - 1 WHERE distribution_id = :distribution_id")

    assert mend(world) == {}
    assert mend(world, check_every=timedelta(0)) == {world.distribution_id: 1}


def test_rows_that_come_back_to_a_complete_distribution_are_sent(database: Database) -> None:
    world = make_world(database, customers=5)
    plan(world)
    provider = RecordingProvider()
    run(world.sender(provider))
    world.change("UPDATE distributions SET state = 'complete' WHERE id = :distribution_id")
    world.change(
        "INSERT INTO addresses (customer_id, channel, address, original)"
        " SELECT id, 'push', 'second', '' FROM customers WHERE product_line_id = :line AND external_id = 'c3'"
    )

    assert mend(world, check_every=timedelta(0)) == {world.distribution_id: 1}
    run(world.sender(provider))
    assert world.states() == {"sent": 6}
    assert set(provider.reached.values()) == {1}


def test_a_takedown_between_two_chunks_ends_the_plan(mixed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plan_chunk = plans.plan_chunk
    taken = iter([False, True])

    def with_takedown(*args: Any, **values: Any) -> int:
        made = plan_chunk(*args, **values)
        if next(taken, False):
            args[0].connection().exec_driver_sql(f"UPDATE themes SET state = 'revoked' WHERE id = {mixed.theme_id}")
        return made

    monkeypatch.setattr(plans, "plan_chunk", with_takedown)
    with pytest.raises(DistributionClosed, match="revoked"):
        plan(mixed)

    assert mixed.rows("SELECT state FROM distributions WHERE id = :distribution_id") == [("planning",)]
    assert mend(mixed) == {}


def test_a_takedown_waits_for_a_chunk_and_not_for_the_plan(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    world, in_chunk, go_on = make_world(database, customers=12), Event(), Event()
    plan_chunk = plans.plan_chunk

    def slow(*args: Any, **values: Any) -> int:
        in_chunk.set()
        assert go_on.wait(20)
        return plan_chunk(*args, **values)

    monkeypatch.setattr(plans, "plan_chunk", slow)
    with ThreadPoolExecutor(1) as pool:
        planned = pool.submit(plan, world)
        assert in_chunk.wait(20)
        world.set_theme("revoked")
        go_on.set()
        with pytest.raises(DistributionClosed):
            planned.result(20)

    assert len(addresses(world)) <= 4


def test_who_was_deleted_after_the_audience_was_evaluated_is_passed_over(database: Database) -> None:
    world = make_world(database, customers=5)
    with world.database.begin() as session:
        row = session.get_one(Distribution, world.distribution_id)
        plans.evaluate(session, distribution=row, audience=everybody(session, row))
    world.change("DELETE FROM customers WHERE product_line_id = :line AND external_id = 'c2'")

    assert plan(world).states == {DeliveryState.PLANNED: 4}
    assert left_out(world) == {}


def test_who_withdraws_consent_keeps_the_row_and_is_not_listed_as_left_out(database: Database) -> None:
    world = make_world(database, customers=5)
    plan(world)
    world.change(f"UPDATE consents SET granted = false WHERE {_ID}", who="c2")

    assert mend(world, check_every=timedelta(0)) == {}
    assert (len(addresses(world)), left_out(world)) == (5, {})


def test_a_plan_of_no_distribution_is_refused(database: Database) -> None:
    with pytest.raises(DistributionUnknown):
        planning.plan(database, distribution_id=-1, audience_of=everybody, now=now())


@pytest.fixture
def two_channels(database: Database) -> tuple[World, World]:
    return make_world(database, customers=3), make_world(database, customers=3, channel=Channel.SMS)


def test_the_sweep_goes_on_with_the_other_plans_when_one_is_over_meanwhile(
    two_channels: tuple[World, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    over, other = two_channels
    lacking_rows = plans.lacking_rows

    def then_over(*args: Any, **values: Any) -> list[int]:
        found = list(lacking_rows(*args, **values))
        over.set_theme("revoked")
        return found

    monkeypatch.setattr(plans, "lacking_rows", then_over)
    made = planning.plan_missing(over.database, audience_of=everybody, now=now()).made

    assert made.get(other.distribution_id) == 3
    assert over.distribution_id not in made
