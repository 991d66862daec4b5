"""Retrying, settling and cancelling, and failures as persons see them, on a real PostgreSQL."""

import csv
import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.service import cancellation, failures, retry
from channels.service.errors import ChannelNotOpen, NotInDoubt, NotSentAgain
from channels.service.retry import RetryReport, Settlement
from channels.states import Channel, DeliveryState, ErrorClass
from models.database import Database
from models.queries import distributions
from tests.integration.failure_world import FAILED_AT, FailureWorld, failure_world

F, U = DeliveryState.FAILED, DeliveryState.UNKNOWN
DOWN, THROTTLED, DOUBT = ErrorClass.DOWN, ErrorClass.THROTTLED, ErrorClass.UNKNOWN_OUTCOME


def now() -> datetime:
    return datetime.now(UTC)


def retried(world: FailureWorld, **values: Any) -> RetryReport:
    with world.database.begin() as session:
        return retry.retry_failed(session, theme_key=world.theme_key, now=now(), **values)


@pytest.fixture
def world(database: Database) -> FailureWorld:
    return failure_world(database)


def audit(world: FailureWorld) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (row[0], row[1], row[2])
        for row in world.rows("SELECT act, actor, details FROM audit WHERE theme_key = :key", key=world.theme_key)
    ]


def test_twenty_three_of_sixty_eight_are_retried_and_nobody_else(world: FailureWorld) -> None:
    world.add(45, DeliveryState.SENT)
    world.add(23, F, THROTTLED, "isv.BUSINESS_LIMIT_CONTROL")
    report = retried(world)
    assert (report.taken, report.left) == ({Channel.SMS: 23}, {})
    assert world.states() == world.tallied() == {"sent": 45, "retrying": 23}
    assert world.rows(
        "SELECT DISTINCT due_at <= now(), first_tried_at, error_class, error_code FROM deliveries"
        " WHERE theme_id = :theme_id AND state = 'retrying'"
    ) == [(True, None, None, None)]


def test_pressed_by_many_at_once_each_row_is_taken_once(world: FailureWorld) -> None:
    world.add(500, F, DOWN, "E1")
    with ThreadPoolExecutor(6) as pool:
        reports = [future.result() for future in [pool.submit(retried, world) for _ in range(6)]]
    assert sorted(report.total_taken for report in reports) == [0, 0, 0, 0, 0, 500]
    assert world.states() == {"retrying": 500}


def test_what_failed_again_meanwhile_is_left_to_whoever_asks_anew(world: FailureWorld) -> None:
    world.add(3, F, DOWN, "E1")
    pressed = now()
    assert retried(world, asked_at=pressed).total_taken == 3
    world.change(
        "UPDATE deliveries SET state = 'failed', error_class = 'down', due_at = NULL, changed_at = now()"
        " WHERE theme_id = :theme_id"
    )
    second = retried(world, asked_at=pressed)
    assert (second.total_taken, second.left_by_reason) == (0, {"failed_since": 3})
    assert retried(world).total_taken == 3


def test_a_dry_run_says_what_would_be_taken_and_changes_nothing(world: FailureWorld) -> None:
    world.add(4, F, DOWN)
    world.add(2, U, DOUBT)
    report = retried(world, dry_run=True)
    assert (report.taken, report.left) == ({Channel.SMS: 4}, {Channel.SMS: {"unknown": 2}})
    assert (world.states(), audit(world)) == ({"failed": 4, "unknown": 2}, [])


def test_every_filter_narrows_what_is_taken(database: Database) -> None:
    world = failure_world(database, Channel.SMS, Channel.PUSH)
    world.add(2, F, DOWN, "A")
    world.add(3, F, DOWN, "B")
    world.add(4, F, THROTTLED, "A")
    world.add(5, F, DOWN, "A", channel=Channel.PUSH)
    world.add(6, F, DOWN, "A", at=FAILED_AT - timedelta(days=1))

    def taken(**values: Any) -> int:
        return retried(world, dry_run=True, **values).total_taken

    assert taken() == 20
    assert taken(channel=Channel.PUSH) == 5
    assert taken(channel=Channel.EMAIL) == 0
    assert taken(error_class=THROTTLED) == 4
    assert taken(error_class=DOWN, error_code="B") == 3
    assert taken(since=FAILED_AT) == 14
    assert taken(ids=world.ids(F)[:7]) == 7
    assert taken(ids=world.ids(F), error_code="B", channel=Channel.SMS, since=FAILED_AT) == 3


