"""The embedded Prefect server on SQLite: `python -m flows.prefect_server --port N`. It listens on loopback only.

`prefect server start` with one difference. On SQLite a transaction that reads and then writes fails with "database is
locked" when another writer comes between, however long it would wait. Prefect's clients try again; a person who
presses Resume does not, and the server then answers 2xx with the answer dropped. So the requests behind the buttons
that people press take the write lock at their beginning, as the server itself does when it sets a state.
"""

import argparse
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction
from starlette.types import ASGIApp, Receive, Scope, Send

PRESSED_BY_PEOPLE = re.compile(r"/flow_runs/[^/]+/resume/?$|/deployments/[^/]+/create_flow_run/?$")

_takes_write_lock: ContextVar[bool] = ContextVar("takes_write_lock", default=False)
_begin_transaction: Any = AioSqliteConfiguration.begin_transaction


@asynccontextmanager
async def begin_transaction(
    self: AioSqliteConfiguration,
    session: AsyncSession,
    with_for_update: bool = False,  # noqa: FBT001, FBT002 - Prefect's own signature
) -> AsyncIterator[AsyncSessionTransaction]:
    async with _begin_transaction(self, session, with_for_update or _takes_write_lock.get()) as transaction:
        yield transaction


def lock_at_the_beginning(app: ASGIApp) -> ASGIApp:
    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not PRESSED_BY_PEOPLE.search(scope["path"]):
            await app(scope, receive, send)
            return
        token = _takes_write_lock.set(True)
        try:
            await app(scope, receive, send)
        finally:
            _takes_write_lock.reset(token)

    return call


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.prefect_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    AioSqliteConfiguration.begin_transaction = begin_transaction  # type: ignore[method-assign]
    app = lock_at_the_beginning(create_app(final=True))
    uvicorn.run(app, host="127.0.0.1", port=port, timeout_keep_alive=5, log_level="warning")


if __name__ == "__main__":
    main()
