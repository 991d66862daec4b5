"""The embedded Prefect server on SQLite: `python -m flows.prefect_server --port N`. It listens on loopback only.

`prefect server start` with two differences.

On SQLite a transaction that reads and then writes fails with "database is
locked" when another writer comes between, however long it would wait. Prefect's clients try again; a person who
presses Resume does not, and the server then answers 2xx with the answer dropped. So the requests behind the buttons
that people press, and the heartbeats of workers, take the write lock at their beginning, as the server itself does when
it sets a state.

And cyclic garbage is collected on a thread of its own. Collected in the event loop, an old cursor waits for the mutex
of its connection, which a statement holds that waits up to 60 s for the write lock, whose holder waits for the event
loop: the whole server stands still for a minute.
"""

import argparse
import gc
import itertools
import re
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction
from starlette.types import ASGIApp, Receive, Scope, Send

READ_THEN_WRITE = re.compile(
    r"/flow_runs/[^/]+/resume/?$|/deployments/[^/]+/create_flow_run/?$|/work_pools/[^/]+/workers/heartbeat/?$"
)

#: How often the youngest garbage is collected.
COLLECT_SECONDS = 0.2

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
        if scope["type"] != "http" or not READ_THEN_WRITE.search(scope["path"]):
            await app(scope, receive, send)
            return
        token = _takes_write_lock.set(True)
        try:
            await app(scope, receive, send)
        finally:
            _takes_write_lock.reset(token)

    return call


def collect_garbage_aside() -> None:
    """Take cyclic garbage collection out of the event loop, generation by generation as Python itself would."""
    gc.collect()
    gc.freeze()
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    for turn in itertools.count(1):
        time.sleep(COLLECT_SECONDS)
        gc.collect(2 if turn % 100 == 0 else 1 if turn % 10 == 0 else 0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.prefect_server", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    AioSqliteConfiguration.begin_transaction = begin_transaction  # type: ignore[method-assign]
    app = lock_at_the_beginning(create_app(final=True))
    collect_garbage_aside()
    uvicorn.run(app, host="127.0.0.1", port=port, timeout_keep_alive=5, log_level="warning")


if __name__ == "__main__":
    main()