_WITHDRAW_CONSENT = """
    UPDATE consents SET granted = false FROM deliveries d
    WHERE d.customer_id = consents.customer_id AND d.theme_id = :theme_id
"""
_SUPPRESS = """
    INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)
    SELECT t.product_line_id, d.channel, d.address, 'by_hand', 'test', now()
    FROM deliveries d JOIN themes t ON t.id = d.theme_id WHERE t.id = :theme_id
"""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE themes SET ends_at = now() WHERE id = :theme_id", "theme_over"),
        ("UPDATE themes SET state = 'revoked' WHERE id = :theme_id", "theme_over"),
        ("UPDATE themes SET state = 'missed' WHERE id = :theme_id", "theme_not_live"),
        ("UPDATE themes SET revision_id = NULL WHERE id = :theme_id", "other_revision"),
        ("UPDATE distributions SET expires_at = now() WHERE theme_id = :theme_id", "offer_over"),
        ("UPDATE distributions SET state = 'cancelled' WHERE theme_id = :theme_id", "channel_cancelled"),
        (_WITHDRAW_CONSENT, "no_consent"),
        (_SUPPRESS, "suppressed"),
    ],
)
def test_what_may_not_go_out_any_more_is_left_and_the_report_says_why(
    world: FailureWorld, change: str, reason: str
) -> None:
    world.add(3, F, DOWN)
    world.change(change)
    report = retried(world)
    assert (report.total_taken, report.left_by_reason) == (0, {reason: 3})
    assert reason in retry.LEFT_BECAUSE
    assert world.states() == {"failed": 3}


_WORD = """
    INSERT INTO receipts (account_id, dedupe, kind, occurred_at, received_at, provider_message_id, reference, address,
                          code, detail, join_at)
    VALUES (1, :dedupe, :kind, now(), now(), :message, :reference, :address, '', '', now())
"""


def test_what_a_receipt_that_is_not_joined_yet_shows_delivered_is_left(world: FailureWorld) -> None:
    world.add(6, F, DOWN)
    rows = world.rows("SELECT id, address, seq FROM deliveries WHERE theme_id = :theme_id ORDER BY seq")
    by_reference, led, by_message, refused, of_other, untold = rows
    world.change(
        "UPDATE attempts SET provider_message_id = 'm-' || delivery_seq WHERE delivery_seq IN (:one, :other)",
        one=by_message[2],
        other=of_other[2],
    )
    for dedupe, kind, message, reference, address in (
        ("a", "delivered", None, by_reference[0], None),
        ("b", "delivered", None, by_reference[0], led[1]),  # the reference of the delivery that leads the batch
        ("c", "delivered", f"m-{by_message[2]}", None, by_message[1]),
        ("d", "failed", None, refused[0], None),
        ("e", "delivered", "m-of-another-message", None, of_other[1]),
    ):
        values = {"kind": kind, "message": message, "reference": reference, "address": address}
        world.change(_WORD, dedupe=f"{world.theme_key}-{dedupe}", **values)
    report = retried(world)
    assert (report.total_taken, report.left_by_reason) == (3, {"receipt_waits": 3})
    assert set(world.ids(DeliveryState.RETRYING)) == {refused[0], of_other[0], untold[0]}


def test_a_retry_opens_a_distribution_that_was_complete(world: FailureWorld) -> None:
    world.add(1, F, DOWN)
    world.change("UPDATE distributions SET state = 'complete', completed_at = now() WHERE theme_id = :theme_id")
    retried(world, dry_run=True)
    found = "SELECT state, completed_at IS NULL FROM distributions WHERE theme_id = :theme_id"
    assert world.rows(found) == [("complete", False)]
    retried(world)
    assert world.rows(found) == [("sending", True)]


def test_a_retry_is_on_record_with_who_asked_for_what_and_what_was_left(world: FailureWorld) -> None:
    world.add(2, F, DOWN, "E7")
    world.add(1, U, DOUBT)
    retried(world, error_code="E7", by="console:olga")
    asked = {"asked": {"error_code": "E7"}, "taken": {"sms": 2}, "left": {}}
    assert audit(world) == [("retry", "console:olga", asked)]
    retried(world)
    assert len(audit(world)) == 1  # it took nothing


def test_rows_in_doubt_are_settled_by_filter_and_by_id(world: FailureWorld) -> None:
    world.add(3, U, DOUBT, at=FAILED_AT - timedelta(days=1))
    world.add(2, U, DOUBT)
    world.add(1, F, DOWN)

    def settle(settlement: Settlement, **values: Any) -> int:
        with world.database.begin() as session:
            matching: dict[str, Any] = {"theme_key": world.theme_key, **values}
            found = retry.count_in_doubt(session, **matching)
            settled = retry.settle_matching(session, **matching, settlement=settlement, by="olga", now=now())
        assert settled == found
        return settled

    assert settle(Settlement.MARK_SENT, channel=Channel.EMAIL) == 0
    assert settle(Settlement.MARK_SENT, until=FAILED_AT - timedelta(hours=1)) == 3
    assert world.states() == {"sent": 3, "unknown": 2, "failed": 1}
    assert settle(Settlement.SEND_AGAIN, since=FAILED_AT) == 2
    assert world.states() == world.tallied() == {"sent": 3, "retrying": 2, "failed": 1}
    notes = world.rows(
        "SELECT a.detail, count(*) FROM attempts a JOIN deliveries d ON d.seq = a.delivery_seq"
        " WHERE d.theme_id = :theme_id AND a.code = 'settled' GROUP BY 1 ORDER BY 1"
    )
    assert notes == [("mark sent by olga", 3), ("send again by olga", 2)]
    with pytest.raises(NotInDoubt), world.database.begin() as session:
        retry.settle_unknown(session, ids=world.ids(F), settlement=Settlement.MARK_SENT, by="olga", now=now())
    assert [act for act, *_ in audit(world)] == ["settle", "settle"]


