"""What the sentences of a scenario act on: a database, a provider's side, a clock, senders."""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from channels.states import Channel
from models.database import Database
from sandbox.process import Running
from tests.integration.scene import Scene
from tests.scenarios.delivery import stage
from tests.scenarios.delivery.clock import Clock
from tests.scenarios.delivery.invariants import broken, wrong_sums
from tests.scenarios.delivery.language import numbers_of
from tests.scenarios.delivery.provider import ProviderSide
from tests.scenarios.delivery.scenario_file import Scenario
from tests.scenarios.delivery.seen import View
from tests.scenarios.delivery.senders import Senders, Told

#: Real seconds within which something has to happen that is waited for.
PATIENCE = 60.0


class NeverHappened(AssertionError):
    """What a scenario waits for did not come about."""

    def __init__(self, what: str) -> None:
        super().__init__(f"waited {PATIENCE:g} s for: {what}")


@dataclass(kw_only=True)
class World:
    """What the sentences of a scenario act on."""

    scenario: Scenario
    database: Database
    url: str
    key: str
    scene: Scene
    clock: Clock
    side: ProviderSide
    senders: Senders
    call_size: dict[Channel, int] = field(default_factory=dict)
    again: defaultdict[Channel, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    done: dict[str, Any] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self.scenario.channels

    def look(self, wanted: Sequence[str]) -> Mapping[str, Any]:
        with self.database.begin() as session:
            view = View(session=session, side=self.side, channels=self.channels, now=self.clock(), done=self.done)
            return view.look(wanted)

    def broken(self) -> list[str]:
        with self.database.begin() as session:
            return broken(session, provider=self.side, channels=self.channels, again=self.again)

    def kept_counts_that_are_wrong(self) -> list[str]:
        """The counts that people see, against the rows themselves."""
        with self.database.begin() as session:
            return wrong_sums(session)

    def point_accounts_at(self, sandbox: Running) -> None:
        for entry, _ in stage.account_entries(sandbox):
            self.change(
                "UPDATE provider_accounts SET settings = settings || CAST(:settings AS jsonb) WHERE key = :key",
                settings=json.dumps(entry.settings),
                key=entry.account,
            )

    def change(self, statement: str, **values: object) -> int:
        with self.database.begin() as session:
            return int(session.execute(text(statement), values).rowcount)  # type: ignore[attr-defined] # a CursorResult

    def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        with self.database.begin() as session:
            return [tuple(row) for row in session.execute(text(statement), values)]

    def addresses(self, channel: str, customers: str) -> list[str]:
        return [stage.address_of(Channel(channel), number) for number in numbers_of(customers)]

    def theme_id(self, key: str) -> int:
        (found,) = self.rows("SELECT id FROM themes WHERE key = :key", key=key)
        return int(found[0])

    def distribution_ids(self, theme: str | None = None, channel: str | None = None) -> list[int]:
        found = self.rows(
            "SELECT x.id FROM distributions x JOIN themes t ON t.id = x.theme_id WHERE t.key = coalesce(:theme, t.key)"
            " AND x.channel = coalesce(:channel, x.channel) ORDER BY x.id",
            theme=theme,
            channel=channel,
        )
        return [int(row[0]) for row in found]

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise NeverHappened(what)
            time.sleep(0.01)

    def close(self) -> None:
        self.senders.kill_all()


def at_once(act: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(2) as threads:
        return [done.result() for done in [threads.submit(act), threads.submit(act)]]
