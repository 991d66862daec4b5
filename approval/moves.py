"""The states of a round, a chain, a level and a task: one table of moves each, and their pictures."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from approval.errors import StateMoveInvalid
from approval.states import ChainState, LevelState, RoundState, TaskState

State = TypeVar("State", bound=StrEnum)
Move = TypeVar("Move", bound=StrEnum)


class RoundMove(StrEnum):
    APPROVE = "approve"  # its last chain was
    RETURN = "return"
    WITHDRAW = "withdraw"
    REJECT = "reject"
    EDIT = "edit"
    RECALL = "recall"


class ChainMove(StrEnum):
    APPROVE = "approve"  # no level is left to ask
    REJECT = "reject"
    TAKE_BACK = "take back"
    VOID = "void"  # its round ended without approval, or its object was edited


class LevelMove(StrEnum):
    OPEN = "open"
    APPROVE = "approve"
    REJECT = "reject"
    TAKE_BACK = "take back"
    SET_BACK = "set back"  # an approver returns to it or past it, or a level before it is open again
    VOID = "void"


class TaskMove(StrEnum):
    ASK = "ask"  # its level opened, or whom it waited for has decided
    SKIP_REPEAT = "skip repeat"
    DECIDE = "decide"
    DELEGATE = "delegate"
    ADVISED = "advised"  # the advice came or is not waited for any more: a new task asks the owner again
    ADD_SIGNER = "add signer"  # before this one: a new task waits for that signer
    REMOVE = "remove"
    CANCEL = "cancel"
    TAKE_BACK = "take back"
    SET_BACK = "set back"  # what it followed from is undone; where it is asked again, a new task asks it


ROUND_MOVES: Mapping[tuple[RoundState, RoundMove], RoundState] = MappingProxyType(
    {
        (RoundState.OPEN, RoundMove.APPROVE): RoundState.APPROVED,
        (RoundState.OPEN, RoundMove.RETURN): RoundState.RETURNED,
        (RoundState.OPEN, RoundMove.WITHDRAW): RoundState.WITHDRAWN,
        (RoundState.OPEN, RoundMove.REJECT): RoundState.REJECTED,
        (RoundState.OPEN, RoundMove.EDIT): RoundState.REVISED,
        (RoundState.APPROVED, RoundMove.RECALL): RoundState.RECALLED,
    }
)

CHAIN_MOVES: Mapping[tuple[ChainState, ChainMove], ChainState] = MappingProxyType(
    {
        (ChainState.OPEN, ChainMove.APPROVE): ChainState.APPROVED,
        (ChainState.OPEN, ChainMove.REJECT): ChainState.REJECTED,
        (ChainState.APPROVED, ChainMove.TAKE_BACK): ChainState.OPEN,
        (ChainState.REJECTED, ChainMove.TAKE_BACK): ChainState.OPEN,
        (ChainState.OPEN, ChainMove.VOID): ChainState.VOID,
        (ChainState.APPROVED, ChainMove.VOID): ChainState.VOID,
    }
)

LEVEL_MOVES: Mapping[tuple[LevelState, LevelMove], LevelState] = MappingProxyType(
    {
        (LevelState.WAITING, LevelMove.OPEN): LevelState.OPEN,
        (LevelState.OPEN, LevelMove.APPROVE): LevelState.APPROVED,
        (LevelState.OPEN, LevelMove.REJECT): LevelState.REJECTED,
        (LevelState.APPROVED, LevelMove.TAKE_BACK): LevelState.OPEN,
        (LevelState.REJECTED, LevelMove.TAKE_BACK): LevelState.OPEN,
        (LevelState.OPEN, LevelMove.SET_BACK): LevelState.WAITING,
        (LevelState.APPROVED, LevelMove.SET_BACK): LevelState.WAITING,
        (LevelState.WAITING, LevelMove.VOID): LevelState.VOID,
        (LevelState.OPEN, LevelMove.VOID): LevelState.VOID,
    }
)

TASK_MOVES: Mapping[tuple[TaskState, TaskMove], TaskState] = MappingProxyType(
    {
        (TaskState.WAITING, TaskMove.ASK): TaskState.OPEN,
        (TaskState.WAITING, TaskMove.SKIP_REPEAT): TaskState.SKIPPED,
        (TaskState.OPEN, TaskMove.DECIDE): TaskState.DECIDED,
        (TaskState.OPEN, TaskMove.DELEGATE): TaskState.OUT,
        (TaskState.OUT, TaskMove.ADVISED): TaskState.CANCELLED,
        (TaskState.WAITING, TaskMove.CANCEL): TaskState.CANCELLED,
        (TaskState.OPEN, TaskMove.CANCEL): TaskState.CANCELLED,
        (TaskState.OUT, TaskMove.CANCEL): TaskState.CANCELLED,
        (TaskState.WAITING, TaskMove.REMOVE): TaskState.REMOVED,
        (TaskState.OPEN, TaskMove.REMOVE): TaskState.REMOVED,
        (TaskState.OUT, TaskMove.REMOVE): TaskState.REMOVED,
        # the level fell to the fallback, or its person overrides: what was said there before counts no more
        (TaskState.DECIDED, TaskMove.REMOVE): TaskState.REMOVED,
        (TaskState.SKIPPED, TaskMove.REMOVE): TaskState.REMOVED,
        (TaskState.CANCELLED, TaskMove.REMOVE): TaskState.REMOVED,
        (TaskState.OPEN, TaskMove.ADD_SIGNER): TaskState.VOID,
        (TaskState.DECIDED, TaskMove.TAKE_BACK): TaskState.VOID,
        (TaskState.WAITING, TaskMove.SET_BACK): TaskState.VOID,
        (TaskState.OPEN, TaskMove.SET_BACK): TaskState.VOID,
        (TaskState.OUT, TaskMove.SET_BACK): TaskState.VOID,
        (TaskState.DECIDED, TaskMove.SET_BACK): TaskState.VOID,
        (TaskState.SKIPPED, TaskMove.SET_BACK): TaskState.VOID,
        (TaskState.CANCELLED, TaskMove.SET_BACK): TaskState.VOID,
    }
)

#: In which states each of them may begin.
STARTS: Mapping[type[StrEnum], tuple[StrEnum, ...]] = MappingProxyType(
    {
        RoundState: (RoundState.OPEN,),
        ChainState: (ChainState.OPEN,),
        LevelState: (LevelState.WAITING, LevelState.SKIPPED),
        TaskState: (TaskState.WAITING, TaskState.DECIDED),  # the latter with an administrator's override
    }
)

_STEPS: Mapping[type[StrEnum], frozenset[tuple[StrEnum, StrEnum]]] = MappingProxyType(
    {
        RoundState: frozenset((origin, target) for (origin, _), target in ROUND_MOVES.items()),
        ChainState: frozenset((origin, target) for (origin, _), target in CHAIN_MOVES.items()),
        LevelState: frozenset((origin, target) for (origin, _), target in LEVEL_MOVES.items()),
        TaskState: frozenset((origin, target) for (origin, _), target in TASK_MOVES.items()),
    }
)


def check(from_state: State, to_state: State) -> None:
    """Let a step pass that the table of these states has. Staying where one is is no step.

    Raises:
        StateMoveInvalid: it has no such step; the code that asked for it is wrong, not the person.
    """
    kind = type(from_state)
    steps = _STEPS[kind]
    # states of two tables may share a word, and then they are equal as text
    if type(to_state) is kind and (from_state, to_state) in steps:
        return
    subject = kind.__name__.removesuffix("State").lower()
    allowed = [state for state in kind if (from_state, state) in steps]
    raise StateMoveInvalid(subject=subject, origin=from_state, target=to_state, allowed=allowed)


def as_mermaid(table: Mapping[tuple[State, Move], State]) -> str:
    """A table as a Mermaid state diagram; docs/approval-states.md holds exactly these texts."""
    kind = type(next(iter(table))[0])
    starts = [f"    [*] --> {state}" for state in STARTS[kind]]
    arrows = [f"    {origin} --> {target}: {by}" for (origin, by), target in table.items()]
    left = {origin for origin, _ in table}
    ends = [f"    {state} --> [*]" for state in kind if state not in left]
    return "\n".join(["stateDiagram-v2", *starts, *arrows, *ends])
