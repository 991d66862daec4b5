"""The other way, a job per recipient, as others do it: procrastinate, and Celery where Redis is at hand."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from models.database import Database

PEERS = Path(__file__).parent / "peers"
PYTHON = Path(__file__).parents[1] / ".venv-bench" / "bin" / "python"


def procrastinate(database: Database, sink: str, *, count: int) -> float:
    """Jobs a second."""
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return _run("procrastinate_jobs.py", url, sink, str(count))


def celery(sink: str, *, count: int) -> float | None:
    """Jobs a second; None without a Redis server."""
    if shutil.which("redis-server") is None:
        return None
    with _redis() as url:
        return _run("celery_jobs.py", url, sink, str(count))


def _run(program: str, *arguments: str) -> float:
    done = subprocess.run([PYTHON, program, *arguments], cwd=PEERS, check=False, capture_output=True, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{program} failed:\n{done.stderr.decode()}")
    return float(done.stdout.split()[-1])


@contextmanager
def _redis() -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="themeline-bench-redis-") as folder:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _await(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.terminate()
            server.wait()


def _await(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"redis-server does not answer on port {port}")
