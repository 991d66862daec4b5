"""The life of a theme: one table of moves, and its picture."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from themes.errors import ThemeError


class ThemeState(StrEnum):
    DRAFT = "draft"
    IN_REVIEW = "in_review"
    APPROVED = "approved"
    SCHEDULED = "scheduled"
    LIVE = "live"
    PAUSED = "paused"
    ENDED = "ended"
    REJECTED = "rejected"
    REVOKING = "revoking"
    REVOKED = "revoked"
    MISSED = "missed"
    DROPPED = "dropped"


class Move(StrEnum):
    SUBMIT = "submit"
    RETURN = "return"
    WITHDRAW = "withdraw"
    REJECT = "reject"
    APPROVE = "approve"  # the last approval; those before it leave the theme in review
    SCHEDULE = "schedule"
    RECALL = "recall"
    START = "start"
    MISS = "miss"
    LAUNCH_NOW = "launch_now"
    MOVE_START = "move_start"
    DROP = "drop"
    PAUSE = "pause"
    RESUME = "resume"
    END = "end"
    TAKEDOWN = "takedown"
    REVOKE_DONE = "revoke_done"


MOVES: Mapping[tuple[ThemeState, Move], ThemeState] = MappingProxyType(
    {
        (ThemeState.DRAFT, Move.SUBMIT): ThemeState.IN_REVIEW,
        (ThemeState.IN_REVIEW, Move.RETURN): ThemeState.DRAFT,
        (ThemeState.IN_REVIEW, Move.WITHDRAW): ThemeState.DRAFT,
        (ThemeState.IN_REVIEW, Move.REJECT): ThemeState.REJECTED,
        (ThemeState.IN_REVIEW, Move.APPROVE): ThemeState.APPROVED,
        (ThemeState.APPROVED, Move.SCHEDULE): ThemeState.SCHEDULED,
        (ThemeState.APPROVED, Move.RECALL): ThemeState.DRAFT,
        (ThemeState.SCHEDULED, Move.RECALL): ThemeState.DRAFT,
        (ThemeState.SCHEDULED, Move.START): ThemeState.LIVE,
        (ThemeState.SCHEDULED, Move.MISS): ThemeState.MISSED,
        (ThemeState.MISSED, Move.LAUNCH_NOW): ThemeState.LIVE,
        (ThemeState.MISSED, Move.MOVE_START): ThemeState.SCHEDULED,
        (ThemeState.MISSED, Move.DROP): ThemeState.DROPPED,
        (ThemeState.LIVE, Move.PAUSE): ThemeState.PAUSED,
        (ThemeState.PAUSED, Move.RESUME): ThemeState.LIVE,
        (ThemeState.LIVE, Move.END): ThemeState.ENDED,
        (ThemeState.PAUSED, Move.END): ThemeState.ENDED,
        (ThemeState.LIVE, Move.TAKEDOWN): ThemeState.REVOKING,
        (ThemeState.PAUSED, Move.TAKEDOWN): ThemeState.REVOKING,
        (ThemeState.REVOKING, Move.REVOKE_DONE): ThemeState.REVOKED,
    }
)

#: No move leaves these.
FINAL_STATES = frozenset(ThemeState) - {state for state, _ in MOVES}


class MoveRefused(ThemeError):
    """The theme's state does not allow this move."""

    def __init__(self, move: Move, state: ThemeState, allowed: tuple[Move, ...]) -> None:
        self.move, self.state, self.allowed = move, state, allowed
        instead = f"allowed now: {', '.join(allowed)}" if allowed else "nothing moves it any more"
        super().__init__(f"cannot {move} a theme that is {state}; {instead}")


def allowed_moves(state: ThemeState) -> tuple[Move, ...]:
    return tuple(move for origin, move in MOVES if origin is state)


def move(state: ThemeState, by: Move) -> ThemeState:
    """The state that the move leads to.

    Raises:
        MoveRefused: the table has no such move from this state.
    """
    try:
        return MOVES[state, by]
    except KeyError:
        raise MoveRefused(by, state, allowed_moves(state)) from None


def as_mermaid() -> str:
    """The table as a Mermaid state diagram; docs/lifecycle.md holds exactly this text."""
    arrows = [f"    {origin} --> {target}: {by}" for (origin, by), target in MOVES.items()]
    ends = [f"    {state} --> [*]" for state in ThemeState if state in FINAL_STATES]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {ThemeState.DRAFT}", *arrows, *ends])
