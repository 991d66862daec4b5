"""Servers of tests that run in the test's own loop, and how they end."""

import asyncio


async def all_gone(server: asyncio.Server) -> None:
    """Wait until every connection is closed on this side too, TLS and all; its clients have hung up.

    A loop that ends before leaves sockets open, which whatever test comes later is blamed for.
    """

    async def close() -> None:
        server.close()

    # In this order: Python 3.11 waits for nothing once a server is closed (https://github.com/python/cpython/issues/79033).
    async with asyncio.timeout(10):
        await asyncio.gather(server.wait_closed(), close())
