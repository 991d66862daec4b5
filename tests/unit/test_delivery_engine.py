from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.engine import (
    FIRST_STATES,
    MOVES,
    RULES,
    Backoff,
    Next,
    account_waits_until,
    after,
    as_mermaid,
    opens_breaker,
    refused_as_a_whole,
)
from channels.message import Outcome
from channels.states import CLAIMABLE_STATES, FINAL_STATES, TRANSIENT_CLASSES, DeliveryState, ErrorClass

NOW = datetime(2027, 3, 6, 9, tzinfo=UTC)
BACKOFF = Backoff(base=timedelta(seconds=2), ceiling=timedelta(minutes=15), budget=timedelta(hours=6))


def step(error: ErrorClass | None, *, tries: int = 1, waited: timedelta = timedelta(), **values: object) -> Next:
    retry_after = values.pop("retry_after", None)
    outcome = Outcome(delivery_id=uuid4(), error=error, code="E1", detail="words", retry_after=retry_after)  # type: ignore[arg-type]
    return after(
        outcome,
        tries=tries,
        first_tried_at=NOW - waited,
        now=NOW,
        backoff=BACKOFF,
        jitter=1.0,
        **values,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, Next(state=DeliveryState.SENT)),
        # the address is no good
        (
            ErrorClass.BAD_RECIPIENT,
            Next(
                state=DeliveryState.FAILED,
                error=ErrorClass.BAD_RECIPIENT,
                code="E1",
                suppress_because="bad_recipient",
            ),
        ),
        # the person said no
        (
            ErrorClass.UNSUBSCRIBED,
            Next(
                state=DeliveryState.FAILED,
                error=ErrorClass.UNSUBSCRIBED,
                code="E1",
                suppress_because="unsubscribed",
                opted_out=True,
            ),
        ),
        # the message itself: everybody else's would be refused too
        (
            ErrorClass.CONTENT,
            Next(state=DeliveryState.FAILED, error=ErrorClass.CONTENT, code="E1", stop_because="content: E1 words"),
        ),
        # our account
        (
            ErrorClass.CONFIG,
            Next(state=DeliveryState.FAILED, error=ErrorClass.CONFIG, code="E1", pause_because="config: E1 words"),
        ),
        # a term no table knows: a person looks
        (ErrorClass.UNRECOGNISED, Next(state=DeliveryState.FAILED, error=ErrorClass.UNRECOGNISED, code="E1")),
    ],
)
def test_each_class_leads_to_its_state_and_effects(error: ErrorClass | None, expected: Next) -> None:
    assert step(error) == expected


def test_every_class_has_a_rule_and_the_transient_ones_are_those_that_are_retried() -> None:
    assert set(RULES) == set(ErrorClass)
    assert {error for error, rule in RULES.items() if rule.state is DeliveryState.RETRYING} == TRANSIENT_CLASSES


@pytest.mark.parametrize(("tries", "seconds"), [(1, 2), (2, 4), (3, 8), (9, 512), (10, 900), (4_000, 900)])
def test_the_wait_doubles_up_to_its_ceiling(tries: int, seconds: int) -> None:
    assert step(ErrorClass.DOWN, tries=tries).due_at == NOW + timedelta(seconds=seconds)


def test_jitter_spreads_a_wait_over_its_upper_half() -> None:
    assert BACKOFF.wait(1, jitter=0.0) == timedelta(seconds=1)
    assert BACKOFF.wait(1, jitter=1.0) == timedelta(seconds=2)


def test_what_the_provider_asks_for_is_never_cut_short() -> None:
    asked = timedelta(hours=2)
    assert BACKOFF.wait(1, jitter=0.0, retry_after=asked) == asked
    due_at = step(ErrorClass.THROTTLED, retry_after=asked).due_at
    assert due_at is not None
    assert due_at >= NOW + asked


def test_a_used_up_quota_is_tried_the_next_day_unless_the_provider_says_when() -> None:
    assert step(ErrorClass.QUOTA).due_at == NOW + timedelta(days=1, seconds=2)
    assert step(ErrorClass.QUOTA, retry_after=timedelta(hours=1)).due_at == NOW + timedelta(hours=1, seconds=2)


def test_a_transient_error_fails_with_its_class_when_the_budget_is_used_up() -> None:
    assert step(ErrorClass.DOWN, waited=timedelta(hours=5, minutes=59)).state is DeliveryState.RETRYING
    over = step(ErrorClass.DOWN, waited=timedelta(hours=6))
    assert (over.state, over.error, over.due_at) == (DeliveryState.FAILED, ErrorClass.DOWN, None)


def test_a_row_of_a_call_refused_as_a_whole_is_due_when_its_account_is() -> None:
    until = NOW + timedelta(minutes=7)
    assert step(ErrorClass.THROTTLED, tries=9, account_waits_until=until).due_at == until


def test_a_provider_that_asks_for_no_wait_gets_ours() -> None:
    assert Backoff().wait(3, jitter=0, retry_after=timedelta()) == Backoff().wait(3, jitter=0) > timedelta(seconds=1)


@pytest.mark.parametrize("error", [*sorted(TRANSIENT_CLASSES), ErrorClass.CONFIG, ErrorClass.UNRECOGNISED])
def test_a_replay_that_is_turned_away_leaves_the_first_call_in_doubt(error: ErrorClass) -> None:
    replay = step(error, waited=timedelta(hours=9), replayed=True)
    assert (replay.state, replay.error) == (DeliveryState.UNKNOWN, ErrorClass.UNKNOWN_OUTCOME)
    assert replay.due_at is not None


