"""Joins receipts to their deliveries, as soon as they are kept and whenever one that waits is due."""

import asyncio
import contextlib
import logging
from datetime import datetime

from fastapi import HTTPException

from channels.service.receipts import BATCH, join_waiting
from console.http.services import Services
from models.queries import receipts

log = logging.getLogger("themeline.receipts")

_SHORTEST, _LONGEST = 0.2, 15.0  # seconds between two looks when nothing arrives
_AFTER_TROUBLE = 5.0


async def keep_joining(services: Services) -> None:
    """Until it is cancelled. Any number of processes may do so at once."""
    while True:
        wait = await _join_all(services)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(services.arrival(), wait)


async def _join_all(services: Services) -> float:
    """Join what is due; returns the seconds after which something may be due again."""
    try:
        while await services.in_thread(_join, services) == BATCH:
            pass
        due = await services.in_thread(_next_look, services)
    except HTTPException as trouble:
        log.warning("receipts wait to be joined: the database answers %s", trouble.status_code)
        return _AFTER_TROUBLE
    except Exception as unforeseen:  # noqa: BLE001 - whatever one batch brings up, those after it are still joined
        log.error("receipts wait to be joined: %s", type(unforeseen).__name__)  # noqa: TRY400 - its text may hold addresses
        return _AFTER_TROUBLE
    if due is None:
        return _LONGEST
    return min(max((due - services.clock()).total_seconds(), _SHORTEST), _LONGEST)


def _join(services: Services) -> int:
    with services.database.begin() as session:
        return join_waiting(session, now=services.clock())


def _next_look(services: Services) -> datetime | None:
    with services.database.begin() as session:
        return receipts.next_look(session)
