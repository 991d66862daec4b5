import pytest

from approval.errors import SecretKeyMissing, SecretKeyTooShort, SecretUnreadable
from approval.secrecy import Cipher, new_key

PASSPHRASE = "correct horse battery staple"


@pytest.mark.parametrize("key", [new_key(), PASSPHRASE], ids=["key", "passphrase"])
def test_a_secret_opens_with_the_key_it_was_closed_with(key: str) -> None:
    closed = Cipher([key]).encrypt("JBSWY3DP")
    assert b"JBSWY3DP" not in closed
    assert Cipher([key]).decrypt(closed) == "JBSWY3DP"


def test_a_secret_comes_back_from_the_database_as_a_memoryview() -> None:
    cipher = Cipher([PASSPHRASE])
    assert cipher.decrypt(bytes(memoryview(cipher.encrypt("x")))) == "x"


def test_another_key_does_not_open_it_and_says_what_to_do() -> None:
    closed = Cipher([new_key()]).encrypt("x")
    with pytest.raises(SecretUnreadable, match="beside the new"):
        Cipher([new_key()]).decrypt(closed)


def test_keys_are_rotated_without_losing_a_secret() -> None:
    old, new = new_key(), PASSPHRASE
    closed = Cipher.from_setting(old).encrypt("x")
    both = Cipher.from_setting(f"{new}, {old}")
    assert both.decrypt(closed) == "x"
    assert Cipher.from_setting(new).decrypt(both.reencrypt(closed)) == "x"


@pytest.mark.parametrize("setting", [None, "", " ", ",, "])
def test_without_a_key_nothing_starts(setting: str | None) -> None:
    with pytest.raises(SecretKeyMissing, match="THEMELINE_SECRET_KEY"):
        Cipher.from_setting(setting)


def test_a_short_passphrase_is_refused_without_being_shown() -> None:
    with pytest.raises(SecretKeyTooShort, match="key 2 of THEMELINE_SECRET_KEY") as refused:
        Cipher.from_setting(f"{new_key()},hunter2")
    assert "hunter2" not in str(refused.value)


def test_no_key_shows_in_a_repr() -> None:
    assert repr(Cipher([PASSPHRASE, new_key()])) == "Cipher(<2 keys>)"
