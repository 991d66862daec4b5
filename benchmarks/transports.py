"""`python -m benchmarks.transports`: CPU a call, by our transport and by others, the same calls to the same sink."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import httpx
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import sink, sink_http2
from channels.transport import HttpTransport

CALLS, AT_ONCE = 20_000, 64
PATH = "/cgi-bin/message/subscribe/send?access_token=benchmark"
HEADERS = {"Content-Type": "application/json"}
BODY = b'{"touser":"o%027d","template_id":"TPL_COUPON_ARRIVED","data":{"thing1":{"value":"20 off from 100"}}}' % 1
Call = Callable[[], Awaitable[object]]


async def load(call: Call, calls: int) -> None:
    numbers = iter(range(calls))

    async def worker() -> None:
        for _ in numbers:
            await call()

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def measured(call: Call, calls: int = CALLS) -> tuple[float, float]:
    """Calls a second, and the microseconds of CPU that each cost this process, all its threads together."""
    await load(call, calls // 10)
    began, cpu = time.perf_counter(), time.process_time()
    await load(call, calls)
    return calls / (time.perf_counter() - began), (time.process_time() - cpu) / calls * 1e6


async def ours(address: str) -> tuple[float, float]:
    transport = HttpTransport()
    result = await measured(lambda: transport.post(address + PATH, headers=HEADERS, body=BODY, timeout=10))
    await transport.close()
    return result


async def with_aiohttp(address: str) -> tuple[float, float]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:

        async def call() -> bytes:
            async with session.post(address + PATH, headers=HEADERS, data=BODY) as response:
                return await response.read()

        return await measured(call)


async def ours_over_http2(address: str) -> tuple[float, float]:
    transport = HttpTransport()
    result = await measured(lambda: transport.post(address, headers=HEADERS, body=BODY, timeout=10, http2=True))
    await transport.close()
    return result


async def with_httpx_over_http2(address: str) -> tuple[float, float]:
    async with httpx.AsyncClient(http1=False, http2=True, trust_env=False, timeout=30) as client:
        return await measured(lambda: client.post(address, headers=HEADERS, content=BODY), calls=CALLS // 10)


def main() -> None:
    table = Table("transport", "calls/s", "µs of CPU a call")
    with sink.running() as old, sink_http2.running() as new:
        for name, calls, address in (
            ("HttpTransport", ours, old),
            ("aiohttp", with_aiohttp, old),
            ("HttpTransport, HTTP/2", ours_over_http2, new),
            ("httpx, HTTP/2", with_httpx_over_http2, new),
        ):
            per_second, micros = uvloop.run(calls(address))
            table.add_row(name, f"{per_second:,.0f}", f"{micros:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
