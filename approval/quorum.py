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
    RETURNED = "returned"
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
    login: str
    kind: DecisionKind


def settle(quorum: Quorum, asked: Collection[str], votes: Sequence[Vote], veto: Collection[str] = ()) -> LevelOutcome:
    """What a level has come to, from the votes in the order of their time.

    A return to the drafter ends the round whoever of those asked gives it: it counts under no quorum. Votes of persons
    not asked, and second votes of one person, count for nothing. Once settled, later votes change nothing.
    """
    everybody = frozenset(asked)
    approving: set[str] = set()
    rejecting: set[str] = set()
    for vote in votes:
        if vote.login not in everybody or vote.login in approving | rejecting:
            continue
        if vote.kind is DecisionKind.RETURN_TO_DRAFTER:
            return LevelOutcome.RETURNED
        (approving if vote.kind is DecisionKind.APPROVE else rejecting).add(vote.login)
        if vote.kind is DecisionKind.REJECT and vote.login in veto:
            return LevelOutcome.REJECTED
        outcome = _count(quorum, len(everybody), len(approving), len(rejecting))
        if outcome is not LevelOutcome.OPEN:
            return outcome
    return LevelOutcome.OPEN


def _count(quorum: Quorum, asked: int, approvals: int, rejections: int) -> LevelOutcome:
    needed = quorum.needed(asked)
    if approvals >= needed:
        return LevelOutcome.APPROVED
    # under `any` the first decision settles the level, either way
    impossible = rejections > 0 if quorum.kind is QuorumKind.ANY else asked - rejections < needed
    return LevelOutcome.REJECTED if impossible else LevelOutcome.OPEN
