"""A job per recipient in procrastinate: `python procrastinate_jobs.py DATABASE SINK COUNT` prints jobs a second.

The jobs are deferred before the clock starts. The worker is asynchronous, with as many jobs at once as did best, and
deletes what is done, which spares it a growing table.
"""

import asyncio
import sys
import time

import uvloop
from message import client, send
from procrastinate import App, PsycopgConnector

AT_ONCE = 32


async def main(database: str, sink: str, count: int) -> float:
    app = App(connector=PsycopgConnector(conninfo=database, max_size=AT_ONCE))
    async with app.open_async(), client(AT_ONCE) as http:
        await app.schema_manager.apply_schema_async()

        @app.task(name="send")
        async def deliver(number: int) -> None:
            await send(http, sink, number)

        await deliver.batch_defer_async(*[{"number": number} for number in range(count)])
        began = time.perf_counter()
        await app.run_worker_async(
            concurrency=AT_ONCE,
            wait=False,
            delete_jobs="always",
            install_signal_handlers=False,
            listen_notify=False,
        )
        return count / (time.perf_counter() - began)


if __name__ == "__main__":
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
