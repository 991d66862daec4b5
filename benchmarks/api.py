"""The HTTP API: one process that serves, over a database of its own, and clients that keep their connections.

Claims are of one coupon that everybody wants. They are measured against the plain way over the same HTTP service, by
the same clients: each claim a transaction of its own, with a guarded UPDATE of its offer. That keeps the promises which
this coupon needs, its total, one for each person, an answer for each idempotency key, in the fewest statements; whether
the offer is open and whatever else may stand against a claim it does not ask.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from statistics import median
from urllib.parse import urlsplit

import uvloop
from rich.console import Console
from sqlalchemy import text
from sqlalchemy.orm import Session

from approval.service.policies import apply_policy
from benchmarks.audience import database
from channels.states import Channel
from models.database import Database
from models.delivery import ProviderAccount
from models.person import Person
from models.product import Product
from models.product_line import ProductLine
from models.queries import themes
from offers.service.api_keys import create_key
from offers.service.live import open_offers
from themes.lifecycle import ThemeState
from themes.revision import revision_of
from themes.service.revising import store_revision
from themes.service.saving import save_draft
from themes.theme import RedeemIn

CLAIMS, PLAIN_CLAIMS, QUOTES, CLIENTS, ROUNDS = 15_000, 3_000, 4_000, 32, 3
TOO_LATE = 500
LINE, THEME = "benchmark", "everybody-wants-it"
LINES, COUPONS = 5, 8  # of a cart; those that each customer holds, beside two activities

_POLICY = """
policy: benchmark
fallback: seller
theme: [{level: all, approvers: [seller], quorum: any, due: 24h}]
coupon: none
activity: none
takedown: [seller]
"""
_THEME = """
theme: {theme}
title: Everybody wants it
product_line: {line}
author: seller
currency: GBP
timezone: UTC
window: {{from: "{begins:%Y-%m-%dT%H:%M}", to: "{ends:%Y-%m-%dT%H:%M}"}}
goals: {{claims: 1}}
budget: "1000000.00"
coupons:
  - {{id: hot, preset: direct_reduction, name: Hot, amount: "1.00", total: {total}, per_customer: 1}}
{coupons}
activities:
  - {{id: tenth, preset: discount, name: A tenth off, percent: 10, scope: {{category: [c0, c1, c2]}}}}
  - {{id: three, preset: cheapest_free, name: Three for two, group: 3, scope: {{category: [c3, c4]}}}}
exclusions:
  - [held-0, held-1]
  - [held-2, tenth]
  - [held-4, held-5]
audience: {{include: [core]}}
channels: {{sms: {{account: benchmark, text: "{{{{ customer.name }}}}"}}}}
policy: benchmark
"""
_HELD = '  - {{id: held-{n}, preset: full_reduction, name: Held {n}, at: "{at}.00", amount: "{off}.00"{scope}}}'
_CUSTOMERS = text("""
    INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)
    SELECT :line, 'c' || n, 'Customer ' || n, 'GB', 'Europe/London', 'en', true FROM generate_series(1, :many) n
""")
_COUPONS = text("""
    INSERT INTO held_coupons (offer_id, customer_id, state, source, claimed_at, valid_from, valid_to, changed_at)
    SELECT o.id, c.id, 'issued', 'claim', now(), o.valid_from, o.valid_to, now()
    FROM live_offers o CROSS JOIN customers c WHERE o.offer LIKE 'held-%' AND c.product_line_id = o.product_line_id
