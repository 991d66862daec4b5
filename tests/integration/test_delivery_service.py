# ruff: noqa: S608 - the one part put into a statement is a constant of this file
"""The verbs of delivery on a real PostgreSQL: planning, retry, settling, the end of a theme, what persons see."""

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from channels import service
from channels.engine import MOVES
from channels.message import Message, Outcome
from channels.service.errors import AccountUnfit, DeliveryThemeUnknown, DeliveryUnknown, DistributionClosed, NotInDoubt
from channels.service.retry import RetryReport
from channels.states import Channel, DeliveryState, ErrorClass
from models.database import Database
from models.queries.delivery_rows import RowFilter
from tests.integration.delivery_world import RecordingProvider, World, accept, make_world, refuse, run
from tests.integration.moves_guard import guard_moves


@pytest.fixture(scope="module", autouse=True)
def _only_moves_of_the_table(database: Database) -> None:
    guard_moves(database, "deliveries", MOVES)


_ID = "customer_id IN (SELECT id FROM customers WHERE product_line_id = :line AND external_id = :who)"


def now() -> datetime:
    return datetime.now(UTC)


def retry(world: World, **values: object) -> RetryReport:
    with world.database.begin() as session:
        return service.retry_failed(session, theme_key=world.theme_key, now=now(), **values)  # type: ignore[arg-type]


def with_failures(database: Database, *, customers: int = 20, error: ErrorClass = ErrorClass.UNRECOGNISED) -> World:
    """Every tenth customer fails, the others are sent."""
    world = make_world(database, customers=customers)
    world.plan()

    def answer(message: Message) -> Outcome:
        return refuse(error)(message) if message.address.endswith("0") else accept(message)

    run(world.sender(RecordingProvider(answer=answer)))
    return world


def test_planning_gives_one_row_an_address_and_lists_who_gets_none_and_why(database: Database) -> None:
    world = make_world(database, customers=10)
    world.change(f"DELETE FROM addresses WHERE {_ID}", who="c1")
    world.change(f"UPDATE addresses SET valid = false WHERE {_ID}", who="c2")
    world.change(f"UPDATE consents SET granted = false WHERE {_ID}", who="c3")
    world.change(f"DELETE FROM consents WHERE {_ID}", who="c4")
    ((shared,),) = world.rows(f"SELECT address FROM addresses WHERE {_ID}", line=world.product_line_id, who="c5")
    world.change(f"UPDATE addresses SET address = :shared WHERE {_ID}", who="c6", shared=shared)
    world.change(
        "INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)"
        f" SELECT :line, channel, address, 'by_hand', 'test', now() FROM addresses WHERE {_ID}",
        who="c7",
    )
    report = world.plan()
    assert report.states == {DeliveryState.PLANNED: 4, DeliveryState.SUPPRESSED: 1}
    assert (report.planned, report.new) == (5, 5)
    assert report.left_out == {"no_address": 1, "invalid": 1, "no_consent": 2, "duplicate": 1}
    assert report.planned + sum(report.left_out.values()) == 10
    assert world.rows(
        "SELECT c.external_id FROM left_out l JOIN customers c ON c.id = l.customer_id"
        " WHERE l.distribution_id = :distribution_id AND l.reason = 'duplicate'"
    ) == [("c6",)]


def test_planning_again_changes_nothing_and_finds_rows_that_are_missing(database: Database) -> None:
    world = make_world(database, customers=50)
    world.plan()
    ids = set(world.rows("SELECT id FROM deliveries WHERE distribution_id = :distribution_id"))
    world.change("DELETE FROM deliveries WHERE distribution_id = :distribution_id AND address LIKE '%c7'")
    run(world.sender(RecordingProvider()))
    assert (world.plan().new, world.states()) == (0, {"sent": 49})
    with database.begin() as session:
        assert service.complete_if_done(session, distribution_id=world.distribution_id, now=now())
    assert world.plan_again().new == 1
    assert set(world.rows("SELECT id FROM deliveries WHERE distribution_id = :distribution_id")) == ids
    run(world.sender(RecordingProvider()))
    assert world.states() == {"sent": 50}