@pytest.mark.parametrize("error", [None, ErrorClass.BAD_RECIPIENT, ErrorClass.UNSUBSCRIBED, ErrorClass.CONTENT])
def test_a_replay_that_the_provider_answers_is_settled(error: ErrorClass | None) -> None:
    assert step(error, replayed=True) == step(error)


@given(
    error=st.none() | st.sampled_from(ErrorClass),
    tries=st.integers(1, 10_000),
    waited=st.timedeltas(timedelta(), timedelta(days=30)),
    jitter=st.floats(0, 1),
    retry_after=st.none() | st.timedeltas(timedelta(), timedelta(days=3)),
    replayed=st.booleans(),
)
def test_whatever_comes_back_the_next_state_is_a_move_with_a_time_exactly_when_it_waits(
    *,
    error: ErrorClass | None,
    tries: int,
    waited: timedelta,
    jitter: float,
    retry_after: timedelta | None,
    replayed: bool,
) -> None:
    result = after(
        Outcome(delivery_id=uuid4(), error=error, retry_after=retry_after),
        tries=tries,
        first_tried_at=NOW - waited,
        now=NOW,
        backoff=BACKOFF,
        jitter=jitter,
        replayed=replayed,
    )
    assert (DeliveryState.SENDING, result.state) in MOVES
    assert (result.due_at is not None) == (result.state in {DeliveryState.RETRYING, DeliveryState.UNKNOWN})
    assert (result.error is None) == (result.state is DeliveryState.SENT)
    if result.due_at is not None:
        assert result.due_at >= NOW + (retry_after or timedelta(seconds=1))
    if error is ErrorClass.UNKNOWN_OUTCOME:
        assert result.state is DeliveryState.UNKNOWN


def _outcomes(*errors: ErrorClass | None) -> list[Outcome]:
    return [Outcome(delivery_id=uuid4(), error=error) for error in errors]


def test_refusals_of_recipients_one_by_one_say_nothing_about_the_account() -> None:
    greylisted = [replace(outcome, about_recipient=True) for outcome in _outcomes(ErrorClass.DOWN, ErrorClass.DOWN)]
    assert refused_as_a_whole(greylisted) is None


@pytest.mark.parametrize(("about_recipient", "stops"), [(False, True), (True, False)])
def test_content_refused_for_one_recipient_alone_does_not_stop_the_others(
    *, about_recipient: bool, stops: bool
) -> None:
    (refused,) = _outcomes(ErrorClass.CONTENT)
    step = after(
        replace(refused, about_recipient=about_recipient),
        tries=1,
        first_tried_at=NOW,
        now=NOW,
        backoff=Backoff(),
        jitter=0.5,
    )
    assert (step.state, step.stop_because is not None) == (DeliveryState.FAILED, stops)


@pytest.mark.parametrize(
    ("errors", "refused"),
    [
        ((ErrorClass.DOWN, ErrorClass.DOWN), True),
        ((ErrorClass.THROTTLED,), True),
        ((ErrorClass.QUOTA, ErrorClass.QUOTA), True),
        ((ErrorClass.TOKEN,), True),  # a fresh one, too
        ((ErrorClass.DOWN, None), False),  # somebody got through
        ((ErrorClass.DOWN, ErrorClass.THROTTLED), False),  # told one by one
        ((ErrorClass.BAD_RECIPIENT, ErrorClass.BAD_RECIPIENT), False),  # not the account's trouble
        ((None,), False),
    ],
)
def test_a_call_is_refused_as_a_whole_when_all_met_the_same_trouble_of_the_account(
    errors: tuple[ErrorClass | None, ...], *, refused: bool
) -> None:
    assert (refused_as_a_whole(_outcomes(*errors)) is not None) == refused


@pytest.mark.parametrize(
    ("messages", "in_row", "probing", "opens"),
    [
        (100, 1, False, True),
        (1, 4, False, False),  # may be those four recipients
        (1, 5, False, True),
        (1, 1, True, True),  # it was refused before, and is again
    ],
)
def test_the_breaker_opens_when_it_is_surely_the_account(
    messages: int, in_row: int, *, probing: bool, opens: bool
) -> None:
    assert opens_breaker(messages=messages, refusals_in_row=in_row, probing=probing) == opens


def test_an_account_refused_again_and_again_waits_longer() -> None:
    (refusal,) = _outcomes(ErrorClass.DOWN)
    waits = [
        account_waits_until(refusal, refused_in_row=times, now=NOW, backoff=BACKOFF, jitter=1.0) - NOW
        for times in range(4)
    ]
    assert [wait.total_seconds() for wait in waits] == [2, 4, 8, 16]


def test_every_state_can_be_reached_and_only_final_states_have_no_way_out_but_by_receipt_or_person() -> None:
    assert FIRST_STATES | {target for _, target in MOVES} == set(DeliveryState)
    by_receipt_or_person = {DeliveryState.DELIVERED} | {DeliveryState.RETRYING}
    by_itself = {
        origin
        for origin, target in MOVES
        if not (target in by_receipt_or_person and origin in FINAL_STATES)
        and (origin, target) != (DeliveryState.SENT, DeliveryState.FAILED)
    }
    assert by_itself == CLAIMABLE_STATES | {DeliveryState.SENDING, DeliveryState.UNKNOWN}
    assert not by_itself & FINAL_STATES


def test_the_picture_in_the_docs_is_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "delivery-states.md"
    assert f"```mermaid\n{as_mermaid()}\n```" in page.read_text()
