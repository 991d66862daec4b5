"""Asking providers about deliveries in doubt, on a real PostgreSQL."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from channels.errors import AnswerLost, QueryRefused
from channels.inquiries import ABSENT_TIMES, WAITS
from channels.message import Fate, Found, Inquiry
from channels.service import inquiry
from channels.service.inquiry import Answered
from channels.states import Channel, DeliveryState, ErrorClass
from models.database import Database
from models.queries.inquiries import InDoubt
from tasks.inquiries import Asking
from tests.integration.failure_world import FailureWorld, failure_world

U, DOUBT = DeliveryState.UNKNOWN, ErrorClass.UNKNOWN_OUTCOME
BEGAN = datetime.now(UTC) - timedelta(hours=2)


@pytest.fixture
def world(database: Database) -> FailureWorld:
    return failure_world(database)


def due(world: FailureWorld, at: datetime | None = None) -> list[InDoubt]:
    with world.database.begin() as session:
        now = at or datetime.now(UTC)
        account_id = world.accounts[Channel.SMS]
        return list(inquiry.questions(session, account_id=account_id, limit=100, now=now))


def answer(world: FailureWorld, *answers: Answered, at: datetime | None = None) -> dict[str, int]:
    with world.database.begin() as session:
        moved = inquiry.take_answers(session, answers, now=at or datetime.now(UTC))
    return {state.value: count for state, count in moved.items()}


def found(one: InDoubt, fate: Fate | None, *references: object, message_id: str | None = None) -> Answered:
    told = tuple(str(reference) for reference in references)
    answered = Found(
        delivery_id=one.id, fate=fate, references=told, provider_message_id=message_id, code="c", detail="d"
    )
    return Answered(asked=one, found=answered)


def test_what_the_provider_has_is_settled_by_its_word(world: FailureWorld) -> None:
    world.add(3, U, DOUBT, at=BEGAN)
    sent, delivered, failed = due(world)
    settled = answer(
        world,
        found(sent, Fate.SENT, sent.id, message_id="m-1"),
        found(delivered, Fate.DELIVERED, sent.id),  # its call was led by another delivery of the same channel
        found(failed, Fate.FAILED, failed.id),
    )
    assert settled == {"sent": 1, "delivered": 1, "failed": 1}
    assert world.states() == world.tallied() == settled
    assert world.rows(
        "SELECT state, provider_message_id, error_class, error_code, call_began_at, sent_at FROM deliveries"
        " WHERE theme_id = :theme_id AND state <> 'delivered' ORDER BY state"
    ) == [("failed", None, "unrecognised", "c", None, None), ("sent", "m-1", None, None, None, BEGAN)]
    noted = world.rows(
        "SELECT DISTINCT code, began_at FROM attempts a JOIN deliveries d ON d.seq = a.delivery_seq"
                       " WHERE d.theme_id = :theme_id AND a.code <> ''")  # fmt: skip
    assert noted == [("inquired", BEGAN)]
    assert due(world) == []


def test_a_message_of_another_theme_to_the_same_address_settles_nothing(world: FailureWorld) -> None:
    other = failure_world(world.database)
    other.add(1, DeliveryState.SENT)
    world.add(1, U, DOUBT, at=BEGAN)
    (one,) = due(world)
    assert answer(world, found(one, Fate.DELIVERED, *other.ids(DeliveryState.SENT))) == {}
    assert world.states() == {"unknown": 1}


def test_a_message_without_a_reference_is_ours_only_if_no_other_delivery_has_its_id(world: FailureWorld) -> None:
    other = failure_world(world.database)
    other.add(2, DeliveryState.SENT)
    world.add(2, U, DOUBT, at=BEGAN)
    taken, free = due(world)
    other.change(
        "UPDATE deliveries SET address = :address, provider_message_id = 'SM1' WHERE id ="
        " (SELECT min(id::text)::uuid FROM deliveries WHERE theme_id = :theme_id)",
        address=taken.address,
    )
    answers = [found(taken, Fate.SENT, message_id="SM1"), found(free, Fate.SENT, message_id="SM2")]
    assert answer(world, *answers) == {"sent": 1}
    assert world.states() == {"sent": 1, "unknown": 1}


def test_a_message_that_the_provider_never_had_goes_out_again_after_it_said_so_often_enough(
    world: FailureWorld,
) -> None:
    world.add(1, U, DOUBT, at=BEGAN)
    world.change("UPDATE distributions SET state = 'complete' WHERE theme_id = :theme_id")
    at = datetime.now(UTC)
    for said in range(1, ABSENT_TIMES + 1):
        (one,) = due(world, at)
        assert one.absent == said - 1
        settled = answer(world, found(one, None), at=at)
        assert settled == ({"retrying": 1} if said == ABSENT_TIMES else {})
        assert due(world, at) == []
        at += WAITS[said]
    assert world.rows("SELECT state FROM distributions WHERE theme_id = :theme_id") == [("sending",)]


def test_nothing_of_a_theme_that_is_over_goes_out_again_but_what_arrived_is_noted(world: FailureWorld) -> None:
    world.add(2, U, DOUBT, at=BEGAN)
    world.change("UPDATE themes SET state = 'revoking' WHERE id = :theme_id")
    world.change(
        "INSERT INTO inquiries SELECT seq, call_began_at, 3, 3, now(), now(), '' FROM deliveries"
        " WHERE theme_id = :theme_id"
    )
    absent, there = due(world)
    assert answer(world, found(absent, None), found(there, Fate.DELIVERED, there.id)) == {"delivered": 1}
    assert world.states() == {"unknown": 1, "delivered": 1}


def test_a_question_without_an_answer_counts_for_nothing_and_is_put_again(world: FailureWorld) -> None:
    world.add(1, U, DOUBT, at=BEGAN)
    (one,) = due(world)
    assert answer(world, Answered(asked=one, found=None, problem="no route")) == {}
    assert due(world) == []
    (again,) = due(world, datetime.now(UTC) + WAITS[1])
    assert (again.asked, again.absent) == (0, 0)


def test_who_is_asked_about_is_not_replayable_and_not_fresh(world: FailureWorld) -> None:
    world.add(1, U, DOUBT, at=datetime.now(UTC))
    assert due(world) == []  # just now
    world.change("UPDATE deliveries SET call_began_at = :at, key = 'k' WHERE theme_id = :theme_id", at=BEGAN)
    assert due(world) == []  # its replay settles it
    old = datetime.now(UTC) - timedelta(days=1)
    world.change("UPDATE deliveries SET call_began_at = :at WHERE theme_id = :theme_id", at=old)
    assert len(due(world)) == 1
    world.change("UPDATE deliveries SET account_id = account_id + 1000 WHERE theme_id = :theme_id")
    assert due(world) == []  # another account's


def test_an_answer_about_a_call_that_is_settled_meanwhile_changes_nothing(world: FailureWorld) -> None:
    world.add(1, U, DOUBT, at=BEGAN)
    (one,) = due(world)
    world.change("UPDATE deliveries SET call_began_at = now() WHERE theme_id = :theme_id")
    assert answer(world, found(one, Fate.SENT, one.id)) == {}
    assert world.states() == {"unknown": 1}


class Oracle:
    """Answers some, refuses others."""

    async def inquire(self, questions: Sequence[Inquiry]) -> Sequence[Found]:
        (one,) = questions
        await asyncio.sleep(0)
        if one.address.endswith("1"):
            raise AnswerLost("cut")
        if one.address.endswith("2"):
            raise QueryRefused(error=ErrorClass.THROTTLED, code="429", detail="slow down")
        return [Found(delivery_id=one.delivery_id, fate=Fate.SENT, references=(str(one.delivery_id),))]


def test_a_question_that_fails_costs_the_others_nothing_and_none_is_put_after_the_time(world: FailureWorld) -> None:
    world.add(10, U, DOUBT, at=BEGAN)
    questions = due(world)

    async def asked(seconds: float) -> list[Answered | None]:
        asking = Asking(inquirer=Oracle(), until=asyncio.get_running_loop().time() + seconds)
        return list(await asyncio.gather(*map(asking.ask, questions)))

    answers = [one for one in asyncio.run(asked(60)) if one is not None]
    assert [bool(one.problem) for one in answers] == [one.address[-1] in "12" for one in questions]
    assert answer(world, *answers) == {"sent": sum(one.address[-1] not in "12" for one in questions)}
    assert asyncio.run(asked(-1)) == [None] * 10
