"""What receipts lead to: the same end in any order, however often each comes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from channels.engine import MOVES
from channels.message import ReceiptKind
from channels.receipts import (
    CLOCK_MARGIN,
    FIRST_WAIT,
    GIVEN_UP_AFTER,
    Calls,
    Standing,
    Word,
    as_reference,
    dedupe_key,
    is_of_last_call,
    look_again_at,
    opts_out,
    standing_after,
    suppresses,
)
from channels.states import DeliveryState, ErrorClass

S, K = DeliveryState, ReceiptKind
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

words = some.builds(
    Word,
    kind=some.sampled_from(list(K)),
    occurred_at=some.integers(0, 3).map(lambda minutes: NOON + timedelta(minutes=minutes)),
    dedupe=some.uuids().map(str),
    error=some.sampled_from([None, *ErrorClass]),
    code=some.sampled_from(["", "A", "B"]),
    provider_message_id=some.sampled_from([None, "m1"]),
    of_last_call=some.booleans(),
)
states = some.sampled_from([state for state in S if state is not S.SENDING])


def word(kind: ReceiptKind, **values: Any) -> Word:
    return replace(Word(kind=kind, occurred_at=NOON, dedupe=kind.value), **values)


@given(heard=some.lists(words, max_size=6), state=states, orders=some.data())
def test_the_end_is_the_same_in_any_order_and_with_any_repetition(
    heard: list[Word], state: DeliveryState, orders: some.DataObject
) -> None:
    start = Standing(state=state, error=ErrorClass.UNKNOWN_OUTCOME if state is S.UNKNOWN else None)
    ends = set()
    for _ in range(3):
        order = orders.draw(some.permutations(heard)) + orders.draw(
            some.lists(some.sampled_from(heard), max_size=3) if heard else some.just([])
        )
        standing, so_far = start, set[Word]()
        for one in order:
            so_far.add(one)
            standing = standing_after(standing, so_far) or standing
        ends.add(standing)
    assert len(ends) == 1
    assert ends == {standing_after(start, heard)}


@given(heard=some.lists(words, max_size=6), state=states)
def test_every_move_that_receipts_make_is_in_the_table(heard: list[Word], state: DeliveryState) -> None:
    after = standing_after(Standing(state=state), heard)
    assert after is not None
    assert after.state is state or (state, after.state) in MOVES


@given(heard=some.lists(words, max_size=6))
def test_delivered_is_never_taken_back(heard: list[Word]) -> None:
    delivered = Standing(state=S.DELIVERED, provider_message_id="m")
    assert standing_after(delivered, heard) == delivered


@pytest.mark.parametrize(
    ("state", "kind", "comes_to"),
    [
        (S.SENT, K.DELIVERED, S.DELIVERED),
        (S.SENT, K.FAILED, S.FAILED),
        (S.SENT, K.DELAYED, S.SENT),
        (S.SENT, K.OPENED, S.SENT),  # a scanner opens letters, too
        (S.UNKNOWN, K.OPENED, S.SENT),  # and yet it cannot open what never left
        (S.UNKNOWN, K.ACCEPTED, S.SENT),
        (S.UNKNOWN, K.COMPLAINED, S.SENT),
        (S.UNKNOWN, K.FAILED, S.FAILED),
        (S.RETRYING, K.DELIVERED, S.DELIVERED),
        (S.RETRYING, K.FAILED, S.RETRYING),
        (S.RETRYING, K.ACCEPTED, S.RETRYING),
        (S.FAILED, K.DELIVERED, S.DELIVERED),
        (S.FAILED, K.ACCEPTED, S.FAILED),
        (S.CANCELLED, K.FAILED, S.CANCELLED),
        (S.CANCELLED, K.DELIVERED, S.DELIVERED),
        (S.PLANNED, K.DELIVERED, S.DELIVERED),
    ],
)
def test_one_word(state: DeliveryState, kind: ReceiptKind, comes_to: DeliveryState) -> None:
    after = standing_after(Standing(state=state), [word(kind)])
    assert after is not None
    assert after.state is comes_to


def test_words_wait_while_the_delivery_is_being_sent() -> None:
    assert standing_after(Standing(state=S.SENDING), [word(K.DELIVERED)]) is None


def test_of_two_failures_the_later_one_is_told() -> None:
    early = word(K.FAILED, error=ErrorClass.DOWN, code="early")
    late = word(K.FAILED, error=ErrorClass.BAD_RECIPIENT, code="late", occurred_at=NOON + timedelta(minutes=1))
    for heard in ([early, late], [late, early]):
        after = standing_after(Standing(state=S.SENT), heard)
        assert after is not None
        assert (after.error, after.code) == (ErrorClass.BAD_RECIPIENT, "late")


def test_receipt_tells_the_message_id_of_the_call_whose_answer_was_lost() -> None:
    after = standing_after(
        Standing(state=S.UNKNOWN, provider_message_id="of-an-earlier-call"),
        [word(K.ACCEPTED, provider_message_id="of-the-lost-call")],
    )
    assert after == Standing(state=S.SENT, provider_message_id="of-the-lost-call")


@pytest.mark.parametrize(
    ("named", "state", "last", "known", "is_of_last"),
    [
        ("m1", S.SENT, "m1", {"m1"}, True),
        ("m1", S.SENT, "m2", {"m1", "m2"}, False),
        ("m1", S.UNKNOWN, "m1", {"m1"}, False),  # the call in doubt is another one
        ("m2", S.UNKNOWN, "m1", {"m1"}, True),
        ("m2", S.SENT, "m2", {"m1"}, True),  # learnt from a receipt
    ],
)
def test_which_call_a_message_id_is_of(
    named: str, state: DeliveryState, last: str, known: set[str], *, is_of_last: bool
) -> None:
    calls = Calls(message_ids=frozenset(known), last_began_at=NOON)
    said = word(K.FAILED, provider_message_id=named)
    assert is_of_last_call(said, state=state, message_id=last, calls=calls) is is_of_last


def test_without_a_message_id_the_time_tells_which_call_is_meant() -> None:
    calls = Calls(last_began_at=NOON)
    before = word(K.FAILED, occurred_at=NOON - CLOCK_MARGIN - timedelta(seconds=1))
    about = word(K.FAILED, occurred_at=NOON - CLOCK_MARGIN)
    for said, expected in ((before, False), (about, True)):
        assert is_of_last_call(said, state=S.SENT, message_id=None, calls=calls) is expected


@pytest.mark.parametrize(
    ("said", "reason", "leaves"),
    [
        (word(K.FAILED, error=ErrorClass.BAD_RECIPIENT), "bad_recipient", False),
        (word(K.FAILED, error=ErrorClass.UNSUBSCRIBED), "unsubscribed", True),
        (word(K.FAILED, error=ErrorClass.DOWN), None, False),
        (word(K.UNSUBSCRIBED), "unsubscribed", True),
        (word(K.COMPLAINED), "complaint", True),
        (word(K.DELIVERED, error=ErrorClass.BAD_RECIPIENT), None, False),
    ],
)
def test_what_a_word_means_for_the_person(said: Word, reason: str | None, *, leaves: bool) -> None:
    assert (suppresses(said), opts_out(said)) == (reason, leaves)


def test_orphan_is_looked_for_at_twice_its_age_until_it_is_given_up() -> None:
    assert look_again_at(received_at=NOON, now=NOON) == NOON + FIRST_WAIT
    hour = timedelta(hours=1)
    assert look_again_at(received_at=NOON, now=NOON + hour) == NOON + 2 * hour
    assert look_again_at(received_at=NOON, now=NOON + GIVEN_UP_AFTER) is None


def test_dedupe_keys_differ_by_any_part_and_its_place() -> None:
    keys = [
        dedupe_key("a", None, 1),
        dedupe_key("a", 1),
        dedupe_key("a1"),
        dedupe_key(None, "a", 1),
        dedupe_key("\ud800"),
    ]
    assert len({*keys}) == len(keys)
    assert dedupe_key("a", 1) == dedupe_key("a", 1)


@pytest.mark.parametrize("text", ["", "x", "None", "123", "00000000-0000-0000-0000-00000000000g"])
def test_what_is_no_delivery_id_is_no_reference(text: str) -> None:
    assert as_reference(text) is None


def test_delivery_id_is_a_reference_however_it_is_written() -> None:
    given = UUID("7d9f2b6e-8c1d-8a4e-9f00-1234567890ab")
    assert {as_reference(str(given)), as_reference(given.hex.upper())} == {given}
