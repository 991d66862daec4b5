"""Ports that stay the same from one start to the next."""

import json
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psutil

from console.supervisor.errors import PortBusy

HOST = "127.0.0.1"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def holder_of(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            here = connection.laddr and connection.laddr.port == port
            if here and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass  # without the right to look, the port alone has to do
    return "another process"


def read_kept(path: Path) -> dict[str, int]:
    try:
        return {name: int(port) for name, port in json.loads(path.read_text(encoding="utf-8")).items()}
    except (FileNotFoundError, ValueError, AttributeError):
        return {}


def choose(*, name: str, part: str, setting: str, configured: int, kept: Mapping[str, int], held_by_us: bool) -> int:
    """The configured port, else the one of the last start, else a free one.

    Raises:
        PortBusy: the configured port is taken by somebody else. A port nobody asked for is simply replaced.
    """
    wanted = configured or kept.get(name, 0)
    if wanted and (is_free(wanted) or (held_by_us and kept.get(name) == wanted)):
        return wanted
    if configured:
        raise PortBusy(port=configured, part=part, setting=setting, holder=holder_of(configured))
    return free_port()
