"""Servers of tests that run in the test's own loop, and how they end."""

import asyncio
import sys


async def all_gone(server: asyncio.Server) -> None:
    """Wait until every connection is closed on this side too, TLS and all; its clients have hung up.

    A loop that ends before leaves sockets open, which whatever test comes later is blamed for.
    """
    server.close()
    async with asyncio.timeout(10):
        if sys.version_info >= (3, 12):
            await server.wait_closed()
        else:  # it waits for nothing there: https://github.com/python/cpython/issues/79033
            while server._active_count:  # type: ignore[attr-defined]  # noqa: ASYNC110 - told in no other way
                await asyncio.sleep(0.001)
