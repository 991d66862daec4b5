"""Codes as numbers and as people type them."""

import secrets
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offers import code as codes

numbers = st.integers(min_value=0, max_value=codes.SPACE - 1)
#: How somebody may type what she reads on paper.
HABITS = [
    str.lower,
    lambda text: text.replace("-", ""),
    lambda text: text.replace("-", " "),
    lambda text: f"  {text}\n",
    lambda text: text.replace("-", "–"),  # as editors of text like to change it
    lambda text: text.replace("0", "O").replace("1", "I"),
    lambda text: text.replace("0", "o").replace("1", "l"),
    lambda text: "".join(chr(ord(one) + 0xFEE0) if one != "-" else one for one in text),  # full width
]


@given(numbers)
def test_a_code_is_read_as_the_number_that_it_was_written_for(number: int) -> None:
    text = codes.written(number)
    assert codes.number_of(text) == number
    assert [len(group) for group in text.split("-")] == [4, 4, 5]
    assert not set(text) & set("ILOU")


@pytest.mark.parametrize("habit", HABITS)
@given(number=numbers)
def test_a_code_is_understood_as_people_type_it(habit: object, number: int) -> None:
    assert callable(habit)
    assert codes.number_of(habit(codes.written(number))) == number


@given(numbers, st.integers(0, codes.LENGTH), st.sampled_from(codes.ALPHABET))
def test_every_single_wrong_character_is_found(number: int, place: int, other: str) -> None:
    text = codes.plain(codes.written(number))
    wrong = text[:place] + other + text[place + 1 :]
    assert (codes.number_of(wrong) is None) == (wrong != text)


@given(numbers)
def test_every_two_characters_that_changed_places_are_found(number: int) -> None:
    text = codes.plain(codes.written(number))
    for one, other in combinations(range(len(text)), 2):
        swapped = list(text)
        swapped[one], swapped[other] = text[other], text[one]
        assert (codes.number_of("".join(swapped)) is None) == (text[one] != text[other])


@pytest.mark.parametrize(
    "typed", ["", "-", "SPRING20", "0" * 12, "0" * 14, "U" * 13, "０" * 1_000_000, "\ud800" * 13, "É" * 13]
)
def test_what_is_no_code_is_none(typed: str) -> None:
    assert codes.number_of(typed) is None


def test_one_in_32_of_what_somebody_makes_up_has_the_right_check_character() -> None:
    made_up = ["".join(secrets.choice(codes.ALPHABET) for _ in range(13)) for _ in range(3_200)]
    right = sum(codes.number_of(text) is not None for text in made_up)
    assert 40 < right < 180


def test_numbers_are_drawn_over_the_whole_space_in_rising_order_and_none_twice() -> None:
    parts = list(codes.draw(10_000))
    drawn = list(chain(*parts))
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 10_000
    assert all(1_000 < len(part) < 1_500 for part in parts)
    assert 0 <= drawn[0] < codes.SPACE // 1_000
    assert codes.SPACE - codes.SPACE // 1_000 < drawn[-1] < codes.SPACE


def test_every_bit_of_a_number_is_up_to_chance() -> None:
    drawn = list(chain(*codes.draw(20_000)))
    for bit in range(codes.BITS):
        assert 9_000 < sum(number >> bit & 1 for number in drawn) < 11_000


def test_no_number_is_drawn_that_is_not_one_of_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    for byte, least, most in ((b"\xff", codes.SPACE - 1, codes.SPACE - 1), (b"\0", 0, 0)):
        monkeypatch.setattr(secrets, "token_bytes", lambda size, byte=byte: byte * size)
        (drawn,) = {number for part in codes.draw(3) for number in part}
        assert least <= drawn <= most


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Spring 20", "SPRING20"),
        ("women-s-day", "WOMENSDAY"),
        ("２０２７年", None),  # nobody could type it into a till
        ("abc", None),
        ("A" * 21, None),
        ("20% OFF", None),
    ],
)
def test_a_code_for_all_is_letters_and_digits(typed: str, kept: str | None) -> None:
    assert codes.fit_to_share(typed) == kept


def test_a_code_for_all_cannot_be_one_that_a_single_person_could_get() -> None:
    assert codes.fit_to_share(codes.written(secrets.randbits(codes.BITS))) is None


def test_at_most_half_of_all_numbers_are_filled() -> None:
    assert codes.has_room(codes.MOST_FILLED - 10, 10)
    assert not codes.has_room(codes.MOST_FILLED - 10, 11)
    assert codes.MOST_FILLED == 2**59
