"""Codes of coupons: sixty bits by chance, in twelve characters, and one more that tells whether they were typed right.

The characters are Crockford's base 32, without I, L, O and U (https://www.crockford.com/base32.html). The last one is
the sum of the others in the field of 32 elements, each weighed with another power of a generator of it: so every
single wrong character, and every two that changed places, are found.
"""

import re
import secrets
import sys
import unicodedata
from array import array
from collections.abc import Iterable, Iterator

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 12
BITS = 5 * LENGTH
SPACE = 1 << BITS
#: Beyond it, one of two codes that are made up would be somebody's.
MOST_FILLED = SPACE // 2
LONGEST_SHARED = 20
PARTS = 8  # a power of two; the next is drawn while one is stored

_BETWEEN = re.compile(r"[\s\u2010-\u2015-]+")
_LOOK_ALIKE = str.maketrans("OIL", "011")
_WHOLE = re.compile(f"[{ALPHABET}]{{{LENGTH + 1}}}")
_PLAIN_VALUES = {ord(character): value for value, character in enumerate(ALPHABET)}
_BASE_32 = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")  # as Python reads it
_LONGEST_TYPED = 100
_SHARED = re.compile(f"[A-Z0-9]{{4,{LONGEST_SHARED}}}")
_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1, of which x is a generator
_TIMES_GENERATOR = bytes(doubled ^ _POLYNOMIAL if doubled & 32 else doubled for doubled in range(0, 64, 2))
_HIGHEST = 7 if sys.byteorder == "little" else 0  # of the eight bytes of a number
_LEFT = SPACE // PARTS >> 56  # how many values it can have within a part
_WHICH = bytes(value % PARTS for value in range(256))


def draw(count: int) -> Iterator["array[int]"]:
    """So many numbers by chance, hardly ever one of them twice; in rising order, part by part.

    No step of Python is taken for a single number.
    """
    which = secrets.token_bytes(count).translate(_WHICH)  # how many fall to each part is up to chance as well
    for part in range(PARTS):
        drawn = bytearray(secrets.token_bytes(8 * which.count(part)))
        highest = bytes(part * _LEFT + value % _LEFT for value in range(256))
        drawn[_HIGHEST::8] = drawn[_HIGHEST::8].translate(highest)
        yield _sorted(drawn)


def _sorted(numbers: bytearray) -> "array[int]":
    """As floats, which Python sorts twice as fast: without a sign they have the order of their bits."""
    return array("Q", array("d", sorted(array("d", bytes(numbers)))).tobytes())


def written(number: int) -> str:
    """A code as people read it, in three groups."""
    digits = [number >> shift & 31 for shift in range(BITS - 5, -1, -5)]
    text = "".join(ALPHABET[digit] for digit in (*digits, _check(digits)))
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def number_of(typed: str) -> int | None:
    """The number of a code as somebody typed it; None: it is none, or has been mistyped."""
    text = folded(typed)
    if _WHOLE.fullmatch(text) is None:
        return None
    *digits, check = text.translate(_PLAIN_VALUES).encode()
    return int(text[:LENGTH].translate(_BASE_32), 32) if _check(digits) == check else None


def folded(typed: str) -> str:
    """As codes are compared: without blanks and hyphens, and with look-alikes as one."""
    return plain(typed).translate(_LOOK_ALIKE)


def plain(typed: str) -> str:
    """In capitals, without blanks and hyphens; "" where it is too long for any code."""
    if len(typed) > _LONGEST_TYPED:
        return ""
    return _BETWEEN.sub("", unicodedata.normalize("NFKC", typed).upper())


def fit_to_share(typed: str) -> str | None:
    """A code for all as it is kept; None: nobody could type it, or it could be one person's."""
    text = plain(typed)
    return text if _SHARED.fullmatch(text) and number_of(text) is None else None


def has_room(filled: int, more: int) -> bool:
    """Whether so many more codes leave half of all numbers free."""
    return filled + more <= MOST_FILLED


def _check(digits: Iterable[int]) -> int:
    total = 0
    for digit in digits:
        total = _TIMES_GENERATOR[total ^ digit]
    return total