def test_two_launches_at_once_plan_every_row_once(database: Database) -> None:
    world = make_world(database, customers=3_000)
    with ThreadPoolExecutor(2) as pool:
        reports = [future.result() for future in [pool.submit(world.plan) for _ in range(2)]]
    assert sorted(report.new for report in reports) == [0, 3_000]
    assert world.states() == {"planned": 3_000}


def test_a_theme_that_may_not_send_is_not_planned(database: Database) -> None:
    world = make_world(database, customers=1)
    world.set_theme("scheduled")
    with pytest.raises(DistributionClosed, match="the theme is scheduled"):
        world.plan()
    world.set_theme("live")
    world.change("UPDATE themes SET ends_at = now() WHERE id = :theme_id")
    with pytest.raises(DistributionClosed, match="the theme has ended"):
        world.plan()


def test_a_distribution_opens_once_and_only_with_an_account_that_fits(database: Database) -> None:
    world, other = make_world(database, customers=1), make_world(database, customers=1)
    with database.begin() as session:
        theme = service.theme_by_key(session, world.theme_key)
        again = service.open_distributions(
            session, theme=theme, accounts={Channel.PUSH: world.account_key}, segment_as_of=now()
        )
        assert [distribution.id for distribution in again] == [world.distribution_id]
        with pytest.raises(AccountUnfit, match="does not serve push"):
            service.open_distributions(
                session, theme=theme, accounts={Channel.PUSH: other.account_key}, segment_as_of=now()
            )


def test_retry_takes_exactly_the_failed_rows_and_pressing_twice_is_harmless(database: Database) -> None:
    world = with_failures(database)
    with database.begin() as session:
        assert service.complete_if_done(session, distribution_id=world.distribution_id, now=now())
    assert retry(world, dry_run=True).taken == {Channel.PUSH: 2}
    assert world.states() == {"sent": 18, "failed": 2}
    with ThreadPoolExecutor(4) as pool:
        reports = [future.result() for future in [pool.submit(retry, world) for _ in range(4)]]
    assert sorted(report.total_taken for report in reports) == [0, 0, 0, 2]
    provider = RecordingProvider()
    run(world.sender(provider))
    assert world.states() == {"sent": 20}
    assert len(provider.reached) == 2
    assert retry(world).taken == {}


def test_retry_takes_only_what_matches(database: Database) -> None:
    world = with_failures(database)
    assert retry(world, error_class=ErrorClass.DOWN).taken == {}
    assert retry(world, channel=Channel.SMS).taken == {}
    assert retry(world, error_code="E2").taken == {}
    assert retry(world, since=now() + timedelta(hours=1)).taken == {}
    assert retry(world, error_class=ErrorClass.UNRECOGNISED, error_code="E1").taken == {Channel.PUSH: 2}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE themes SET ends_at = now() WHERE id = :theme_id", "theme_over"),
        ("UPDATE themes SET state = 'revoking' WHERE id = :theme_id", "theme_over"),
        ("UPDATE themes SET state = 'draft' WHERE id = :theme_id", "theme_not_live"),
        ("UPDATE themes SET revision_id = NULL WHERE id = :theme_id", "other_revision"),
        (
            "UPDATE consents SET granted = false FROM customers c WHERE c.id = customer_id AND product_line_id = :line",
            "no_consent",
        ),
    ],
)
def test_retry_leaves_what_may_not_go_out_any_more_and_says_why(database: Database, change: str, reason: str) -> None:
    world = with_failures(database)
    world.change(change)
    report = retry(world)
    assert (report.taken, report.left) == ({}, {Channel.PUSH: {reason: 2}})
    assert world.states() == {"sent": 18, "failed": 2}


def test_retry_leaves_suppressed_addresses_and_deliveries_in_doubt(database: Database) -> None:
    world = with_failures(database, error=ErrorClass.BAD_RECIPIENT)
    assert retry(world).left == {Channel.PUSH: {"suppressed": 2}}
    doubtful = with_failures(database, error=ErrorClass.UNKNOWN_OUTCOME)
    report = retry(doubtful)
    assert (report.total_taken, report.left_by_reason) == (0, {"unknown": 2})


def test_retry_says_what_still_holds_the_channel_up(database: Database) -> None:
    world = with_failures(database)
    with database.begin() as session:
        service.pause_account(session, key=world.account_key, because="by hand")
    assert retry(world).held_up == {Channel.PUSH: f"the account {world.account_key} is paused: by hand"}


