"""Secrets of the HTTP API's keys."""

import pytest

from offers.api_key import ApiKeyInvalid, checked_name, checked_rate, hash_of, looks_like_secret, new_secret


def test_every_secret_is_another_and_looks_like_one() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(looks_like_secret(one) for one in made)


def test_hash_does_not_tell_the_secret() -> None:
    secret = new_secret()
    assert len(hash_of(secret)) == 64
    assert secret.removeprefix("tl_") not in hash_of(secret)
    assert hash_of(secret) == hash_of(secret) != hash_of(new_secret())


@pytest.mark.parametrize("text", ["", "tl_", "tl_x", "x" * 46, "tl_" + "ä" * 43, "tl_" + "a" * 43 + "\n", "Bearer x"])
def test_what_is_no_secret_is_not_asked_for(text: str) -> None:
    assert not looks_like_secret(text)


@pytest.mark.parametrize("name", ["", "   ", "a\nb", "x" * 101])
def test_name_can_be_printed(name: str) -> None:
    with pytest.raises(ApiKeyInvalid, match="1 to 100 characters"):
        checked_name(name)


def test_name_is_kept_without_blanks_around_it() -> None:
    assert checked_name("  till 3 ") == "till 3"


@pytest.mark.parametrize("per_second", [0, -1, 100_001])
def test_key_may_ask_at_least_once_a_second(per_second: int) -> None:
    with pytest.raises(ApiKeyInvalid, match="1 to 100000"):
        checked_rate(per_second)
