"""How many of those asked must agree before a level is settled, and when it is settled early."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

from approval.states import DecisionKind


class QuorumKind(StrEnum):
    ANY = "any"
    ALL = "all"
    COUNT = "count"
    RATIO = "ratio"


class LevelOutcome(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    RETURNED = "returned"  # to the drafter
    SENT_BACK = "sent back"  # to an earlier level
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    kind: QuorumKind
    count: int | None = None  # of `count`: from 1
    ratio: Decimal | None = None  # of `ratio`: above 0, at most 1

    def needed(self, asked: int) -> int:
        """Approvals that settle the level when so many are asked."""
        match self:
            case Quorum(kind=QuorumKind.COUNT, count=int(count)):
                return count
            case Quorum(kind=QuorumKind.RATIO, ratio=Decimal() as ratio):
                return int((ratio * asked).to_integral_value(ROUND_CEILING))
            case Quorum(kind=QuorumKind.ALL):
                return asked
        return 1

    def to_plain(self) -> str | dict[str, int | str]:
        """As a policy file writes it."""
        match self.kind:
            case QuorumKind.COUNT:
                return {"count": self.count or 0}
            case QuorumKind.RATIO:
                return {"ratio": str(self.ratio)}
        return self.kind.value

    def to_record(self) -> dict[str, int | str]:
        """As one mapping, whatever the kind, for a database column; `from_record` reads it back."""
        plain = self.to_plain()
        return {"kind": self.kind.value} | (plain if isinstance(plain, dict) else {})

    @classmethod
    def from_record(cls, record: Mapping[str, int | str]) -> "Quorum":
        count, ratio = record.get("count"), record.get("ratio")
        return cls(
            kind=QuorumKind(str(record["kind"])),
            count=None if count is None else int(count),
            ratio=None if ratio is None else Decimal(str(ratio)),
        )


ANY = Quorum(kind=QuorumKind.ANY)
ALL = Quorum(kind=QuorumKind.ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    seat: str  # login of the first owner of the question, whoever answered it
    kind: DecisionKind
    override: bool = False  # an administrator's: it needs no seat and settles at once


_AT_ONCE = {
    DecisionKind.RETURN_TO_DRAFTER: LevelOutcome.RETURNED,
    DecisionKind.RETURN_TO_PREVIOUS: LevelOutcome.SENT_BACK,
    DecisionKind.RETURN_TO_LEVEL: LevelOutcome.SENT_BACK,
}
_OVERRIDDEN = {**_AT_ONCE, DecisionKind.APPROVE: LevelOutcome.APPROVED, DecisionKind.REJECT: LevelOutcome.REJECTED}


def settle(
    quorum: Quorum,
    asked: Collection[str],
    votes: Sequence[Vote],
    veto: Collection[str] = (),
    required: Collection[str] = (),
) -> LevelOutcome:
    """What a level has come to, from the votes in the order of their time.

    `asked` are the seats that the quorum counts, `required` the added signers beside them: each of those has to
    approve too, and a rejection by one is a veto. A return ends the level whoever of both gives it. Votes of others,
    and second votes of one seat, count for nothing. Once settled, later votes change nothing.
    """
    seats, needed_too = frozenset(asked) - frozenset(required), frozenset(required)
    approving: set[str] = set()
    rejecting: set[str] = set()
    for vote in votes:
        if vote.override:
            return _OVERRIDDEN[vote.kind]
        if vote.seat not in seats | needed_too or vote.seat in approving | rejecting:
            continue
        if outcome := _AT_ONCE.get(vote.kind):
            return outcome
        (approving if vote.kind is DecisionKind.APPROVE else rejecting).add(vote.seat)
        if vote.kind is DecisionKind.REJECT and vote.seat in {*veto, *needed_too}:
            return LevelOutcome.REJECTED
        counted = _count(quorum, len(seats), len(approving & seats), len(rejecting & seats))
        if counted is LevelOutcome.REJECTED or (counted is LevelOutcome.APPROVED and needed_too <= approving):
            return counted
    return LevelOutcome.OPEN


def reachable(quorum: Quorum, seats: int) -> bool:
    """Whether so many could still settle the level with their approvals."""
    return 0 < seats >= quorum.needed(seats)


def _count(quorum: Quorum, asked: int, approvals: int, rejections: int) -> LevelOutcome:
    if not asked:  # everybody it would count was removed: whoever mends the level asks somebody else
        return LevelOutcome.OPEN
    needed = quorum.needed(asked)
    if approvals >= needed:
        return LevelOutcome.APPROVED
    # under `any` the first decision settles the level, either way
    impossible = rejections > 0 if quorum.kind is QuorumKind.ANY else asked - rejections < needed
    return LevelOutcome.REJECTED if impossible else LevelOutcome.OPEN
