"""`python -m benchmarks.claims`: claims of one hot coupon, settled together, against a transaction for each of them.

The other side does no more than has to be done: one guarded UPDATE and one INSERT. It keeps no answer for the key of
the request, counts nothing for the person, and knows the customer already.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from rich.console import Console
from sqlalchemy import text

from benchmarks.audience import database, live_theme
from channels.states import Channel
from models.database import Database
from offers.service.claims import Claim, settle
from offers.service.terms import TermsBook
from themes.theme import RedeemIn

CLAIMS, BATCH, AT_ONCE, CLIENTS = 20_000, 500, 2, 32
LEAST_RATIO = 5
KEY, COUPON = "benchmark-claims", "hot"
_OFFER = """
    INSERT INTO live_offers (theme_id, revision_id, product_line_id, offer, kind, claim_way, newcomers, timezone,
                             claim_from, claim_to, valid_days, per_customer, opened_at)
    SELECT id, revision_id, product_line_id, :coupon, 'coupon', 'asking', false, timezone, starts_at, ends_at,
           14, 1, now()
    FROM themes WHERE key = :key RETURNING id, product_line_id
"""
_COUNT = text("UPDATE live_offers SET claimed = claimed + 1 WHERE id = :offer AND claimed + 1 <= total")
_HOLD = text("""
    INSERT INTO held_coupons (offer_id, customer_id, state, source, claimed_at, channel, valid_from, valid_to,
                              changed_at)
    VALUES (:offer, :customer, 'issued', 'claim', now(), 'app', now(), now() + interval '14 days', now())
""")
_GIVEN = "SELECT claimed, (SELECT count(*) FROM held_coupons) FROM live_offers"


T = TypeVar("T")


class Overrun(Exception):
    """Not so many were given as there are."""

    def __init__(self, *, total: int, counted: int, held: int) -> None:
        self.total, self.counted, self.held = total, counted, held
        super().__init__(f"of {total} coupons {counted} were counted, and {held} are held")


@dataclass(frozen=True, kw_only=True)
class Measured:
    together: float  # a second
    each: float

    @property
    def ratio(self) -> float:
        return self.together / self.each


def measure(opened: Database, *, claims: int = CLAIMS) -> Measured:
    """Of those who ask nine in ten get the coupon; a fifth of the claims are made each by itself."""
    live_theme(opened, channel=Channel.SMS, customers=claims, key=KEY)
    with opened.begin() as session:
        offer_id, line_id = session.execute(text(_OFFER), {"key": KEY, "coupon": COUPON}).one()
        customers = list(session.scalars(text("SELECT id FROM customers ORDER BY id LIMIT :few"), {"few": claims // 5}))
    asked = [_claim(number) for number in range(1, claims + 1)]
    batches = [asked[at : at + BATCH] for at in range(0, claims, BATCH)]
    clients = Database(url=opened.engine.url.render_as_string(hide_password=False), pool_size=CLIENTS)
    with _just_so_many(opened, len(customers) * 9 // 10):
        each = _measured(_one_each(clients, offer_id), customers, threads=CLIENTS)
    clients.dispose()
    with _just_so_many(opened, claims * 9 // 10):
        together = _measured(_together(opened, line_id), batches, threads=AT_ONCE) * claims / len(batches)
    return Measured(together=together, each=each)


@contextmanager
def _just_so_many(opened: Database, total: int) -> Iterator[None]:
    """There are none in anybody's hands, and afterwards all of them."""
    with opened.begin() as session:
        session.execute(text("DELETE FROM held_coupons"))
        session.execute(text("UPDATE live_offers SET claimed = 0, total = :total"), {"total": total})
    with opened.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) held_coupons, live_offers, customers"))
    yield
    with opened.begin() as session:
        counted, held = session.execute(text(_GIVEN)).one()
    if not counted == held == total:
        raise Overrun(total=total, counted=counted, held=held)


def _measured(act: Callable[[T], None], given: Sequence[T], *, threads: int) -> float:
    """How many a second."""
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        for _ in pool.map(act, given):
            pass
        return len(given) / (time.perf_counter() - began)


def _one_each(opened: Database, offer_id: int) -> Callable[[int], None]:
    def claim(customer_id: int) -> None:
        values = {"offer": offer_id, "customer": customer_id}
        with opened.engine.begin() as connection:
            if connection.execute(_COUNT, values).rowcount:
                connection.execute(_HOLD, values)

    return claim


def _together(opened: Database, line_id: int) -> Callable[[Sequence[Claim]], None]:
    book = TermsBook()

    def claim(batch: Sequence[Claim]) -> None:
        with opened.begin() as session:
            settle(session, batch, product_line_id=line_id, now=datetime.now(UTC), book=book)

    return claim


def _claim(number: int) -> Claim:
    return Claim(
        key=f"key-{number}",
        request_hash=f"hash-{number}",
        customer=f"c{number}",
        offer=f"{KEY}/{COUPON}",
        channel=RedeemIn.APP,
    )


if __name__ == "__main__":
    with database() as empty:
        found = measure(empty)
    Console().print(f"{found.together:,.0f}/s together, {found.each:,.0f}/s each by itself: {found.ratio:.1f} times")
