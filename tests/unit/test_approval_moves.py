import itertools
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import pytest

from approval.errors import ApprovalError, StateMoveInvalid
from approval.moves import (
    CHAIN_MOVES,
    LEVEL_MOVES,
    ROUND_MOVES,
    STARTS,
    TASK_MOVES,
    ChainMove,
    LevelMove,
    RoundMove,
    TaskMove,
    as_mermaid,
    check,
)
from approval.states import ChainState, LevelState, RoundState, TaskState

PAGE = (Path(__file__).parents[2] / "docs" / "approval-states.md").read_text(encoding="utf-8")

Table = Mapping[tuple[StrEnum, StrEnum], StrEnum]
State = TypeVar("State", bound=StrEnum)
Move = TypeVar("Move", bound=StrEnum)


def plain(table: Mapping[tuple[State, Move], State]) -> Table:
    return {(origin, move): target for (origin, move), target in table.items()}


TABLES: dict[str, tuple[type[StrEnum], type[StrEnum], Table]] = {
    "round": (RoundState, RoundMove, plain(ROUND_MOVES)),
    "chain": (ChainState, ChainMove, plain(CHAIN_MOVES)),
    "level": (LevelState, LevelMove, plain(LEVEL_MOVES)),
    "task": (TaskState, TaskMove, plain(TASK_MOVES)),
}

every_table = pytest.mark.parametrize("name", TABLES)


@every_table
def test_the_picture_in_the_docs_is_the_table(name: str) -> None:
    section = PAGE.split(f"## A {name}\n")[1]
    assert section.split("```mermaid\n")[1].split("\n```")[0] == as_mermaid(TABLES[name][2])


@every_table
def test_the_docs_explain_every_move_of_the_table_and_none_that_it_has_not(name: str) -> None:
    text = PAGE.split(f"## A {name}\n")[1].split("\n## ")[0]
    assert sorted(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)) == sorted(TABLES[name][1])


@every_table
def test_every_state_is_reached_and_every_move_is_used(name: str) -> None:
    states, moves, table = TABLES[name]
    assert {*STARTS[states], *table.values()} == set(states)
    assert {move for _, move in table} == set(moves)


@every_table
def test_exactly_the_steps_of_the_table_are_let_through(name: str) -> None:
    states, _, table = TABLES[name]
    steps = {(origin, target) for (origin, _), target in table.items()}
    for origin, target in itertools.product(states, states):
        if (origin, target) in steps:
            check(origin, target)
        else:
            with pytest.raises(StateMoveInvalid, match=f"a {name} cannot go from {origin} to {target} "):
                check(origin, target)


@pytest.mark.parametrize(
    ("states", "final"),
    [
        (RoundState, {"returned", "withdrawn", "rejected", "recalled", "revised"}),
        (ChainState, {"void"}),
        (LevelState, {"skipped", "void"}),  # a rejected one may be taken back
        (TaskState, {"removed", "void"}),
    ],
)
def test_nothing_leaves_the_final_states(states: type[StrEnum], final: set[str]) -> None:
    left = {origin for _, _, table in TABLES.values() for origin, _ in table if type(origin) is states}
    assert set(states) - left == final


def test_a_wrong_step_names_where_it_could_have_gone() -> None:
    with pytest.raises(StateMoveInvalid) as fault:
        check(TaskState.OUT, TaskState.DECIDED)
    assert fault.value.allowed == ("cancelled", "removed", "void")
    assert str(fault.value) == (
        "a task cannot go from out to decided (from out leads to cancelled, removed, void); nothing was written"
    )
    with pytest.raises(StateMoveInvalid, match="from void nothing leads on"):
        check(ChainState.VOID, ChainState.OPEN)


def test_a_state_of_another_table_is_no_step_though_its_word_is_the_same() -> None:
    odd: StrEnum = ChainState.APPROVED
    with pytest.raises(StateMoveInvalid):
        check(RoundState.OPEN, odd)


def test_a_wrong_step_is_a_fault_of_ours_and_never_shown_as_a_refusal() -> None:
    assert not issubclass(StateMoveInvalid, ApprovalError)


@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.WAITING])
def test_no_task_is_asked_twice(state: TaskState) -> None:
    with pytest.raises(StateMoveInvalid):
        check(state, TaskState.OPEN)


def test_a_level_that_is_returned_to_waits_before_it_opens_again() -> None:
    steps = [LevelState.WAITING, LevelState.OPEN, LevelState.APPROVED, LevelState.WAITING, LevelState.OPEN]
    for origin, target in itertools.pairwise(steps):
        check(origin, target)
