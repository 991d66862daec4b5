"""The other way: one Prefect task run a recipient, each sending by the same provider client to the same sink.

`python -m benchmarks.task_per_recipient SINK COUNT` prints task runs a second. The server is an ephemeral one
with a database of its own; its start is not counted, and neither are flow logs and stored results, which are off.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from uuid import uuid4

WORKERS = 32


def measure(sink: str, *, count: int) -> float:
    """Task runs a second, from a process of its own."""
    with tempfile.TemporaryDirectory(prefix="themeline-bench-prefect-") as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment |= {
            "PREFECT_HOME": home,
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_LOGGING_TO_API_ENABLED": "false",
            "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_TASK_RUNNER_THREAD_POOL_MAX_WORKERS": str(WORKERS),
            "DO_NOT_TRACK": "1",
        }
        command = [sys.executable, "-m", "benchmarks.task_per_recipient", sink, str(count)]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=900)
        if done.returncode:
            raise RuntimeError(f"the Prefect run failed:\n{done.stderr.decode()}")
    return float(done.stdout.split()[-1])


def _run(sink: str, count: int) -> float:
    from prefect import flow, task  # noqa: PLC0415 - only the measured process pays for this import

    from benchmarks.provider import customer, provider_for, renderer  # noqa: PLC0415 - the same
    from channels.message import Message  # noqa: PLC0415 - the same
    from channels.states import Channel  # noqa: PLC0415 - the same
    from channels.transport import HttpTransport  # noqa: PLC0415 - the same

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    transport = HttpTransport()
    provider, render = provider_for(Channel.MINI_PROGRAM, sink, transport), renderer(Channel.MINI_PROGRAM)

    @task
    def send(number: int) -> None:
        delivery_id = uuid4()
        content = render(customer(number, delivery_id))
        message = Message(delivery_id=delivery_id, address=f"o{number:027d}", content=content)
        (outcome,) = asyncio.run_coroutine_threadsafe(provider.send([message]), loop).result()
        if outcome.error is not None:
            raise RuntimeError(f"{outcome.error}: {outcome.detail}")

    @flow
    def distribute(count: int) -> float:
        send.submit(0).result()
        began = time.perf_counter()
        for future in send.map(range(1, count + 1)):
            future.result()
        return count / (time.perf_counter() - began)

    rate = distribute(count)
    asyncio.run_coroutine_threadsafe(transport.close(), loop).result()
    return float(rate)


if __name__ == "__main__":
    print(_run(sys.argv[1], int(sys.argv[2])))
