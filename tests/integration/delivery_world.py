"""A theme that is live, its customers and a provider that remembers what it was given: what the delivery tests need."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, select, text
from sqlalchemy.orm import Session

from channels import service
from channels.engine import Backoff
from channels.line import Line
from channels.message import Capabilities, Message, Outcome, PushContent
from channels.sender import Sender, SenderReport
from channels.service import planning
from channels.service.planning import PlanReport
from channels.states import Channel, ErrorClass
from models.customer import Customer
from models.database import Database
from models.queries import deliveries
from models.queries.deliveries import Reaped

_numbers = count(1)
LEASE = timedelta(seconds=30)
BACKOFF = Backoff(base=timedelta(milliseconds=20), ceiling=timedelta(milliseconds=100), budget=timedelta(minutes=5))


@dataclass(frozen=True, kw_only=True)
class World:
    """One live theme of a product line of its own, with one distribution that is planned but for `plan`."""

    database: Database
    theme_key: str
    theme_id: int
    product_line_id: int
    distribution_id: int
    account_key: str
    channel: Channel

    @property
    def audience(self) -> Select[Any]:
        return select(Customer.id).where(Customer.product_line_id == self.product_line_id)

    def plan(self) -> PlanReport:
        return planning.plan(
            self.database,
            distribution_id=self.distribution_id,
            audience_of=lambda *_: self.audience,
            now=datetime.now(UTC),
        )

    def plan_again(self) -> PlanReport:
        report = planning.plan_again(
            self.database,
            distribution_id=self.distribution_id,
            audience_of=lambda *_: self.audience,
            now=datetime.now(UTC),
        )
        assert report is not None
        return report

    def ledger(self, *, owner: UUID | None = None, lease: timedelta = LEASE) -> service.Ledger:
        return service.Ledger(
            database=self.database, distribution_id=self.distribution_id, owner=owner or uuid4(), lease=lease
        )

    def at_work(
        self, *, owner: UUID | None = None, lease: timedelta = LEASE, at: datetime | None = None
    ) -> service.Ledger:
        """The ledger of a sender that has begun, and was alive last at that moment."""
        ledger = self.ledger(owner=owner, lease=lease)
        ledger.enter(at or datetime.now(UTC))
        return ledger

    def reap(self, at: datetime) -> Reaped:
        with self.database.begin() as session:
            return deliveries.reap_dead_senders(session, now=at)

    @property
    def account_id(self) -> int:
        return int(self.rows("SELECT account_id FROM distributions WHERE id = :distribution_id")[0][0])

    def line(self, provider: "RecordingProvider", **values: Any) -> Line:
        defaults: dict[str, Any] = {"account_id": self.account_id, "key": self.account_key, "backoff": BACKOFF}
        return Line(provider=provider, **{**defaults, "concurrency": 8, **values})

    def sender(self, provider: "RecordingProvider", **values: Any) -> Sender:
        lease = values.pop("lease", LEASE)
        of_line = {name: values.pop(name) for name in ("backoff", "concurrency") if name in values}
        lines = values.pop("lines", None) or [self.line(provider, **of_line)]
        ledger = values.pop("ledger", None) or self.ledger(lease=lease)
        return Sender(ledger=ledger, lines=lines, lease=lease, **{"render": push_text, **values})

    def allow(self, *, at_most: int, per_seconds: float = 1.0) -> None:
        """Give the account a window, of calls."""
        window = [{"per_seconds": per_seconds, "at_most": at_most, "counts": "calls"}]
        self.change(
            "UPDATE provider_accounts SET windows = CAST(:windows AS jsonb) WHERE key = :key",
            windows=json.dumps(window),
            key=self.account_key,
        )

    def states(self) -> dict[str, int]:
        return dict(
            self.rows("SELECT state, count(*) FROM deliveries WHERE distribution_id = :distribution_id GROUP BY state")
        )

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.database.begin() as session:
            found = session.execute(text(statement), {"distribution_id": self.distribution_id, **values})
            return [tuple(row) for row in found]

    def change(self, statement: str, **values: Any) -> None:
        with self.database.begin() as session:
            session.execute(
                text(statement),
                {
                    "distribution_id": self.distribution_id,
                    "theme_id": self.theme_id,
                    "line": self.product_line_id,
                    **values,
                },
            )

    def set_theme(self, state: str) -> None:
        self.change("UPDATE themes SET state = :state WHERE id = :theme_id", state=state)


def make_world(
    database: Database, *, customers: int, channel: Channel = Channel.PUSH, provider: str = "recording"
) -> World:
    number = next(_numbers)
    name = f"{channel}-{number}-{uuid4().hex[:6]}"
    with database.begin() as session:
        ids = _insert_theme(session, name)
        _insert_customers(session, ids["line"], channel, name, customers)
        service.upsert_account(
            session,
            key=f"account-{name}",
            product_line_id=ids["line"],
            channel=channel,
            provider=provider,
            settings={},
            secrets=None,
        )
        theme = service.theme_by_key(session, f"theme-{name}")
        opened = service.open_distributions(
            session, theme=theme, accounts={channel: f"account-{name}"}, segment_as_of=datetime.now(UTC)
        )
        return World(
            database=database,
            theme_key=theme.key,
            theme_id=theme.id,
            product_line_id=ids["line"],
            distribution_id=opened[0].id,
            account_key=f"account-{name}",
            channel=channel,
        )


def _insert_theme(session: Session, name: str) -> dict[str, int]:
    line = session.scalar(
        text("INSERT INTO product_lines (key, name, currency) VALUES (:k, :k, 'GBP') RETURNING id"),
        {"k": f"line-{name}"},
    )
    person = session.scalar(
        text("INSERT INTO people (login, name, created_at) VALUES (:k, :k, now()) RETURNING id"), {"k": f"ann-{name}"}
    )
    theme = session.scalar(
        text(
            "INSERT INTO themes (key, product_line_id, title, author_id, state, draft, draft_source, starts_at,"
            " ends_at, timezone, created_at, state_changed_at) VALUES (:k, :line, :k, :person, 'live', '{}', '',"
            " now() - interval '1 hour', now() + interval '1 day', 'Europe/London', now(), now()) RETURNING id"
        ),
        {"k": f"theme-{name}", "line": line, "person": person},
    )
    revision = session.scalar(
        text(
            "INSERT INTO revisions (theme_id, number, hash, theme_hash, offer_hashes, content, created_by_id,"
            " created_at) VALUES (:theme, 1, 'h', 'h', '{}', '{}', :person, now()) RETURNING id"
        ),
        {"theme": theme, "person": person},
    )
    session.execute(text("UPDATE themes SET revision_id = :r WHERE id = :t"), {"r": revision, "t": theme})
    assert line is not None
    return {"line": line}


def _insert_customers(session: Session, line: int, channel: Channel, name: str, customers: int) -> None:
    session.execute(
        text(
            "INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)"
            " SELECT :line, 'c' || n, 'Customer ' || n, 'GB', 'Europe/London', 'en', true"
            " FROM generate_series(1, :customers) n"
        ),
        {"line": line, "customers": customers},
    )
    session.execute(
        text(
            "INSERT INTO addresses (customer_id, channel, address, original)"
            " SELECT id, :channel, :name || '-' || external_id, '' FROM customers WHERE product_line_id = :line"
        ),
        {"line": line, "channel": channel, "name": name},
    )
    session.execute(
        text(
            "INSERT INTO consents (customer_id, channel, granted, source, recorded_at)"
            " SELECT id, :channel, true, 'test', now() FROM customers WHERE product_line_id = :line"
        ),
        {"line": line, "channel": channel},
    )


def push_text(recipient: Mapping[str, Any]) -> PushContent:
    return PushContent(title="Women's Day", body=f"For {recipient['customer']['name']}")


Answer = Callable[[Message], Outcome]


def accept(message: Message) -> Outcome:
    return Outcome(delivery_id=message.delivery_id, provider_message_id=f"m-{message.address}")


def refuse(error: ErrorClass, **values: Any) -> Answer:
    return lambda message: Outcome(delivery_id=message.delivery_id, error=error, code="E1", detail="no", **values)


@dataclass
class RecordingProvider:
    """Remembers every message of every call. `answer` decides; `gate` holds calls until it is set."""

    batch_size: int = 1
    keys: bool = False
    personal: bool = True
    answer: Answer = accept
    seconds: float = 0.0
    gate: asyncio.Event | None = None
    calls: list[list[Message]] = field(default_factory=list)
    reached: Counter[str] = field(default_factory=Counter)
    on_call: Callable[[Sequence[Message]], None] = lambda _: None
    _next_key: Iterator[int] = field(default_factory=lambda: count(1))
    _seen_keys: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.capabilities = Capabilities(
            channel=Channel.PUSH,
            batch_size=self.batch_size,
            idempotent_replay=self.keys,
            status_query=False,
            receipts=False,
            personal_content=self.personal,
        )

    async def allocate_keys(self, count: int) -> Sequence[str]:
        return [f"key-{id(self)}-{next(self._next_key)}" for _ in range(count)] if self.keys else []

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        self.calls.append(list(messages))
        self.on_call(messages)
        if self.seconds:
            await asyncio.sleep(self.seconds)
        if self.gate is not None:
            await self.gate.wait()
        return [self._one(message) for message in messages]

    def _one(self, message: Message) -> Outcome:
        outcome = self.answer(message)
        if outcome.error in {None, ErrorClass.UNKNOWN_OUTCOME} and message.key not in self._seen_keys:
            self.reached[message.address] += 1
        if message.key is not None and outcome.error in {None, ErrorClass.UNKNOWN_OUTCOME}:
            self._seen_keys.add(message.key)
        return outcome

    async def close(self) -> None:
        return


def run(*senders: Sender) -> list[SenderReport]:
    async def all_of_them() -> list[SenderReport]:
        return list(await asyncio.gather(*(sender.run() for sender in senders)))

    return asyncio.run(all_of_them())


async def until(condition: Callable[[], bool], *, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for knows no events: rows, calls
            await asyncio.sleep(0.005)


async def until_reaped(world: World) -> None:
    """Take the sender at work for dead; one that claims this very moment is passed over."""

    def is_gone() -> bool:
        world.reap(datetime.now(UTC) + timedelta(hours=1))
        return world.rows("SELECT count(*) FROM senders WHERE distribution_id = :distribution_id") == [(0,)]

    while not await asyncio.to_thread(is_gone):
        pass
