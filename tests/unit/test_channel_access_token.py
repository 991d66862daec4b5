"""One fetch for all who need a token, and no more fetches than are of use."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from channels.access_token import AccessToken, AccessTokens
from channels.errors import AnswerLost, NotSent
from channels.refusal import Refusal
from channels.states import ErrorClass


class Source:
    """Gives one token after the other, and counts."""

    def __init__(self, *tokens: str, lives: float = 7200.0) -> None:
        self.tokens, self.lives, self.fetches = list(tokens), lives, 0

    async def fetch(self) -> AccessToken:
        self.fetches += 1
        await asyncio.sleep(0)
        return AccessToken(self.tokens.pop(0), self.lives)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr("channels.access_token.time.monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    return forward


async def many(tokens: AccessTokens, refused: str | None = None) -> Sequence[str]:
    return await asyncio.gather(*(tokens.current(refused=refused) for _ in range(50)))


def test_many_get_one_token_by_one_fetch_and_one_more_when_it_is_refused() -> None:
    source = Source("a", "b")

    async def within() -> None:
        tokens = AccessTokens(fetch=source.fetch)
        assert set(await many(tokens)) == {"a"}
        assert set(await many(tokens, refused="a")) == {"b"}
        assert set(await many(tokens, refused="a")) == {"b"}  # who is late with its refusal

    asyncio.run(within())
    assert source.fetches == 2


@pytest.mark.parametrize(("lives", "good_for"), [(7200.0, 6900.0), (400.0, 200.0)])
def test_token_is_renewed_before_its_end(lives: float, good_for: float, clock: Callable[[float], None]) -> None:
    source = Source("a", "b", lives=lives)

    async def within() -> None:
        tokens = AccessTokens(fetch=source.fetch)
        await tokens.current()
        clock(good_for - 1)
        assert await tokens.current() == "a"
        clock(1)
        assert await tokens.current() == "b"

    asyncio.run(within())


@pytest.mark.parametrize(("second", "pause"), [("a", 30.0), ("b", 5.0)])
def test_token_that_is_refused_again_is_left_alone_for_a_while(
    second: str, pause: float, clock: Callable[[float], None]
) -> None:
    source = Source("a", second, "c")

    async def within() -> None:
        tokens = AccessTokens(fetch=source.fetch)
        await tokens.current()
        assert await tokens.current(refused="a") == second
        clock(pause - 0.1)
        assert await tokens.current(refused=second) == second
        clock(0.1)
        assert await tokens.current(refused=second) == "c"

    asyncio.run(within())
    assert source.fetches == 3


def test_refusal_of_a_token_that_was_fetched_in_time_is_taken_at_its_word(clock: Callable[[float], None]) -> None:
    source = Source("a", "b", "c", lives=600.0)

    async def within() -> None:
        tokens = AccessTokens(fetch=source.fetch)
        await tokens.current()
        clock(300)
        assert await tokens.current() == "b"
        assert await tokens.current(refused="b") == "c"

    asyncio.run(within())


def test_failed_fetch_is_told_to_all_who_wait_and_tried_again_by_the_next() -> None:
    fetches = 0

    async def fetch() -> AccessToken:
        nonlocal fetches
        fetches += 1
        await asyncio.sleep(0)
        if fetches == 1:
            raise ValueError("no")
        return AccessToken("a", 7200.0)

    async def within() -> None:
        tokens = AccessTokens(fetch=fetch)
        told = await asyncio.gather(*(tokens.current() for _ in range(5)), return_exceptions=True)
        assert {str(error) for error in told} == {"no"}
        assert await tokens.current() == "a"

    asyncio.run(within())


def test_token_never_shows_itself() -> None:
    assert "secret" not in repr(AccessToken("secret", 1.0))


def refusing(*bad: str) -> tuple[list[str], Callable[[str], Awaitable[str | Refusal]]]:
    """A call that turns these tokens down, and those that it was made with."""
    made: list[str] = []

    async def call(token: str) -> str | Refusal:
        made.append(token)
        return Refusal(error=ErrorClass.TOKEN, code="40001", detail="expired") if token in bad else f"with {token}"

    return made, call


@pytest.mark.parametrize(
    ("bad", "answer", "tokens"), [((), "with a", ["a"]), (("a",), "with b", ["a", "b"]), (("a", "b"), None, ["a", "b"])]
)
def test_call_is_made_once_more_with_a_fresh_token(bad: Sequence[str], answer: str | None, tokens: list[str]) -> None:
    made, call = refusing(*bad)
    found = asyncio.run(AccessTokens(fetch=Source("a", "b", "c").fetch).call(call))
    assert made == tokens
    assert found == answer if answer else isinstance(found, Refusal) and found.detail == "expired"


@pytest.mark.parametrize("trouble", [NotSent("no route"), AnswerLost("cut")])
def test_call_without_a_token_never_left(trouble: Exception) -> None:
    async def fetch() -> AccessToken:
        raise trouble

    made, call = refusing()
    found = asyncio.run(AccessTokens(fetch=fetch).call(call))
    assert (made, isinstance(found, Refusal) and found.error) == ([], ErrorClass.DOWN)
