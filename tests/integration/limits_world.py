"""A product line whose customers several themes want to reach at once, and a claim as a sender makes it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from audience.limits_file import read_limits
from channels.service.limits import apply_limits
from channels.states import Channel, Purpose
from models.database import Database
from models.queries import limits
from models.queries.limits import Restricted

_numbers = count(1)
NOON = datetime(2027, 3, 6, 12, tzinfo=UTC)
GB = ("GB", "Europe/London")

_CUSTOMERS = """
    INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)
    SELECT :line, 'c' || n, 'Customer ' || n, country, timezone, 'en', true
    FROM unnest(CAST(:countries AS text[]), CAST(:zones AS text[])) WITH ORDINALITY AS x(country, timezone, n)
"""
_CONSENTS = """
    INSERT INTO consents (customer_id, channel, granted, source, recorded_at)
    SELECT id, channel, true, 'test', now() FROM customers, unnest(CAST(:channels AS text[])) AS channel
    WHERE product_line_id = :line
"""
_THEME = """
    WITH theme AS (
        INSERT INTO themes (key, product_line_id, title, author_id, state, draft, draft_source, starts_at, ends_at,
                            timezone, created_at, state_changed_at)
        VALUES (:key, :line, :key, :person, 'live', '{}', '', :now, :ends, 'UTC', :now, :now) RETURNING id
    ), revision AS (
        INSERT INTO revisions (theme_id, number, hash, theme_hash, offer_hashes, content, created_by_id, created_at)
        SELECT id, 1, 'h', 'h', '{}', CAST(:content AS jsonb), :person, :now FROM theme RETURNING id, theme_id
    )
    INSERT INTO distributions (theme_id, revision_id, channel, purpose, account_id, state, segment_as_of, expires_at)
    SELECT theme_id, id, :channel, :purpose, :account, 'sending', :now, :ends FROM revision RETURNING id, theme_id
"""
_PLAN = """
    INSERT INTO deliveries (id, distribution_id, theme_id, channel, purpose, customer_id, address, state, changed_at)
    SELECT gen_random_uuid(), :distribution, :theme, :channel, :purpose, id, external_id || '@' || :channel || :line,
           'planned', :now
    FROM customers WHERE product_line_id = :line ORDER BY id
