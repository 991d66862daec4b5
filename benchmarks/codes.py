"""`python -m benchmarks.codes`: how fast codes are made and stored, each for one person."""

import time
from datetime import UTC, datetime

from rich.console import Console
from sqlalchemy import text

from benchmarks.audience import database, live_theme
from channels.states import Channel
from models.database import Database
from offers.service import codes

CODES, LEAST = 1_000_000, 300_000
KEY, COUPON = "benchmark-codes", "with-a-code"
_DRAFT = """
    UPDATE themes SET draft = jsonb_build_object('offers', jsonb_build_object('with-a-code', jsonb_build_object(
        'kind', 'coupon', 'preset', 'direct_reduction', 'preset_version', 1
    ))) WHERE key = :key
"""


def measure(opened: Database, *, count: int = CODES) -> float:
    """Codes a second: drawn, copied in with their indexes, and committed."""
    live_theme(opened, channel=Channel.SMS, customers=0, key=KEY)
    with opened.begin() as session:
        session.execute(text(_DRAFT), {"key": KEY})
    began = time.perf_counter()
    with opened.begin() as session:
        codes.generate(session, theme_key=KEY, offer=COUPON, count=count, by="benchmark", now=datetime.now(UTC))
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    with database() as empty:
        Console().print(f"{measure(empty):,.0f} codes/s")
