"""A look ahead at the example theme, over four channels and an audience with orders, limits and gaps of every kind."""

import time
from datetime import UTC, datetime
from pathlib import Path

from audience.segments import every_name
from benchmarks.audience import live_theme
from benchmarks.planning import CHANNEL, MIXED, run, tidy
from channels.states import Channel
from models.database import Database
from models.queries import themes
from themes.document import Vocabulary, parse_theme
from themes.preflight import Outlook
from themes.recipient import VARIABLES
from themes.service.preflight import look_ahead
from themes.theme import Theme

_EXAMPLE = Path(__file__).parent.parent / "examples" / "womens-day"
_KEY = f"benchmark-{CHANNEL}"
_ACCOUNTS = {
    Channel.SMS: "sms-main",
    Channel.EMAIL: "mail-main",
    Channel.PUSH: "push-main",
    Channel.MINI_PROGRAM: "wechat-main",
}
# The other channels have the same gaps; half of the audience lives elsewhere, some have no name, all have ordered.
_FURTHER = (
    """
    INSERT INTO addresses (customer_id, channel, address, original, valid)
    SELECT customer_id, c, address, original, valid FROM addresses, unnest('{email,push,mini_program}'::text[]) c
    """,
    """
    INSERT INTO consents (customer_id, channel, granted, source, recorded_at)
    SELECT customer_id, c, granted, source, recorded_at FROM consents, unnest('{email,push,mini_program}'::text[]) c
    """,
    """
    INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)
    SELECT product_line_id, c, address, reason, source, created_at
    FROM suppressions, unnest('{email,push,mini_program}'::text[]) c
    """,
    """
    UPDATE customers SET country = 'US', timezone = 'America/New_York', name = CASE WHEN id % 100 <> 50 THEN name END
    WHERE id % 2 = 0
    """,
    """
    INSERT INTO orders (product_line_id, customer_id, number, placed_at, kept, kept_total_minor)
    SELECT product_line_id, id, id || '-' || n, now() - interval '60 days', true, 1000
    FROM customers, generate_series(0, 1) n WHERE n = 0 OR id % 2 = 0
    """,
)


class CountsDiffer(Exception):
    """A look ahead did not count the audience that it was shown."""

    def __init__(self, *, customers: int, found: Outlook) -> None:
        self.customers, self.found = customers, found
        super().__init__(f"about 87 of 100 of {customers} were to be reached on each channel, not {found.channels}")


def measure(database: Database, *, customers: int) -> float:
    """Seconds for one look."""
    live_theme(database, channel=CHANNEL, customers=customers)
    run(database, *MIXED, *_FURTHER)
    tidy(database)
    began = time.perf_counter()
    outlook = _look(database)
    seconds = time.perf_counter() - began
    if any(abs(one.recipients - customers * 87 // 100) > 100 for one in outlook.channels):
        raise CountsDiffer(customers=customers, found=outlook)
    return seconds


def _look(database: Database) -> Outlook:
    value, now = _example(), datetime.now(UTC)
    with database.begin() as session:
        theme = themes.theme_by_key(session, _KEY)
        if theme is None:
            raise LookupError(f"there is no theme {_KEY}")
        return look_ahead(session, theme=theme, value=value, public_url="https://go.example.com", now=now)


def _example() -> Theme:
    known = Vocabulary(
        product_lines=frozenset({"giftware-eu"}),
        logins=frozenset({"ann"}),
        segments=frozenset(every_name()),
        policies=frozenset({"standard"}),
        accounts={channel: frozenset({account}) for channel, account in _ACCOUNTS.items()},
        categories=frozenset({"tea-light-holders"}),
        recipient_variables=VARIABLES,
    )
    templates = {path.name: path.read_text(encoding="utf-8") for path in _EXAMPLE.glob("*.j2")}
    return parse_theme((_EXAMPLE / "theme.yaml").read_text(encoding="utf-8"), templates=templates, known=known)