""")
#: Path, idempotency key, body.
Request = tuple[str, str, bytes]


@dataclass(frozen=True, kw_only=True)
class Measured:
    quotes: float  # a second
    claims: float
    plain: float
    ratio: float


@dataclass(frozen=True, kw_only=True)
class Shop:
    url: str  # of the database
    customers: int
    secret: str


def measure(*, claims: int = CLAIMS, plain: int = PLAIN_CLAIMS, quotes: int = QUOTES) -> Measured:
    asked, plainly = claims // ROUNDS, plain // ROUNDS
    total = (asked + plainly) * ROUNDS
    numbers, pairs = count(1), list[tuple[float, float]]()
    with database() as opened:
        shop = _shop(opened, customers=total + TOO_LATE, total=total)
        with _served(shop) as address, _served(shop, "plain") as plain_address:
            _run(address, shop, [_quote(number) for number in range(200)], {200})
            quoted = _run(address, shop, [_quote(number) for number in range(quotes)], {200})
            for _ in range(ROUNDS):
                collected = _run(address, shop, _claims(numbers, asked), {201})
                pairs.append((collected, _run(plain_address, shop, _claims(numbers, plainly), {201})))
            _run(address, shop, _claims(numbers, TOO_LATE), {409})
        _check(_given(opened), {"claimed": total, "held": total})
    return Measured(
        quotes=quoted,
        claims=median(one for one, _ in pairs),
        plain=median(one for _, one in pairs),
        ratio=median(one / other for one, other in pairs),
    )


def _check(found: object, expected: object) -> None:
    if found != expected:
        raise AssertionError(f"{found} where {expected} were expected: what is measured does not work")


def _shop(opened: Database, *, customers: int, total: int) -> Shop:
    now = datetime.now(UTC)
    with opened.begin() as session:
        line = ProductLine(key=LINE, name=LINE, currency="GBP")
        session.add_all([line, Person(login="seller", name="Seller", created_at=now)])
        session.flush()
        session.add_all(
            Product(product_line_id=line.id, sku=f"s{n}", name=f"s{n}", category=f"c{n % 5}", unit_price_minor=1_000)
            for n in range(100)
        )
        session.add(
            ProviderAccount(
                key=LINE, product_line_id=line.id, channel=Channel.SMS, provider="aliyun", settings={}, refused_in_row=0
            )
        )
        session.execute(_CUSTOMERS, {"line": line.id, "many": customers})
        apply_policy(session, text=_POLICY, by="benchmark", now=now)
        _launch(session, total=total, now=now)
        session.execute(_COUPONS)
        secret = create_key(
            session, product_line=LINE, name="shop", channel=RedeemIn.WEB, per_second=100_000, by="benchmark", now=now
        )
    with opened.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
    url = opened.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return Shop(url=url, customers=customers, secret=secret)


def _launch(session: Session, *, total: int, now: datetime) -> None:
    """A theme with one coupon that everybody wants, and ten offers that a cart may meet."""
    coupons = [
        _HELD.format(
            n=n, at=20 + 5 * n, off=2 + n, scope=f", scope: {{category: [c{n % 5}, c{(n + 2) % 5}]}}" if n % 2 else ""
        )
        for n in range(COUPONS)
    ]
    written = _THEME.format(
        theme=THEME,
        line=LINE,
        total=total,
        coupons="\n".join(coupons),
        begins=now - timedelta(days=1),
        ends=now + timedelta(days=10),
    )
    saved = save_draft(session, text=written, templates={}, login="seller", now=now)
    theme = themes.theme_by_id(session, saved.theme_id)
    revision = store_revision(session, theme, revision_of(theme.draft), theme.author_id, now)
    theme.revision_id, theme.state = revision.id, ThemeState.LIVE
    session.flush()
    open_offers(session, theme, now=now)


@contextmanager
def _served(shop: Shop, *words: str) -> Iterator[str]:
    """The service in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.api_server", *words]
    environment = {**os.environ, "THEMELINE_DATABASE_URL": shop.url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _run(address: str, shop: Shop, requests: Sequence[Request], expected: set[int]) -> float:
    """All of them, each by the next client that is free. How many a second."""
    where, statuses = urlsplit(address), set[int]()
    began = time.perf_counter()
    uvloop.run(_ask(where.hostname or "", where.port or 0, iter([_written(shop, one) for one in requests]), statuses))
    _check(statuses, expected)
    return len(requests) / (time.perf_counter() - began)


async def _ask(host: str, port: int, waiting: Iterator[bytes], statuses: set[int]) -> None:
    await asyncio.gather(*(_client(host, port, waiting, statuses) for _ in range(CLIENTS)))


async def _client(host: str, port: int, waiting: Iterator[bytes], statuses: set[int]) -> None:
    """As little as a client can do: the clients share the machine with what they measure."""
    reader, writer = await asyncio.open_connection(host, port)
    for request in waiting:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        statuses.add(int(head[9:12]))
    writer.close()


def _written(shop: Shop, request: Request) -> bytes:
    path, key, body = request
    head = [
        f"POST /v1/{path} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {shop.secret}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Idempotency-Key: {key}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def _claims(numbers: Iterator[int], many: int) -> list[Request]:
    """Each of another customer."""
    return [
        ("claims", f"claim-{number}", json.dumps({"customer": f"c{number}", "offer": f"{THEME}/hot"}).encode())
        for number in islice(numbers, many)
    ]


def _quote(number: int) -> Request:
    lines = [
        {
            "sku": f"s{(number * 7 + at * 11) % 100}",
            "qty": 1 + (number + at) % 3,
            "price": 900 + 70 * ((number + at) % 9),
        }
        for at in range(LINES)
    ]
    asked = {"customer": f"c{number % 500 + 1}", "cart": {"lines": lines, "freight": 500}}
    return "quotes", "-", json.dumps(asked).encode()


def _given(opened: Database) -> dict[str, int]:
    with opened.begin() as session:
        row = session.execute(
            text("""
                SELECT claimed, (SELECT count(*) FROM held_coupons h WHERE h.offer_id = o.id) AS held
                FROM live_offers o WHERE offer = 'hot'
            """)
        ).one()
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's own name for it


if __name__ == "__main__":
    Console().print(str(measure()))