def test_a_dry_run_over_a_complete_distribution_tells_what_will_hold_it_up_once_it_is_open_again(
    database: Database,
) -> None:
    world = with_failures(database)
    with database.begin() as session:
        assert service.complete_if_done(session, distribution_id=world.distribution_id, now=now())
    assert retry(world, dry_run=True).held_up == {}
    world.set_theme("paused")
    assert retry(world, dry_run=True).held_up == {Channel.PUSH: "the theme is paused"}


def test_retry_of_an_unknown_theme_is_refused(database: Database) -> None:
    with pytest.raises(DeliveryThemeUnknown, match="nowhere"), database.begin() as session:
        service.retry_failed(session, theme_key="nowhere", now=now())


@pytest.mark.parametrize(
    ("tried_ago", "state"),
    [
        (timedelta(hours=7), "failed"),  # out of its budget of six hours
        (timedelta(hours=5), "retrying"),  # not yet
    ],
)
def test_what_is_out_of_budget_fails_even_while_its_account_backs_off(
    database: Database, tried_ago: timedelta, state: str
) -> None:
    world = make_world(database, customers=1)
    world.plan()
    world.change(
        "UPDATE deliveries SET state = 'sending' WHERE distribution_id = :distribution_id",
    )
    world.change(
        "UPDATE deliveries SET state = 'retrying', error_class = 'down', tries = 1, first_tried_at = :at,"
        " due_at = now() WHERE distribution_id = :distribution_id",
        at=now() - tried_ago,
    )
    ledger = service.Ledger(
        database=database,
        distribution_id=world.distribution_id,
        owner=uuid4(),
        lease=timedelta(minutes=1),
        retry_budget=timedelta(hours=6),
    )
    ledger.enter(now())
    assert world.states() == {state: 1}


@pytest.mark.parametrize(
    ("settlement", "calls", "reached"), [(service.Settlement.MARK_SENT, 0, 0), (service.Settlement.SEND_AGAIN, 2, 2)]
)
def test_a_person_settles_what_is_in_doubt_and_it_stays_on_record(
    database: Database, settlement: service.Settlement, calls: int, reached: int
) -> None:
    world = with_failures(database, error=ErrorClass.UNKNOWN_OUTCOME)
    ids = [
        row[0]
        for row in world.rows(
            "SELECT id FROM deliveries WHERE distribution_id = :distribution_id AND state = 'unknown'"
        )
    ]
    with database.begin() as session:
        assert service.complete_if_done(session, distribution_id=world.distribution_id, now=now())
        assert service.settle_unknown(session, ids=ids, settlement=settlement, by="olga", now=now()) == 2
    provider = RecordingProvider()
    (report,) = run(world.sender(provider))
    assert (report.calls, len(provider.reached)) == (calls, reached)
    assert world.states() == {"sent": 20}
    with database.begin() as session:
        _, attempts = service.delivery_with_attempts(session, ids[0])
    assert f"{settlement} by olga" in [attempt.detail for attempt in attempts]
    with pytest.raises(NotInDoubt), database.begin() as session:
        service.settle_unknown(session, ids=ids, settlement=settlement, by="olga", now=now())


def test_a_takedown_cancels_and_an_end_expires_what_has_not_left(database: Database) -> None:
    down, ended = make_world(database, customers=5), make_world(database, customers=5)
    down.plan()
    ended.plan()
    down.set_theme("revoking")
    ended.change("UPDATE themes SET ends_at = now() WHERE id = :theme_id")
    with database.begin() as session:
        sweep = service.sweep_deliveries(session, now=now())
    assert (sweep.cancelled, sweep.expired) == (5, 5)
    assert {down.distribution_id, ended.distribution_id} <= set(sweep.completed)
    assert (down.states(), ended.states()) == ({"cancelled": 5}, {"expired": 5})


