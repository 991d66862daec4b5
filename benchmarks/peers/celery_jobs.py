"""A job per recipient in Celery with Redis: `python celery_jobs.py REDIS SINK COUNT` prints jobs a second.

The jobs are queued before the worker starts, and the clock runs from the first answer of the sink to the last. Results
are not kept and jobs are acknowledged when they begin, the fastest that Celery offers.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import requests
from celery import Celery, group
from message import PATH, body

AT_ONCE = 64
app = Celery("celery_jobs", broker=os.environ.get("PEER_REDIS", "memory://"))
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=16,
    task_acks_late=False,
    worker_send_task_events=False,
    task_send_sent_event=False,
    broker_connection_retry_on_startup=True,
)
_http = requests.Session()
_http.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=AT_ONCE))


@app.task(name="send")
def deliver(number: int) -> None:
    answer = _http.post(os.environ["PEER_SINK"] + PATH, data=body(number), headers={"Content-Type": "application/json"})
    if answer.json()["errcode"] != 0:
        raise RuntimeError(answer.text)


def accepted(sink: str) -> int:
    return int(requests.get(f"{sink}/_count", timeout=10).json()["accepted"])


def main(redis: str, sink: str, count: int) -> float:
    environment = os.environ | {"PEER_REDIS": redis, "PEER_SINK": sink}
    app.conf.broker_url = redis
    with app.connection_for_write() as connection:
        group(deliver.s(number) for number in range(count)).apply_async(connection=connection)
    before, seen = accepted(sink), []
    command = [sys.executable, "-m", "celery", "-A", "celery_jobs", "worker", "--pool", POOL, "-c", str(WORKERS),
               "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "ERROR"]  # fmt: skip
    worker = subprocess.Popen(command, env=environment, cwd=Path(__file__).parent, stdout=subprocess.DEVNULL)
    try:
        while not seen or seen[-1][1] < count:
            seen.append((time.perf_counter(), accepted(sink) - before))
            time.sleep(0.02)
            if worker.poll() is not None:
                raise RuntimeError("the worker ended")
    finally:
        worker.terminate()
        worker.wait()
    first = max(at for at, done in seen if done == 0)
    return count / (seen[-1][0] - first)


POOL, WORKERS = "prefork", 4

if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
