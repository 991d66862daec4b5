from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approval.dedupe import Dedupe, repeats


@pytest.mark.parametrize(
    ("dedupe", "asked", "earlier", "again"),
    [
        ("none", "ab", ["ab", "ab"], ""),
        ("consecutive", "ab", [], ""),  # the first level that asks
        ("consecutive", "ab", ["bc"], "b"),
        ("consecutive", "ab", ["ab", "c"], ""),  # not at the level just before
        ("consecutive", "ab", ["c", "a"], "a"),
        ("consecutive", "ab", ["ab", ""], ""),  # nobody in particular approved there: time did, or an administrator
        ("all", "ab", [], ""),
        ("all", "ab", ["a", "c", "bc"], "ab"),
        ("all", "ab", ["cd", ""], ""),
        ("all", "", ["ab"], ""),
    ],
)
def test_who_has_approved_already_is_not_asked_again(
    dedupe: Dedupe, asked: str, earlier: Sequence[str], again: str
) -> None:
    assert repeats(dedupe, list(asked), [list(level) for level in earlier]) == frozenset(again)


people = st.sets(st.sampled_from("abcdef"))


@given(people, st.lists(people, max_size=4))
def test_a_wider_rule_spares_everybody_that_a_narrower_one_spares_and_nobody_who_is_not_asked(
    asked: set[str], earlier: list[set[str]]
) -> None:
    assert repeats("none", asked, earlier) <= repeats("consecutive", asked, earlier) <= repeats("all", asked, earlier)
    assert repeats("all", asked, earlier) <= asked


@given(people, st.lists(people, max_size=4))
def test_nobody_is_spared_who_has_not_approved(asked: set[str], earlier: list[set[str]]) -> None:
    assert repeats("all", asked, earlier) <= set().union(*earlier)
