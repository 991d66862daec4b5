"""Deliveries that a provider has taken, and the receipts that come for them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from channels.engine import MOVES
from channels.message import Receipt, ReceiptKind
from channels.service.receipts import Stored, join_waiting, store
from channels.states import Channel, ErrorClass
from models.database import Database
from tests.integration.delivery_world import World, make_world
from tests.integration.moves_guard import guard_moves

BEGAN = datetime(2026, 11, 20, 9, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A delivery in the database, and how receipts name it."""

    id: UUID
    seq: int
    address: str
    customer_id: int
    message_id: str

    def receipt(self, kind: ReceiptKind = ReceiptKind.DELIVERED, *, minutes: int = 1, **values: Any) -> Receipt:
        at = BEGAN + timedelta(minutes=minutes)
        error = ErrorClass.UNRECOGNISED if kind is ReceiptKind.FAILED else None
        defaults: dict[str, Any] = {
            "provider_message_id": self.message_id,
            "address": self.address,
            "error": error,
            "code": kind.value,
            "dedupe": f"{kind}-{minutes}-{values.get('error')}-{values.get('provider_message_id')}-{self.id}",
        }
        return Receipt(kind=kind, occurred_at=at, **{**defaults, **values})


class ReceiptWorld:
    def __init__(self, database: Database, *, customers: int = 3, channel: Channel = Channel.SMS) -> None:
        self.world: World = make_world(database, customers=customers, channel=channel, provider="aliyun")
        self.world.plan()
        guard_moves(database, "deliveries", MOVES)
        self.database = database
        self.account_id = int(self.world.rows("SELECT account_id FROM distributions WHERE id = :distribution_id")[0][0])
        self.deliveries: Sequence[Taken] = [
            Taken(id=row[0], seq=row[1], address=row[2], customer_id=row[3], message_id=f"biz-{row[1]}")
            for row in self.world.rows(
                "SELECT id, seq, address, customer_id FROM deliveries WHERE distribution_id = :distribution_id"
                " ORDER BY seq"
            )
        ]

    def take(self, *taken: Taken, state: str = "sent") -> None:
        """As a sender leaves them that the provider has answered."""
        for one in taken or self.deliveries:
            self.put(one, state="sending")
            self.attempt(one)
            self.put(one, state=state, provider_message_id=one.message_id, sent_at=BEGAN, tries=1)

    def put(self, one: Taken, **values: Any) -> None:
        """Past all services, the guard of moves among them."""
        columns = ", ".join(f"{name} = :{name}" for name in values)
        with self.database.begin() as session:
            session.execute(text("ALTER TABLE deliveries DISABLE TRIGGER guard_moves"))
            session.execute(
                text(f"UPDATE deliveries SET {columns}, account_id = :account WHERE id = :id"),  # noqa: S608 - names of ours
                {**values, "account": self.account_id, "id": one.id},
            )
            session.execute(text("ALTER TABLE deliveries ENABLE TRIGGER guard_moves"))

    def attempt(
        self, one: Taken, *, number: int = 1, message_id: str | None = None, began_at: datetime = BEGAN
    ) -> None:
        self.world.change(
            "INSERT INTO attempts (delivery_seq, number, account_id, began_at, latency_ms, code, detail,"
            " provider_message_id) VALUES (:seq, :number, :account, :began_at, 5, '', '', :message_id)",
            seq=one.seq,
            number=number,
            account=self.account_id,
            began_at=began_at,
            message_id=message_id or one.message_id,
        )

    def store(self, *receipts: Receipt, now: datetime = BEGAN) -> Stored:
        with self.database.begin() as session:
            return store(session, account_id=self.account_id, receipts=receipts, now=now)

    def join(self, now: datetime = BEGAN) -> int:
        with self.database.begin() as session:
            return join_waiting(session, now=now)

    def hear(self, *receipts: Receipt, now: datetime = BEGAN) -> None:
        self.store(*receipts, now=now)
        self.join(now)

    def standing(self, one: Taken) -> tuple[Any, ...]:
        """State, class and code of a delivery."""
        return self.world.rows("SELECT state, error_class, error_code FROM deliveries WHERE id = :id", id=one.id)[0]

    def suppressed(self) -> dict[str, str]:
        return dict(
            self.world.rows("SELECT address, reason FROM suppressions WHERE product_line_id = :line", line=self.line)
        )

    def opted_out(self) -> set[int]:
        found = self.world.rows("SELECT customer_id FROM consents WHERE NOT granted")
        ours = {one.customer_id for one in self.deliveries}
        return {row[0] for row in found} & ours

    def waiting(self) -> list[tuple[Any, ...]]:
        wanted = "SELECT id, join_at FROM receipts WHERE join_at IS NOT NULL AND account_id = :account"
        return self.world.rows(wanted, account=self.account_id)

    @property
    def line(self) -> int:
        return self.world.product_line_id

    @property
    def tallied(self) -> dict[str, int]:
        rows = self.world.rows(
            "SELECT state, sum(count) FROM tallies WHERE distribution_id = :distribution_id GROUP BY state"
            " HAVING sum(count) <> 0"
        )
        return {state: int(count) for state, count in rows}


def again(receipt: Receipt, **values: Any) -> Receipt:
    return replace(receipt, **values)
