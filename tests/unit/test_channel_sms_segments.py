"""How many segments a text takes: the figures of the standard."""

import pytest

from channels.sms.segments import segments_of


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),  # joined, each holds 153
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),  # escaped: two septets each
        ("€" * 81, 2),
        ("a" * 152 + "€" * 5, 2),  # no pair is torn apart: the first part ends one septet early
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("三" * 70, 1),
        ("三" * 71, 2),  # joined, each holds 67
        ("三" * 134, 2),
        ("三" * 135, 3),
        ("a" * 69 + "三", 1),  # one such character makes all of it wide
        ("a" * 70 + "三", 2),
        ("🎁" * 35, 1),  # two units each
        ("🎁" * 36, 2),
        ("🎁" * 66, 2),  # 33 whole ones a part
        ("🎁" * 67, 3),
        ("`", 1),
    ],
)
def test_segments_are_those_of_the_standard(text: str, segments: int) -> None:
    assert segments_of(text) == segments
