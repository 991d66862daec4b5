# ruff: noqa: S608 - the one part put into a statement is a constant of this file
"""What the database itself keeps of deliveries: rows that were tried, and the reason of those that failed."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError

from channels import service
from channels.service import cancellation
from channels.states import Channel, ErrorClass
from models.database import Database
from models.delivery import DistributionState
from models.queries import planning
from tests.integration.delivery_world import RecordingProvider, World, make_world, refuse, run

OWN = "WHERE distribution_id = :distribution_id"


def planned(database: Database, customers: int = 5) -> World:
    world = make_world(database, customers=customers)
    world.plan()
    return world


def test_a_row_that_was_sent_cannot_be_deleted_so_that_a_plan_that_is_mended_sends_nobody_twice(
    database: Database,
) -> None:
    world, provider = planned(database), RecordingProvider()
    run(world.sender(provider))

    with pytest.raises(IntegrityError, match="was tried and stays"):
        world.change(f"DELETE FROM deliveries {OWN} AND address LIKE '%c3'")

    assert world.plan_again().new == 0
    run(world.sender(provider))
    assert (world.states(), set(provider.reached.values())) == ({"sent": 5}, {1})


@pytest.mark.parametrize(
    "tried",
    [
        "state = 'sending'",  # its call may be about to leave
        "state = 'sent'",
        "state = 'delivered'",  # by a receipt, of a try that is not on record
        "state = 'unknown', error_class = 'unknown_outcome'",
        "state = 'retrying', tries = 1",
        "state = 'cancelled', tries = 1",
        "call_began_at = now()",
    ],
)
def test_a_row_that_may_have_reached_somebody_is_kept(database: Database, tried: str) -> None:
    world = planned(database)
    world.change(f"UPDATE deliveries SET {tried} {OWN} AND address LIKE '%c3'")

    with pytest.raises(IntegrityError, match="was tried and stays"):
        world.change(f"DELETE FROM deliveries {OWN}")
    with pytest.raises(IntegrityError, match="was tried and stays"):
        world.change("DELETE FROM distributions WHERE id = :distribution_id")
    with database.begin() as session:
        assert planning.delete_untried(session, theme_id=world.theme_id) == {Channel.PUSH: 4}
    assert sum(world.states().values()) == 1


def test_a_row_with_an_attempt_is_kept_even_where_it_shows_none_itself(database: Database) -> None:
    world = planned(database)
    world.change(
        "INSERT INTO attempts (delivery_seq, number, account_id, began_at, latency_ms, code, detail)"
        f" SELECT seq, 0, 0, now(), 0, 'settled', '' FROM deliveries {OWN} AND address LIKE '%c3'"
    )

    with pytest.raises(IntegrityError, match="was tried and stays"):
        world.change(f"DELETE FROM deliveries {OWN}")


@pytest.mark.parametrize("state", ["planned", "held", "suppressed", "capped", "cancelled", "expired"])
def test_a_row_that_was_never_tried_may_go(database: Database, state: str) -> None:
    world = planned(database)
    world.change(f"UPDATE deliveries SET state = :state {OWN}", state=state)

    world.change(f"DELETE FROM deliveries {OWN}")

    assert world.states() == {}


def test_a_failed_row_without_a_class_of_error_is_refused(database: Database) -> None:
    world = planned(database)

    with pytest.raises(IntegrityError, match="ck_deliveries_failed_has_class"):
        world.change(f"UPDATE deliveries SET state = 'failed' {OWN}")


@pytest.mark.parametrize("error", [error for error in ErrorClass if error is not ErrorClass.UNKNOWN_OUTCOME])
def test_every_class_of_refusal_leaves_a_row_that_the_database_takes(database: Database, error: ErrorClass) -> None:
    world = planned(database, customers=1)

    run(world.sender(RecordingProvider(answer=refuse(error, about_recipient=True))))

    (found,) = world.rows(f"SELECT state, error_class FROM deliveries {OWN}")
    assert found[0] in {"failed", "retrying"}
    assert found[1] == error


def test_a_channel_that_a_person_cancelled_is_not_opened_again_by_another_launch(database: Database) -> None:
    world = planned(database)
    with database.begin() as session:
        cancellation.cancel_channel(
            session, theme_key=world.theme_key, channel=Channel.PUSH, by="ann", now=datetime.now(UTC)
        )

    with database.begin() as session:
        theme = service.theme_by_key(session, world.theme_key)
        (again,) = service.open_distributions(
            session, theme=theme, accounts={Channel.PUSH: world.account_key}, segment_as_of=datetime.now(UTC)
        )
        assert (again.id, again.state) == (world.distribution_id, DistributionState.CANCELLED)
        assert again.stopped_because == "cancelled by ann"
    assert world.states() == {"cancelled": 5}


def test_a_channel_that_a_recall_gave_back_is_opened_again(database: Database) -> None:
    world = planned(database)
    world.change("UPDATE distributions SET state = 'cancelled' WHERE id = :distribution_id")

    with database.begin() as session:
        theme = service.theme_by_key(session, world.theme_key)
        (again,) = service.open_distributions(
            session, theme=theme, accounts={Channel.PUSH: world.account_key}, segment_as_of=datetime.now(UTC)
        )
        assert (again.id, again.state) == (world.distribution_id, DistributionState.PLANNING)