"""


@dataclass(frozen=True, kw_only=True)
class Line:
    database: Database
    key: str
    id: int
    account_ids: dict[Channel, int]
    person_id: int

    def limit(self, rules: str, *, now: datetime = NOON) -> None:
        """Apply what a limits file says of this line, below its `product_line`."""
        written = f"limits:\n- product_line: {self.key}\n" + "\n".join(f"  {line}" for line in rules.splitlines())
        (read,) = read_limits(written, where="test")
        with self.database.begin() as session:
            apply_limits(session, limits=read, by="test", now=now)

    def theme(
        self,
        channel: Channel = Channel.SMS,
        *,
        purpose: Purpose = Purpose.THEME,
        expires: datetime | None = NOON + timedelta(days=60),
        content: str = "{}",
    ) -> "Theme":
        """A live theme with one delivery to every customer."""
        values = {"line": self.id, "channel": channel, "purpose": purpose, "now": NOON}
        with self.database.begin() as session:
            made = session.execute(
                text(_THEME),
                {
                    **values,
                    "key": f"theme-{next(_numbers)}",
                    "person": self.person_id,
                    "account": self.account_ids[channel],
                    "ends": NOON + timedelta(days=60),
                    "content": content,
                },
            ).one()
            session.execute(
                text("UPDATE distributions SET expires_at = :expires WHERE id = :id"),
                {"expires": expires, "id": made.id},
            )
            session.execute(
                text(
                    "UPDATE themes t SET revision_id = d.revision_id FROM distributions d"
                    " WHERE d.id = :id AND t.id = d.theme_id"
                ),
                {"id": made.id},
            )
            session.execute(text(_PLAN), {**values, "distribution": made.id, "theme": made.theme_id})
            session.execute(text("INSERT INTO walks (distribution_id) VALUES (:id)"), {"id": made.id})
        return Theme(line=self, distribution_id=made.id, theme_id=made.theme_id, channel=channel)

    def run(self, statement: str, **values: Any) -> list[Any]:
        with self.database.begin() as session:
            done = session.execute(text(statement), {"line": self.id, **values})
            return [tuple(row) for row in done] if isinstance(done, CursorResult) and done.returns_rows else []


@dataclass(frozen=True, kw_only=True)
class Theme:
    line: Line
    distribution_id: int
    theme_id: int
    channel: Channel

    def seqs(self, state: str = "planned") -> list[int]:
        found = self.run(
            "SELECT seq FROM deliveries WHERE distribution_id = :id AND state = :state ORDER BY seq", state=state
        )
        return [row[0] for row in found]

    def claim(
        self, seqs: Sequence[int] | None = None, *, now: datetime = NOON, sender: UUID | None = None
    ) -> Restricted:
        """As a sender does it: rows become `sending` and are restricted in one transaction."""
        wanted = self.seqs() if seqs is None else list(seqs)
        owner = sender or uuid4()
        with self.line.database.begin() as session:
            self._lock(session, wanted)
            session.execute(
                text(
                    "UPDATE deliveries SET state = 'sending', lease_owner = :owner, changed_at = :now"
                    " WHERE distribution_id = :id AND seq = ANY(:seqs)"
                ),
                {"owner": owner, "now": now, "id": self.distribution_id, "seqs": wanted},
            )
            return limits.restrict(session, distribution_id=self.distribution_id, sender=owner, seqs=wanted, now=now)

    def settle(self, state: str, seqs: Sequence[int] | None = None, *, give_back: bool = False) -> None:
        """What becomes of rows that are being sent; `give_back` as their sender does when they will not leave."""
        wanted = self.seqs("sending") if seqs is None else list(seqs)
        with self.line.database.begin() as session:
            self._lock(session, wanted)
            session.execute(
                text(
                    "UPDATE deliveries SET state = :state, lease_owner = NULL,"
                    " error_class = CASE WHEN :state = 'failed' THEN 'unrecognised' END"
                    " WHERE distribution_id = :id AND seq = ANY(:seqs)"
                ),
                {"state": state, "id": self.distribution_id, "seqs": wanted},
            )
            if give_back:
                limits.give_back(session, seqs=wanted)

    def _lock(self, session: Session, seqs: Sequence[int]) -> None:
        """Senders pass over what others hold and never meet; here they take rows from each other, so in one order."""
        session.execute(
            text("SELECT FROM deliveries WHERE distribution_id = :id AND seq = ANY(:seqs) ORDER BY seq FOR UPDATE"),
            {"id": self.distribution_id, "seqs": list(seqs)},
        )

    def states(self) -> dict[str, int]:
        return dict(self.run("SELECT state, count(*) FROM deliveries WHERE distribution_id = :id GROUP BY state"))

    def reserved(self) -> int:
        return int(self.run("SELECT count(*) FROM cap_reservations WHERE distribution_id = :id")[0][0])

    def run(self, statement: str, **values: Any) -> list[Any]:
        return self.line.run(statement, id=self.distribution_id, **values)


def make_line(database: Database, places: Sequence[tuple[str, str]], *, settings: str = "{}") -> Line:
    """A product line with a customer in each of these places (country, zone) and an account a channel."""
    key = f"line-{next(_numbers)}-{uuid4().hex[:6]}"
    with database.begin() as session:
        line = session.scalar(
            text("INSERT INTO product_lines (key, name, currency) VALUES (:k, :k, 'GBP') RETURNING id"), {"k": key}
        )
        person = session.scalar(
            text("INSERT INTO people (login, name, created_at) VALUES (:k, :k, now()) RETURNING id"), {"k": key}
        )
        accounts = {
            channel: session.scalar(
                text(
                    "INSERT INTO provider_accounts (key, product_line_id, channel, provider, settings)"
                    " VALUES (:k, :line, :channel, 'recording', CAST(:settings AS jsonb)) RETURNING id"
                ),
                {"k": f"{key}-{channel}", "line": line, "channel": channel, "settings": settings},
            )
            for channel in Channel
        }
        session.execute(
            text(_CUSTOMERS),
            {"line": line, "countries": [place[0] for place in places], "zones": [place[1] for place in places]},
        )
        session.execute(text(_CONSENTS), {"line": line, "channels": list(Channel)})
    return Line(database=database, key=key, id=line or 0, account_ids=accounts, person_id=person or 0)


@contextmanager
def claiming(theme: Theme) -> Iterator[tuple[Session, Callable[[], Restricted]]]:
    """A claim whose transaction stays open until the block is left."""
    sender, seqs = uuid4(), theme.seqs()
    with theme.line.database.begin() as session:
        session.execute(
            text("UPDATE deliveries SET state = 'sending', lease_owner = :owner WHERE distribution_id = :id"),
            {"owner": sender, "id": theme.distribution_id},
        )
        yield (
            session,
            lambda: limits.restrict(session, distribution_id=theme.distribution_id, sender=sender, seqs=seqs, now=NOON),
        )


def waits(line: Line, future: Future[Restricted]) -> bool:
    """Until the other claim waits for this one (true), or is through (false)."""
    while not future.done():
        waiting = line.run(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            " AND wait_event IN ('transactionid', 'tuple', 'spectoken')"
        )
        if waiting:
            return True
    return False
