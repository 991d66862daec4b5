"""A live theme whose deliveries stand as a test wants them: put there by SQL, past all senders."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import text

from channels.states import Channel, DeliveryState, ErrorClass
from models.database import Database

_numbers = count(1)
#: When whatever failed has failed.
FAILED_AT = datetime.now(UTC) - timedelta(hours=1)

_THEME = """
    WITH line AS (INSERT INTO product_lines (key, name, currency) VALUES (:key, :key, 'GBP') RETURNING id),
    author AS (INSERT INTO people (login, name, created_at) VALUES (:key, :key, now()) RETURNING id)
    INSERT INTO themes (key, product_line_id, title, author_id, state, draft, draft_source, starts_at, ends_at,
                        timezone, created_at, state_changed_at)
    SELECT :key, line.id, 'A theme', author.id, 'live', '{}', '', now() - interval '1 day', now() + interval '1 day',
           'Europe/London', now(), now()
    FROM line, author RETURNING id
"""
_REVISION = """
    WITH made AS (
        INSERT INTO revisions (theme_id, number, hash, theme_hash, offer_hashes, content, created_by_id, created_at)
        SELECT id, 1, key, key, '{}', '{}', author_id, now() FROM themes WHERE id = :theme_id RETURNING id, theme_id
    )
    UPDATE themes SET revision_id = made.id FROM made WHERE themes.id = made.theme_id
"""
_ACCOUNT = """
    INSERT INTO provider_accounts (key, product_line_id, channel, provider, settings)
    SELECT t.key || '-' || :channel, t.product_line_id, :channel, :provider, '{}' FROM themes t WHERE t.id = :theme_id
    RETURNING id
"""
_DISTRIBUTION = """
    INSERT INTO distributions (theme_id, revision_id, channel, purpose, account_id, state, segment_as_of, planned_at,
                               expires_at)
    SELECT id, revision_id, :channel, 'theme', :account_id, 'sending', now(), now(), ends_at
    FROM themes WHERE id = :theme_id RETURNING id
"""
_CUSTOMERS = """
    WITH made AS (
        INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)
        SELECT t.product_line_id, :prefix || n, 'Customer ' || n, 'GB', 'Europe/London', 'en', true
        FROM themes t, generate_series(1, :count) n WHERE t.id = :theme_id
        RETURNING id
    )
    INSERT INTO consents (customer_id, channel, granted, source, recorded_at)
    SELECT id, :channel, true, 'test', now() FROM made RETURNING customer_id
"""
_DELIVERIES = """
    INSERT INTO deliveries (id, distribution_id, theme_id, channel, purpose, customer_id, address, state, due_at, tries,
                            first_tried_at, error_class, error_code, account_id, call_began_at, sent_at, changed_at)
    SELECT delivery_id(:key || c), :distribution_id, :theme_id, :channel, 'theme', c, :key || '-' || c, :state,
           CASE WHEN :state IN ('retrying', 'held') THEN CAST(:at AS timestamptz) END,
           CASE WHEN :state = 'planned' THEN 0 ELSE 1 END,
           CASE WHEN :state <> 'planned' THEN CAST(:at AS timestamptz) END,
           :error_class, :error_code, :account_id, CASE WHEN :state = 'unknown' THEN CAST(:at AS timestamptz) END,
           CASE WHEN :state IN ('sent', 'delivered') THEN CAST(:at AS timestamptz) END, :at
    FROM unnest(CAST(:customers AS int[])) c
"""
_ATTEMPTS = """
    INSERT INTO attempts (delivery_seq, number, account_id, began_at, latency_ms, error_class, code, detail, request_id)
    SELECT dl.seq, 1, :account_id, :at, 12, :error_class, COALESCE(:error_code, ''),
           replace(:words, '{address}', dl.address), 'r-' || dl.seq
    FROM deliveries dl WHERE dl.distribution_id = :distribution_id AND dl.customer_id = ANY(CAST(:customers AS int[]))
"""


@dataclass(frozen=True, kw_only=True)
class FailureWorld:
    database: Database
    theme_key: str
    theme_id: int
    distributions: Mapping[Channel, int]
    accounts: Mapping[Channel, int]

    def add(
        self,
        count: int,
        state: DeliveryState,
        error_class: ErrorClass | None = None,
        error_code: str | None = None,
        *,
        channel: Channel = Channel.SMS,
        words: str = "",
        at: datetime = FAILED_AT,
    ) -> None:
        """So many deliveries, of as many customers of their own, as they stand since `at`."""
        values = {
            "theme_id": self.theme_id,
            "key": self.theme_key,
            "channel": channel,
            "distribution_id": self.distributions[channel],
            "account_id": self.accounts[channel],
            "state": state,
            "error_class": error_class,
            "error_code": error_code,
            "words": words,
            "at": at,
            "count": count,
            "prefix": f"c{next(_numbers)}-",
        }
        with self.database.begin() as session:
            customers = list(session.scalars(text(_CUSTOMERS), values))
            session.execute(text(_DELIVERIES), {**values, "customers": customers})
            if state is not DeliveryState.PLANNED:
                session.execute(text(_ATTEMPTS), {**values, "customers": customers})

    def states(self, channel: Channel | None = None) -> dict[str, int]:
        of = "" if channel is None else " AND channel = :channel"
        return dict(
            self.rows(
                f"SELECT state, count(*) FROM deliveries WHERE theme_id = :theme_id{of} GROUP BY state",  # noqa: S608
                channel=channel,
            )
        )

    def tallied(self) -> dict[str, int]:
        return dict(
            self.rows(
                "SELECT t.state, sum(t.count)::int FROM tallies t JOIN distributions d ON d.id = t.distribution_id"
                " WHERE d.theme_id = :theme_id GROUP BY t.state HAVING sum(t.count) <> 0"
            )
        )

    def ids(self, state: DeliveryState) -> list[UUID]:
        rows = self.rows("SELECT id FROM deliveries WHERE theme_id = :theme_id AND state = :state", state=state)
        return [row[0] for row in rows]

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.database.begin() as session:
            return [tuple(row) for row in session.execute(text(statement), {"theme_id": self.theme_id, **values})]

    def change(self, statement: str, **values: Any) -> None:
        with self.database.begin() as session:
            session.execute(text(statement), {"theme_id": self.theme_id, **values})


def failure_world(database: Database, *channels: Channel, provider: str = "recording") -> FailureWorld:
    """A live theme that sends on these channels, on SMS if none is named; nothing is planned yet."""
    key = f"failing-{next(_numbers)}"
    distributions, accounts = {}, {}
    with database.begin() as session:
        theme_id = session.scalars(text(_THEME), {"key": key}).one()
        session.execute(text(_REVISION), {"theme_id": theme_id})
        for channel in channels or (Channel.SMS,):
            values = {"theme_id": theme_id, "channel": channel, "provider": provider}
            accounts[channel] = session.scalars(text(_ACCOUNT), values).one()
            values["account_id"] = accounts[channel]
            distributions[channel] = session.scalars(text(_DISTRIBUTION), values).one()
            session.execute(text("INSERT INTO walks (distribution_id) VALUES (:id)"), {"id": distributions[channel]})
    return FailureWorld(
        database=database, theme_key=key, theme_id=theme_id, distributions=distributions, accounts=accounts
    )
