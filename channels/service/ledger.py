"""What a sender writes and reads. Each method is one transaction of its own; any thread may call it."""

import socket
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from channels.answers import CallCounts, Effects
from channels.errors import SenderTakenForDead
from channels.rate import Permits
from channels.states import DeliveryState
from models.queries import (
    deliveries,
    distributions,
    limits,
    pending,
    permits,
    provider_accounts,
    subscriptions,
    walks,
)
from models.queries.deliveries import Claim, Claimed, Result
from models.queries.distributions import Gate

_LOST = frozenset({DeliveryState.FAILED, DeliveryState.SUPPRESSED, DeliveryState.CANCELLED, DeliveryState.EXPIRED})


class Transactions(Protocol):
    """Where sessions come from: `models.database.Database`."""

    def begin(self) -> AbstractContextManager[Session]: ...


def note_calls(session: Session, counts: Mapping[int, CallCounts], *, now: datetime) -> None:
    """Add calls to the health of their accounts."""
    for account_id, one in sorted(counts.items()):
        provider_accounts.note_calls(
            session,
            account_id=account_id,
            accepted=one.accepted,
            refused=one.refused,
            last_words=one.last_words,
            now=now,
        )


class Ledger:
    """The rows of one distribution, as one sender (`owner`) sees them."""

    def __init__(
        self,
        *,
        database: Transactions,
        distribution_id: int,
        owner: UUID,
        lease: timedelta,
        retry_budget: timedelta | None = None,
        coupons: Sequence[str] = (),
    ) -> None:
        """Without a `retry_budget` no delivery is given up before its next try says so.

        `coupons` are those whose codes the message carries: the recipient's own come with what is claimed.
        """
        self._database = database
        self._distribution_id = distribution_id
        self._owner = owner
        self._lease = lease
        self._retry_budget = retry_budget
        self._coupons = tuple(coupons)
        self._limited = False  # caps or quiet hours apply

    def enter(self, now: datetime) -> None:
        """Take back what the dead held, and be alive from now on."""
        with self._database.begin() as session:
            deliveries.reap_dead_senders(session, now=now)
            if self._retry_budget is not None:
                late = deliveries.give_up_after_budget(
                    session, distribution_id=self._distribution_id, budget=self._retry_budget, now=now
                )
                limits.give_back(session, seqs=late)
            deliveries.enter(
                session,
                distribution_id=self._distribution_id,
                owner=self._owner,
                until=now + self._lease,
                now=now,
                host=socket.gethostname(),
            )

    def gate(self, now: datetime) -> Gate:
        with self._database.begin() as session:
            self._limited = limits.applies(session, distribution_id=self._distribution_id)
            return distributions.gate(session, distribution_id=self._distribution_id, now=now)

    def claim(self, *, limit: int, replays_of: Sequence[int], now: datetime) -> Claim:
        """What may be replayed over these accounts, then what is due again, then what is fresh.

        Raises:
            SenderTakenForDead
        """
        with self._database.begin() as session:
            self._be_alive(session, now)
            own = {"distribution_id": self._distribution_id, "owner": self._owner, "coupons": self._coupons}
            found = _Found(session, limit, now=now, **own)
            if replays_of:
                found.add(deliveries.claim_replays, account_ids=replays_of)
            replays = found.rows
            found.rows = []
            found.add(deliveries.claim_waiting)
            found.add(deliveries.claim_fresh)
            if found.left and walks.back_to_left_behind(session, distribution_id=self._distribution_id):
                found.add(deliveries.claim_fresh)
            if self._limited and found.rows:
                self._restrict(session, found, now)
        return Claim([*replays, *found.rows], found.settled, found.good_until)

    def permits(self, *, account_id: int, wanted: int, now: datetime) -> Permits:
        with self._database.begin() as session:
            return permits.take(
                session, account_id=account_id, wanted=wanted, now=now, distribution_id=self._distribution_id
            )

    def begin(
        self, *, account_id: int, seqs: Sequence[int], keys: Sequence[str | None] | None, now: datetime
    ) -> Collection[int]:
        """Which of these may be called now: all, or none.

        Raises:
            SenderTakenForDead: none may.
        """
        with self._database.begin() as session:
            begun = deliveries.begin_calls(
                session,
                distribution_id=self._distribution_id,
                owner=self._owner,
                account_id=account_id,
                seqs=seqs,
                keys=keys,
                until=now + self._lease,
                now=now,
            )
            if not begun:
                self._be_alive(session, now)
        return frozenset(seqs) if begun else ()

    def record(self, *, results: Sequence[Result], effects: Mapping[int, Effects], now: datetime) -> int:
        """Outcomes and everything that follows from them, all or nothing."""
        with self._database.begin() as session:
            moved = 0
            if results:
                moved = deliveries.record_outcomes(
                    session,
                    distribution_id=self._distribution_id,
                    owner=self._owner,
                    results=results,
                    now=now,
                    durably=bool(effects),
                )
            for account_id, effect in effects.items():
                if self._limited:
                    _spare_the_agreed(session, effect)
                self._apply(session, account_id, effect, now)
            if self._limited:
                limits.give_back(session, seqs=[result.seq for result in results if result.state in _LOST])
            return moved

    def count_calls(self, *, counts: Mapping[int, CallCounts], now: datetime) -> None:
        with self._database.begin() as session:
            note_calls(session, counts, now=now)

    def beat(self, now: datetime) -> bool:
        """False: this sender counts as dead. Tidying up comes after it, and holds up neither this nor what begins."""
        with self._database.begin() as session:
            alive = deliveries.beat(session, owner=self._owner, until=now + self._lease, now=now)
        if alive:
            with self._database.begin() as session:
                deliveries.forget_settled(session, distribution_id=self._distribution_id, owner=self._owner)
        return alive

    def release(self, seqs: Sequence[int], now: datetime) -> None:
        with self._database.begin() as session:
            deliveries.release(session, distribution_id=self._distribution_id, owner=self._owner, seqs=seqs, now=now)
            if self._limited:
                limits.give_back(session, seqs=seqs)

    def expire(self, gate: Gate, now: datetime) -> None:  # noqa: ARG002 - what ended says the gate; which rows, this ledger
        with self._database.begin() as session:
            pending.finish_pending_of(
                session, distribution_id=self._distribution_id, state=DeliveryState.EXPIRED, now=now
            )

    def leave(self, now: datetime) -> None:  # noqa: ARG002 - every verb of a ledger is told the time
        with self._database.begin() as session:
            deliveries.leave(session, owner=self._owner)

    def next_due(self, now: datetime) -> datetime | None:
        with self._database.begin() as session:
            return distributions.next_due(session, distribution_id=self._distribution_id, now=now)

    def _be_alive(self, session: Session, now: datetime) -> None:
        if not deliveries.hold_alive(session, owner=self._owner, now=now):
            raise SenderTakenForDead(lease=self._lease)

    def _restrict(self, session: Session, found: "_Found", now: datetime) -> None:
        """Quiet hours and caps. What they keep from leaving is held or settled, and no longer ours."""
        kept = limits.restrict(
            session,
            distribution_id=self._distribution_id,
            sender=self._owner,
            seqs=[row.seq for row in found.rows],
            now=now,
        )
        found.rows = [row for row in found.rows if row.seq not in kept.left]
        found.settled.update(
            {DeliveryState.HELD: kept.held, DeliveryState.CAPPED: kept.capped, DeliveryState.EXPIRED: kept.expired}
        )
        found.good_until = kept.good_until

    def _apply(self, session: Session, account_id: int, effects: Effects, now: datetime) -> None:
        if effects.suppress:
            deliveries.suppress(session, distribution_id=self._distribution_id, reasons=effects.suppress, now=now)
        if effects.opt_outs:
            deliveries.record_opt_outs(
                session, distribution_id=self._distribution_id, seqs=list(effects.opt_outs), now=now
            )
        if effects.stop_because is not None:
            distributions.stop(session, distribution_id=self._distribution_id, because=effects.stop_because)
        if effects.pause_because is not None:
            provider_accounts.pause(session, account_id=account_id, because=effects.pause_because)
        if effects.recovered_since is not None:
            provider_accounts.recovered(session, account_id=account_id, began_at=effects.recovered_since)
        if effects.wait is not None:
            began_at, until = effects.wait
            provider_accounts.back_off(session, account_id=account_id, began_at=began_at, until=until)


def _spare_the_agreed(session: Session, effects: Effects) -> None:
    """Who had agreed to one message and has none left to agree to has not opted out: the next agreement counts."""
    for seq in subscriptions.use_up(session, seqs=list(effects.opt_outs)):
        effects.suppress.pop(effects.opt_outs.pop(seq), None)


class _Found:
    """Rows gathered by several claims, up to a limit."""

    def __init__(self, session: Session, limit: int, **values: object) -> None:
        self._session, self._values = session, values
        self.left = limit
        self.rows: list[Claimed] = []
        self.settled: Counter[DeliveryState] = Counter()
        self.good_until: datetime | None = None

    def add(self, claim: Callable[..., Claim], **values: object) -> None:
        if self.left <= 0:
            return
        claimed = claim(self._session, limit=self.left, **self._values, **values)
        self.rows += claimed.deliveries
        self.settled.update(claimed.settled)
        self.left -= len(claimed.deliveries) + sum(claimed.settled.values())
