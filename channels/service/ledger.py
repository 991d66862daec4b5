"""What a sender writes and reads. Each method is one transaction of its own; any thread may call it."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from channels.answers import Effects
from channels.states import DeliveryState
from models.queries import deliveries, distributions, provider_accounts, retries
from models.queries.deliveries import Claim, Result
from models.queries.distributions import Gate


class Transactions(Protocol):
    """Where sessions come from: `models.database.Database`."""

    def begin(self) -> AbstractContextManager[Session]: ...


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
    ) -> None:
        """Without a `retry_budget` no delivery is given up before its next try says so."""
        self._database = database
        self._distribution_id = distribution_id
        self._owner = owner
        self._lease = lease
        self._retry_budget = retry_budget

    def gate(self, now: datetime) -> Gate:
        with self._database.begin() as session:
            return distributions.gate(session, distribution_id=self._distribution_id, now=now)

    def claim(self, *, limit: int, replays: bool, now: datetime) -> Claim:
        with self._database.begin() as session:
            return deliveries.claim(
                session,
                distribution_id=self._distribution_id,
                owner=self._owner,
                limit=limit,
                lease=self._lease,
                now=now,
                replays=replays,
            )

    def begin(self, *, ids: Sequence[UUID], keys: Sequence[str | None], now: datetime) -> set[UUID]:
        with self._database.begin() as session:
            return deliveries.begin_calls(
                session, distribution_id=self._distribution_id, owner=self._owner, ids=ids, keys=keys, now=now
            )

    def record(self, *, account_id: int, results: Sequence[Result], effects: Effects, now: datetime) -> int:
        """Outcomes and everything that follows from them, all or nothing."""
        with self._database.begin() as session:
            moved = 0
            if results:
                moved = deliveries.record_outcomes(
                    session, owner=self._owner, account_id=account_id, results=results, now=now
                )
            self._apply(session, account_id, effects, now)
            return moved

    def extend(self, now: datetime) -> None:
        with self._database.begin() as session:
            deliveries.extend_leases(session, owner=self._owner, until=now + self._lease)

    def release(self, rows: Sequence[tuple[UUID, bool]], now: datetime) -> None:
        with self._database.begin() as session:
            deliveries.release(session, owner=self._owner, deliveries=rows, now=now)

    def reap(self, now: datetime) -> None:
        with self._database.begin() as session:
            deliveries.reap_expired_leases(session, now=now)
            if self._retry_budget is not None:
                deliveries.give_up_after_budget(
                    session, distribution_id=self._distribution_id, budget=self._retry_budget, now=now
                )

    def expire(self, gate: Gate, now: datetime) -> None:
        with self._database.begin() as session:
            retries.finish_pending(session, theme_id=gate.theme_id, state=DeliveryState.EXPIRED, now=now)

    def next_due(self, now: datetime) -> datetime | None:
        with self._database.begin() as session:
            return distributions.next_due(session, distribution_id=self._distribution_id, now=now)

    def _apply(self, session: Session, account_id: int, effects: Effects, now: datetime) -> None:
        if effects.suppress:
            deliveries.suppress(session, distribution_id=self._distribution_id, reasons=effects.suppress, now=now)
        if effects.opt_outs:
            deliveries.record_opt_outs(session, ids=effects.opt_outs, now=now)
        if effects.stop_because is not None:
            distributions.stop(session, distribution_id=self._distribution_id, because=effects.stop_because)
        if effects.pause_because is not None:
            provider_accounts.pause(session, account_id=account_id, because=effects.pause_because)
        if effects.recovered_since is not None:
            provider_accounts.recovered(session, account_id=account_id, began_at=effects.recovered_since)
        if effects.wait is not None:
            began_at, until = effects.wait
            provider_accounts.back_off(session, account_id=account_id, began_at=began_at, until=until)
