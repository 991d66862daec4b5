"""Claims that wait are settled together, and none waits for company that has not come before."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import pytest
from fastapi import HTTPException

from console.http.api import collector as collecting
from console.http.api.collector import Collector

T = TypeVar("T")
LINE = 1


class Till:
    """Takes down what it was given at once; it settles no further than it is let."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, list[str]]] = []
        self.open = asyncio.Event()
        self.bad: set[str] = set()
        self.trouble: Exception | None = None

    async def settle(self, line: int, asked: Sequence[str]) -> list[str]:
        self.batches.append((line, list(asked)))
        await self.open.wait()
        if self.trouble:
            raise self.trouble
        if self.bad & set(asked):
            raise ValueError(sorted(self.bad & set(asked)))
        return [word.upper() for word in asked]

    def sizes(self) -> list[int]:
        return [len(asked) for _, asked in self.batches]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but company ends a wait for company."""
    monkeypatch.setattr(collecting, "PATIENCE", 1e9)
    monkeypatch.setattr(collecting, "MOST_SECONDS", 1e9)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 20))


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_one_claim_alone_is_settled_at_once() -> None:
    async def work() -> None:
        till = Till()
        till.open.set()
        assert await Collector(till.settle).settled(LINE, "a") == "A"
        assert till.batches == [(LINE, ["a"])]

    run(work())


def test_those_that_come_meanwhile_are_settled_together_and_answered_in_their_order() -> None:
    async def work() -> None:
        till = Till()
        collector = Collector(till.settle)
        waiting = [asyncio.create_task(collector.settled(LINE, word)) for word in "abcdef"]
        await turns()
        assert till.sizes() == [6]  # all that were there when the first batch began
        waiting += [asyncio.create_task(collector.settled(LINE, word)) for word in "ghi"]
        await turns()
        till.open.set()
        assert await asyncio.gather(*waiting) == list("ABCDEFGHI")
        assert till.sizes() == [6, 3]

    run(work())


@pytest.mark.usefixtures("patient")
def test_many_that_came_together_are_waited_for_when_the_first_of_them_is_back() -> None:
    async def work() -> None:
        till = Till()
        till.open.set()
        collector = Collector(till.settle)
        await asyncio.gather(*(collector.settled(LINE, word) for word in "abc"))
        back = [asyncio.create_task(collector.settled(LINE, word)) for word in "de"]
        await turns()
        assert till.sizes() == [3]
        back.append(asyncio.create_task(collector.settled(LINE, "f")))
        assert await asyncio.gather(*back) == list("DEF")
        assert till.sizes() == [3, 3]

    run(work())


def test_those_that_do_not_come_back_are_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        monkeypatch.setattr(collecting, "MOST_SECONDS", 1e-9)
        till = Till()
        till.open.set()
        collector = Collector(till.settle)
        await asyncio.gather(*(collector.settled(LINE, word) for word in "abc"))
        assert await collector.settled(LINE, "d") == "D"
        assert till.sizes() == [3, 1]

    run(work())


@pytest.mark.usefixtures("patient")
def test_one_that_was_alone_is_followed_by_one_alone() -> None:
    async def work() -> None:
        till = Till()
        till.open.set()
        collector = Collector(till.settle)
        assert [await collector.settled(LINE, word) for word in "ab"] == ["A", "B"]
        assert till.sizes() == [1, 1]

    run(work())


def test_no_more_than_the_most_are_settled_together() -> None:
    async def work() -> None:
        till = Till()
        till.open.set()
        collector = Collector(till.settle, most=4)
        words = [chr(97 + number) for number in range(11)]
        assert await asyncio.gather(*(collector.settled(LINE, word) for word in words)) == [w.upper() for w in words]
        assert till.sizes() == [4, 4, 3]

    run(work())


def test_product_lines_do_not_wait_for_each_other() -> None:
    async def work() -> None:
        till = Till()
        collector = Collector(till.settle)
        waiting = [asyncio.create_task(collector.settled(line, "a")) for line in (1, 2)]
        await turns()
        assert till.batches == [(1, ["a"]), (2, ["a"])]
        till.open.set()
        await asyncio.gather(*waiting)

    run(work())


def test_claim_that_brings_up_the_unforeseen_takes_no_other_with_it() -> None:
    async def work() -> None:
        till = Till()
        till.open.set()
        till.bad = {"b"}
        collector = Collector(till.settle)
        found = await asyncio.gather(*(collector.settled(LINE, word) for word in "abc"), return_exceptions=True)
        assert (found[0], found[2]) == ("A", "C")
        assert isinstance(found[1], ValueError)

    run(work())


def test_database_that_does_not_answer_is_told_to_each_and_asked_once() -> None:
    async def work() -> None:
        till = Till()
        till.open.set()
        till.trouble = HTTPException(503, headers={"Retry-After": "30"})
        collector = Collector(till.settle)
        found = await asyncio.gather(*(collector.settled(LINE, word) for word in "abc"), return_exceptions=True)
        assert [getattr(one, "status_code", None) for one in found] == [503] * 3
        assert len({id(one) for one in found}) == 3
        assert till.sizes() == [3]
        till.trouble = None
        assert await collector.settled(LINE, "d") == "D"

    run(work())


def test_shop_that_hangs_up_keeps_nobody_else_waiting() -> None:
    async def work() -> None:
        till = Till()
        collector = Collector(till.settle)
        gone, stays = (asyncio.create_task(collector.settled(LINE, word)) for word in "ab")
        await turns()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        till.open.set()
        assert await stays == "B"
        assert till.sizes() == [2]  # what was asked is done: the shop asks again with its key, and hears of it

    run(work())
