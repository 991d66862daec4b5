"""Receipts on a real PostgreSQL: kept once, joined whenever it can be done, and the same end in any order."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from threading import Thread
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import text

from channels.message import Receipt, ReceiptKind
from channels.receipts import GIVEN_UP_AFTER
from channels.service.receipts import join_waiting
from channels.service.retry import Settlement, settle_unknown
from channels.states import Channel, ErrorClass
from models.database import Database
from tests.integration.receipt_world import BEGAN, ReceiptWorld, Taken, again

FAILED, DELIVERED = ReceiptKind.FAILED, ReceiptKind.DELIVERED


@pytest.fixture
def world(database: Database) -> Iterator[ReceiptWorld]:
    made = ReceiptWorld(database)
    yield made
    made.world.change("DELETE FROM receipts")


def test_receipt_makes_a_sent_delivery_delivered(world: ReceiptWorld) -> None:
    world.take()
    first, second, third = world.deliveries
    world.hear(first.receipt(), second.receipt(FAILED, code="X1"))
    assert [world.standing(one) for one in (first, second, third)] == [
        ("delivered", None, None),
        ("failed", "unrecognised", "X1"),
        ("sent", None, None),
    ]
    assert world.tallied == {"delivered": 1, "failed": 1, "sent": 1}
    assert world.waiting() == []


def test_the_same_receipt_twice_is_kept_once(world: ReceiptWorld) -> None:
    world.take()
    receipt = world.deliveries[0].receipt()
    assert (world.store(receipt, receipt).new, world.store(receipt).known) == (1, 1)
    world.join()
    world.hear(receipt)
    assert world.standing(world.deliveries[0])[0] == "delivered"
    assert world.world.rows("SELECT count(*) FROM receipts WHERE account_id = :a", a=world.account_id) == [(1,)]


def test_receipt_that_comes_before_the_sender_has_recorded_the_call_waits_for_it(world: ReceiptWorld) -> None:
    one = world.deliveries[0]
    world.put(one, state="sending")
    world.hear(one.receipt())
    assert world.standing(one)[0] == "sending"
    assert [row[1] for row in world.waiting()] == [BEGAN + timedelta(seconds=1)]
    world.take(one)
    assert world.join(BEGAN + timedelta(milliseconds=900)) == 0
    assert world.join(BEGAN + timedelta(seconds=1)) == 1
    assert world.standing(one)[0] == "delivered"


def test_receipt_by_reference_waits_while_its_delivery_is_being_sent(world: ReceiptWorld) -> None:
    one = world.deliveries[0]
    world.put(one, state="sending")
    world.hear(one.receipt(reference=str(one.id)))
    assert (world.standing(one)[0], len(world.waiting())) == ("sending", 1)


def test_orphan_is_looked_for_ever_more_rarely_and_kept_when_it_is_given_up(world: ReceiptWorld) -> None:
    stranger = Taken(id=uuid4(), seq=0, address="+8613800000000", customer_id=0, message_id="other")
    world.store(stranger.receipt())
    now, looks = BEGAN, 0
    while waiting := world.waiting():
        now = waiting[0][1]
        world.join(now)
        looks += 1
    assert now >= BEGAN + GIVEN_UP_AFTER
    assert looks < 30
    assert world.world.rows("SELECT delivery_id FROM receipts WHERE account_id = :a", a=world.account_id) == [(None,)]


def test_receipt_of_a_batch_is_told_by_its_address_beside_the_reference_of_the_batch(world: ReceiptWorld) -> None:
    first, second, _ = world.deliveries
    world.take(first, second, state="unknown")
    for one in (first, second):
        world.put(one, provider_message_id=None)
    world.hear(second.receipt(provider_message_id="biz-batch", reference=str(first.id)))
    assert (world.standing(first)[0], world.standing(second)[0]) == ("unknown", "delivered")


def test_letter_that_was_forwarded_bounces_for_the_delivery_of_its_return_path(database: Database) -> None:
    world = ReceiptWorld(database, channel=Channel.EMAIL)
    world.take()
    one = world.deliveries[0]
    bounce = one.receipt(FAILED, provider_message_id=None, reference=str(one.id), address="elsewhere@example.org")
    world.hear(again(bounce, error=ErrorClass.BAD_RECIPIENT))
    assert world.standing(one)[0] == "failed"
    assert world.suppressed() == {one.address: "bad_recipient"}


def test_receipt_of_another_account_is_nobodys(world: ReceiptWorld, database: Database) -> None:
    other = ReceiptWorld(database)
    world.take()
    one = world.deliveries[0]
    other.hear(one.receipt(), one.receipt(reference=str(one.id), dedupe="by reference"))
    assert world.standing(one)[0] == "sent"


def test_delivery_in_doubt_is_settled_by_what_the_provider_says(world: ReceiptWorld) -> None:
    first, second, third = world.deliveries
    for one in world.deliveries:
        world.put(one, state="unknown", error_class="unknown_outcome", call_began_at=BEGAN, key="k", due_at=BEGAN)
    world.hear(
        first.receipt(ReceiptKind.ACCEPTED, reference=str(first.id)),
        second.receipt(reference=str(second.id)),
        third.receipt(FAILED, reference=str(third.id)),
    )
    assert [world.standing(one)[0] for one in world.deliveries] == ["sent", "delivered", "failed"]
    left = "SELECT DISTINCT key, due_at, call_began_at FROM deliveries WHERE distribution_id = :distribution_id"
    assert world.world.rows(left) == [(None, None, None)]


@pytest.mark.parametrize("state", ["retrying", "failed", "held", "cancelled", "expired", "capped", "suppressed"])
def test_delivery_that_a_late_receipt_shows_delivered_is_never_sent_again(world: ReceiptWorld, state: str) -> None:
    one = world.deliveries[0]
    world.take(one)
    world.put(one, state=state, error_class="down", due_at=BEGAN)
    world.hear(one.receipt())
    assert world.standing(one) == ("delivered", None, None)
    assert world.world.rows("SELECT due_at FROM deliveries WHERE id = :id", id=one.id) == [(None,)]


def test_late_failure_of_an_earlier_try_does_not_fail_the_one_that_came_after(world: ReceiptWorld) -> None:
    one = world.deliveries[0]
    world.take(one)
    world.hear(one.receipt(FAILED))
    later = BEGAN + timedelta(hours=1)
    world.attempt(one, number=2, message_id="second", began_at=later)
    world.put(one, state="sent", provider_message_id="second", error_class=None, error_code=None)
    world.hear(one.receipt(FAILED, minutes=2, code="again"))
    assert world.standing(one)[0] == "sent"
    world.hear(one.receipt(FAILED, minutes=90, provider_message_id="second", code="second"))
    assert world.standing(one) == ("failed", "unrecognised", "second")


def test_late_failure_of_an_earlier_try_does_not_settle_the_call_in_doubt(world: ReceiptWorld) -> None:
    one = world.deliveries[0]
    world.take(one)
    world.put(one, state="unknown", error_class="unknown_outcome", call_began_at=BEGAN + timedelta(hours=1))
    world.hear(one.receipt(FAILED), one.receipt(FAILED, provider_message_id=None, reference=str(one.id)))
    assert world.standing(one)[0] == "unknown"


def test_failure_of_the_call_is_heard_after_a_person_has_marked_it_sent(world: ReceiptWorld) -> None:
    one = world.deliveries[0]
    world.attempt(one)
    world.put(one, state="unknown", error_class="unknown_outcome", call_began_at=BEGAN, tries=1)
    with world.database.begin() as session:
        settled_at = BEGAN + timedelta(hours=1)
        settle_unknown(session, ids=[one.id], settlement=Settlement.MARK_SENT, by="ops", now=settled_at)
    assert world.standing(one)[0] == "sent"
    world.hear(one.receipt(FAILED, provider_message_id=None, reference=str(one.id)))
    assert world.standing(one) == ("failed", "unrecognised", "failed")


def test_what_a_receipt_says_of_a_person_holds_for_her_product_line(world: ReceiptWorld) -> None:
    world.take()
    bad, gone, angry = world.deliveries
    world.hear(
        bad.receipt(FAILED, error=ErrorClass.BAD_RECIPIENT),
        gone.receipt(ReceiptKind.UNSUBSCRIBED),
        angry.receipt(ReceiptKind.COMPLAINED),
    )
    assert world.suppressed() == {
        bad.address: "bad_recipient",
        gone.address: "unsubscribed",
        angry.address: "complaint",
    }
    assert world.opted_out() == {gone.customer_id, angry.customer_id}
    assert [world.standing(one)[0] for one in world.deliveries] == ["failed", "sent", "sent"]


def test_place_under_a_cap_is_given_back_when_a_receipt_says_it_failed(world: ReceiptWorld) -> None:
    world.take()
    first, second, _ = world.deliveries
    for one in (first, second):
        world.world.change(
            "INSERT INTO cap_reservations (delivery_seq, distribution_id, customer_id, channel, reserved_at)"
            " VALUES (:seq, :distribution_id, :customer, 'sms', now())",
            seq=one.seq,
            customer=one.customer_id,
        )
    world.hear(first.receipt(FAILED), second.receipt())
    left = world.world.rows("SELECT delivery_seq FROM cap_reservations WHERE distribution_id = :distribution_id")
    assert left == [(second.seq,)]


def test_receipt_whose_delivery_somebody_else_holds_is_left_for_the_next_look(world: ReceiptWorld) -> None:
    world.take()
    one = world.deliveries[0]
    world.store(one.receipt())
    with world.database.begin() as holder:
        holder.execute(text("SELECT 1 FROM deliveries WHERE id = :id FOR UPDATE"), {"id": one.id})
        assert world.join() == 1
    assert (world.standing(one)[0], len(world.waiting())) == ("sent", 1)
    world.join(BEGAN + timedelta(seconds=1))
    assert world.standing(one)[0] == "delivered"


def test_several_joiners_at_once_lose_nothing_and_do_nothing_twice(database: Database) -> None:
    world = ReceiptWorld(database, customers=400)
    world.take()
    receipts = [
        receipt
        for one in world.deliveries
        for receipt in (one.receipt(FAILED), one.receipt(minutes=2), one.receipt(ReceiptKind.OPENED, minutes=3))
    ]
    world.store(*receipts)

    def join_some() -> None:
        for _ in range(30):
            with database.begin() as session:
                join_waiting(session, now=BEGAN + timedelta(days=1), limit=100)

    joiners = [Thread(target=join_some) for _ in range(4)]
    for joiner in joiners:
        joiner.start()
    for joiner in joiners:
        joiner.join()
    now = BEGAN + timedelta(days=2)
    while world.waiting():
        now += timedelta(days=2)
        world.join(now)
    assert world.tallied == {"delivered": 400}


WORDS = some.lists(
    some.tuples(
        some.sampled_from(list(ReceiptKind)),
        some.integers(min_value=1, max_value=4),
        some.sampled_from([None, ErrorClass.BAD_RECIPIENT, ErrorClass.UNSUBSCRIBED, ErrorClass.DOWN]),
        some.booleans(),
    ),
    min_size=1,
    max_size=4,
    unique=True,
)


def _as_receipt(one: Taken, said: tuple[ReceiptKind, int, ErrorClass | None, bool]) -> Receipt:
    kind, minutes, error, by_reference = said
    error = (error or ErrorClass.UNRECOGNISED) if kind is FAILED else None
    return one.receipt(kind, minutes=minutes, error=error, reference=str(one.id) if by_reference else None)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=WORDS, state=some.sampled_from(["sent", "unknown", "retrying"]))
def test_any_order_and_any_repetition_of_receipts_has_the_same_end(
    database: Database, words: list[tuple[ReceiptKind, int, ErrorClass | None, bool]], state: str
) -> None:
    orders = list(permutations(words))[:6]
    world = ReceiptWorld(database, customers=len(orders))
    ends = set()
    for one, order in zip(world.deliveries, orders, strict=True):
        if state == "sent":
            world.take(one)
        else:
            world.put(one, state=state, error_class="unknown_outcome", call_began_at=BEGAN)
        # Without an answer, only the reference leads to the delivery.
        receipts = [_as_receipt(one, (*said[:3], said[3] or state != "sent")) for said in order]
        for position, receipt in enumerate(receipts):
            world.hear(receipt)
            if position % 2:
                world.hear(receipts[0])
        why = world.suppressed().get(one.address)
        ends.add((*world.standing(one), why, one.customer_id in world.opted_out()))
    assert len(ends) == 1
