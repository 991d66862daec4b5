import asyncio
from collections.abc import Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from channels.message import Message, Outcome, SmsContent
from channels.sms.bisection import Bisection
from channels.states import ErrorClass

BAD = "isv.MOBILE_NUMBER_ILLEGAL"


def batch(size: int) -> list[Message]:
    return [Message(delivery_id=UUID(int=n + 1), address=str(n), content=SmsContent(text="hi")) for n in range(size)]


class Provider:
    """Refuses every call that holds a bad address; `answers` overrides what the nth call brings."""

    def __init__(self, bad: set[str], answers: dict[int, ErrorClass] | None = None) -> None:
        self.bad, self.answers = bad, answers or {}
        self.calls: list[list[str]] = []
        self.accepted: list[str] = []

    async def call(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        addresses = [message.address for message in messages]
        self.calls.append(addresses)
        error = self.answers.get(len(self.calls))
        code = "other" if error else ""
        if error is None and self.bad & set(addresses):
            error, code = ErrorClass.BAD_RECIPIENT, BAD
        if error is None:
            self.accepted += addresses
        return [Outcome(delivery_id=message.delivery_id, error=error, code=code) for message in messages]

    def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        bisection = Bisection(call=self.call, blames_some=lambda outcome, _: outcome.code == BAD)
        return asyncio.run(bisection.send(messages))


@given(size=st.integers(1, 100), bad=st.sets(st.integers(0, 99).map(str)))
def test_only_the_bad_numbers_are_refused_and_nobody_gets_it_twice(size: int, bad: set[str]) -> None:
    messages, provider = batch(size), Provider(bad)
    outcomes = provider.send(messages)
    assert [outcome.delivery_id for outcome in outcomes] == [message.delivery_id for message in messages]
    refused = {m.address for m, outcome in zip(messages, outcomes, strict=True) if outcome.error}
    assert refused == bad & {message.address for message in messages}
    assert sorted(provider.accepted) == sorted({message.address for message in messages} - bad)


def test_a_batch_without_a_bad_number_takes_one_call() -> None:
    provider = Provider(set())
    provider.send(batch(100))
    assert len(provider.calls) == 1


def test_one_bad_number_of_a_hundred_is_found_in_few_calls() -> None:
    provider = Provider({"37"})
    provider.send(batch(100))
    assert len(provider.calls) <= 14


def test_when_a_half_gets_no_answer_the_accepted_stay_accepted_and_the_untried_stay_unsent() -> None:
    # 1: all eight refused; 2: 0-3 accepted; 4-7 must hold the bad one, so 3: 4-5 is tried, and gets no answer.
    provider = Provider({"7"}, {3: ErrorClass.UNKNOWN_OUTCOME})
    outcomes = provider.send(batch(8))
    expected = [None] * 4 + [ErrorClass.UNKNOWN_OUTCOME] * 2 + [ErrorClass.DOWN] * 2
    assert [outcome.error for outcome in outcomes] == expected
    assert provider.accepted == ["0", "1", "2", "3"]
    assert len(provider.calls) == 3


def test_a_throttled_half_keeps_the_rest_from_being_called() -> None:
    provider = Provider({"7"}, {2: ErrorClass.THROTTLED})
    outcomes = provider.send(batch(8))
    assert {outcome.error for outcome in outcomes} == {ErrorClass.THROTTLED}
    assert len(provider.calls) == 2
