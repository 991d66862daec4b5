import itertools
from pathlib import Path

import pytest

from themes.lifecycle import FINAL_STATES, MOVES, Move, MoveRefused, ThemeState, as_mermaid, move

DOCS = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_picture_in_the_docs_is_the_table() -> None:
    block = DOCS.read_text(encoding="utf-8").split("```mermaid\n")[1].split("\n```")[0]
    assert block == as_mermaid()


def test_theme_goes_its_way_from_draft_to_its_end() -> None:
    state = ThemeState.DRAFT
    for step in (Move.SUBMIT, Move.APPROVE, Move.SCHEDULE, Move.START, Move.PAUSE, Move.RESUME, Move.END):
        state = move(state, step)
    assert state is ThemeState.ENDED


def test_every_state_is_reached_and_every_move_is_used() -> None:
    assert set(MOVES.values()) == set(ThemeState)
    assert {by for _, by in MOVES} == set(Move)


def test_final_states_are_those_that_nothing_leaves() -> None:
    assert {ThemeState.ENDED, ThemeState.REJECTED, ThemeState.REVOKED, ThemeState.DROPPED} == FINAL_STATES


@pytest.mark.parametrize(("state", "by"), sorted(set(itertools.product(ThemeState, Move)) - set(MOVES)))
def test_move_that_is_not_in_the_table_is_refused_with_its_name_and_the_state(state: ThemeState, by: Move) -> None:
    with pytest.raises(MoveRefused, match=f"cannot {by} a theme that is {state}") as refused:
        move(state, by)
    assert refused.value.allowed == tuple(allowed for origin, allowed in MOVES if origin is state)