def test_a_distribution_is_complete_only_when_nothing_more_happens_by_itself(database: Database) -> None:
    world = make_world(database, customers=2)
    world.plan()

    def complete() -> bool:
        with database.begin() as session:
            return service.complete_if_done(session, distribution_id=world.distribution_id, now=now())

    assert not complete()
    world.at_work().claim(limit=1, replays_of=(), now=now())
    assert not complete()
    world.change(
        "UPDATE deliveries SET state = 'unknown', key = 'k', call_began_at = now(), due_at = now()"
        " WHERE distribution_id = :distribution_id AND state = 'sending'"
    )
    run(world.sender(RecordingProvider()))
    assert not complete()  # a key that the provider still knows: it will be replayed
    world.change("UPDATE deliveries SET call_began_at = now() - interval '2 days' WHERE key = 'k'")
    assert complete()  # too old to replay: a person's


def test_progress_sums_to_what_was_planned_and_names_the_classes_of_failure(database: Database) -> None:
    world = with_failures(database)
    with database.begin() as session:
        (channel,) = service.progress(session, theme_id=world.theme_id, now=now())
    assert (channel.planned, channel.settled) == (20, 20)
    assert channel.states == {DeliveryState.SENT: 18, DeliveryState.FAILED: 2}
    assert channel.failed == {ErrorClass.UNRECOGNISED: 2}
    assert channel.closed_because is None


def test_deliveries_are_listed_filtered_and_exported(database: Database) -> None:
    world = with_failures(database)
    failed = RowFilter(theme_key=world.theme_key, state=DeliveryState.FAILED)
    with database.begin() as session:
        rows = service.list_deliveries(session, wanted=failed)
        assert [row["customer"] for row in rows] == ["c10", "c20"]
        assert {row["error_class"] for row in rows} == {ErrorClass.UNRECOGNISED}
        assert (
            len(service.list_deliveries(session, wanted=RowFilter(theme_key=world.theme_key), limit=7, offset=16)) == 4
        )
        out = io.StringIO()
        csv.writer(out).writerows(service.export_deliveries(session, wanted=failed))
    exported = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert [(row["customer"], row["state"], row["error_code"]) for row in exported] == [
        ("c10", "failed", "E1"),
        ("c20", "failed", "E1"),
    ]
    with pytest.raises(DeliveryUnknown), database.begin() as session:
        service.delivery_with_attempts(session, uuid4())


def test_an_export_holds_no_formula_that_a_spreadsheet_would_run(database: Database) -> None:
    world = make_world(database, customers=2)
    world.change(
        "UPDATE addresses SET address = CASE WHEN address LIKE '%c1' THEN '=cmd()' ELSE '+447700900123' END"
        " WHERE customer_id IN (SELECT id FROM customers WHERE product_line_id = :line)"
    )
    world.plan()
    with database.begin() as session:
        rows = list(service.export_deliveries(session, wanted=RowFilter(theme_key=world.theme_key)))
    position = rows[0].index("address")
    assert {row[position] for row in rows[1:]} == {"'=cmd()", "+447700900123"}


def test_an_account_is_kept_changed_paused_and_resumed(database: Database) -> None:
    world = make_world(database, customers=1)
    values: dict[str, Any] = {
        "key": world.account_key,
        "product_line_id": world.product_line_id,
        "provider": "recording",
    }
    with database.begin() as session:
        service.pause_account(session, key=world.account_key, because="first")
        service.pause_account(session, key=world.account_key, because="second")
        kept = service.upsert_account(
            session,
            **values,
            channel=Channel.PUSH,
            settings={"rate_per_second": 5},
            secrets=b"x",
        )
        assert (kept.settings, kept.secrets, kept.paused_because) == ({"rate_per_second": 5}, b"x", "first")
        with pytest.raises(AccountUnfit):
            service.upsert_account(session, **values, channel=Channel.SMS, settings={}, secrets=None)
        service.resume_account(session, key=world.account_key)
    assert world.rows("SELECT paused_because FROM provider_accounts WHERE key = :key", key=world.account_key) == [
        (None,)
    ]


def test_ids_of_deliveries_are_the_same_wherever_they_are_made(database: Database) -> None:
    world = make_world(database, customers=1)
    world.plan()
    ((made, address, revision),) = world.rows(
        "SELECT d.id, d.address, x.revision_id FROM deliveries d JOIN distributions x ON x.id = d.distribution_id"
        " WHERE d.distribution_id = :distribution_id"
    )
    name = f"{world.theme_id}:{revision}:push:{address}"
    assert world.rows("SELECT delivery_id(:name)", name=name) == [(UUID(str(made)),)]
