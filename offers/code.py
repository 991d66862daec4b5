"""Codes of coupons: sixty bits by chance, in twelve characters, and one more that tells whether they were typed right.

The characters are Crockford's base 32, without I, L, O and U (https://www.crockford.com/base32.html). The last one is
the sum of the others in the field of 32 elements, each weighed with another power of a generator of it: so every
single wrong character, and every two that changed places, are found.
"""

import re
import secrets
import unicodedata
from array import array
from collections.abc import Iterator

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 12
BITS = 5 * LENGTH
SPACE = 1 << BITS
#: Beyond it, one of two codes that are made up would be somebody's.
MOST_FILLED = SPACE // 2
LONGEST_SHARED = 20
PARTS = 8  # the next is drawn while one is stored

_BETWEEN = re.compile(r"[\s\u2010-\u2015-]+")
_LOOK_ALIKE = str.maketrans("OIL", "011")
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_LONGEST_TYPED = 100
_SHARED = re.compile(f"[A-Z0-9]{{4,{LONGEST_SHARED}}}")
_POLYNOMIAL = 0b100101  # x^5 + x^2 + 1, of which x is a generator


def draw(count: int) -> Iterator[list[int]]:
    """So many numbers by chance, fewer where one came twice; in rising order, part by part."""
    parts: list[list[int]] = [[] for _ in range(PARTS)]
    for drawn in array("Q", secrets.token_bytes(8 * count)):
        parts[drawn * PARTS >> 64].append(drawn >> (64 - BITS))
    for part in parts:
        yield sorted(set(part))


def written(number: int) -> str:
    """A code as people read it, in three groups."""
    digits = [number >> shift & 31 for shift in range(BITS - 5, -1, -5)]
    text = "".join(ALPHABET[digit] for digit in (*digits, _check(digits)))
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def number_of(typed: str) -> int | None:
    """The number of a code as somebody typed it; None: it is none, or has been mistyped."""
    text = folded(typed)
    if len(text) != LENGTH + 1 or not all(character in _VALUES for character in text):
        return None
    *digits, check = (_VALUES[character] for character in text)
    if _check(digits) != check:
        return None
    number = 0
    for digit in digits:
        number = number << 5 | digit
    return number


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


def _check(digits: list[int]) -> int:
    total = 0
    for digit in digits:
        total = _times_generator(total ^ digit)
    return total


def _times_generator(element: int) -> int:
    doubled = element << 1
    return doubled ^ _POLYNOMIAL if doubled & 32 else doubled