def test_nothing_of_a_theme_that_was_taken_down_is_sent_again(world: FailureWorld) -> None:
    world.add(2, U, DOUBT)
    world.change("UPDATE themes SET state = 'revoking' WHERE id = :theme_id")
    with pytest.raises(NotSentAgain), world.database.begin() as session:
        retry.settle_matching(
            session, theme_key=world.theme_key, settlement=Settlement.SEND_AGAIN, by="olga", now=now()
        )
    assert world.states() == {"unknown": 2}


def test_a_cancelled_channel_sends_nothing_more_and_the_others_go_on(database: Database) -> None:
    world = failure_world(database, Channel.SMS, Channel.PUSH)
    for state, error in (
        (DeliveryState.PLANNED, None),
        (DeliveryState.RETRYING, THROTTLED),
        (DeliveryState.HELD, None),
    ):
        world.add(3, state, error)
    world.add(2, DeliveryState.SENT)
    world.add(1, U, DOUBT)
    world.add(4, DeliveryState.PLANNED, channel=Channel.PUSH)
    with database.begin() as session:
        done = cancellation.cancel_channel(
            session, theme_key=world.theme_key, channel=Channel.SMS, by="olga", now=now()
        )
        gate = distributions.gate(session, distribution_id=world.distributions[Channel.SMS], now=now())
    assert (done.cancelled, done.reached) == (9, 3)
    assert "cancelled" in str(gate.closed_because)
    assert world.states(Channel.SMS) == {"cancelled": 9, "sent": 2, "unknown": 1}
    assert world.states(Channel.PUSH) == {"planned": 4}
    assert audit(world)[0][0] == "cancel channel"
    with pytest.raises(ChannelNotOpen), database.begin() as session:
        cancellation.cancel_channel(session, theme_key=world.theme_key, channel=Channel.SMS, by="olga", now=now())


def test_what_a_sender_gives_back_to_a_cancelled_channel_is_cancelled_later(world: FailureWorld) -> None:
    world.add(1, DeliveryState.PLANNED)
    with world.database.begin() as session:
        cancellation.cancel_channel(session, theme_key=world.theme_key, channel=Channel.SMS, by="olga", now=now())
    world.add(2, DeliveryState.RETRYING, DOWN)
    world.add(1, DeliveryState.PLANNED)
    with world.database.begin() as session:
        assert cancellation.cancel_more(session, theme_id=world.theme_id, now=now()) == 3
        assert cancellation.cancel_more(session, theme_id=world.theme_id, now=now()) == 0
    assert world.states() == {"cancelled": 4}


def test_failures_are_grouped_with_the_providers_own_words_and_without_addresses(database: Database) -> None:
    world = failure_world(database, Channel.SMS, Channel.EMAIL)
    world.add(5, F, DOWN, "503", words="try later", channel=Channel.EMAIL)
    world.add(2, F, ErrorClass.BAD_RECIPIENT, "550", words="<{address}> no such user", channel=Channel.EMAIL)
    world.add(3, F, THROTTLED, "isv.BUSINESS_LIMIT_CONTROL", words="触发分钟级流控")
    world.add(1, U, DOUBT, words="the connection was cut")
    world.add(9, DeliveryState.RETRYING, DOWN, "503")
    with database.begin() as session:
        groups = failures.failures_of(session, theme_key=world.theme_key)
        narrowed = failures.failures_of(session, theme_key=world.theme_key, channel=Channel.EMAIL, error_code="550")
    assert [(one.channel, one.error_class, one.error_code, one.count, list(one.words)) for one in groups] == [
        ("email", "down", "503", 5, ["try later"]),
        ("email", "bad_recipient", "550", 2, ["<…> no such user"]),
        ("sms", "throttled", "isv.BUSINESS_LIMIT_CONTROL", 3, ["触发分钟级流控"]),
        ("sms", "unknown_outcome", None, 1, ["the connection was cut"]),
    ]
    assert [one.count for one in narrowed] == [2]


def test_failures_are_exported_one_by_one_with_who_it_was_and_what_was_said(world: FailureWorld) -> None:
    world.add(2, F, DOWN, "503", words="=try later")
    world.add(7, DeliveryState.SENT)
    out = io.StringIO()
    with world.database.begin() as session:
        csv.writer(out).writerows(failures.export_failures(session, theme_key=world.theme_key))
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert Counter((row["state"], row["error_code"], row["words"]) for row in rows) == {
        ("failed", "503", "'=try later"): 2
    }
    assert {row["address"].split("-")[0] for row in rows} == {"failing"}
    assert all(row["account"] == f"{world.theme_key}-sms" and row["request_id"].startswith("r-") for row in rows)


def test_every_class_of_error_has_its_remedy() -> None:
    assert set(failures.REMEDIES) == set(ErrorClass)
