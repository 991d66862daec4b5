"""Runs the HTTP service in this process."""

import os
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from console.http.app import create_app
from console.http.services import Services
from garbage import rest_the_collector
from logs import configure
from settings import Settings

_BACKLOG = 1_024
_MOST_AT_ONCE = 2_000  # connections; more are told to come back


class PortUnavailable(Exception):
    """The port of the HTTP service cannot be opened."""

    def __init__(self, *, host: str, port: int, reason: str) -> None:
        self.host, self.port, self.reason = host, port, reason
        super().__init__(
            f"cannot listen on {host} port {port}: {reason}; end what holds it, or set THEMELINE_HTTP_PORT to another"
        )


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, *, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            rest_the_collector()
            self._ready()


def serve(
    settings: Settings,
    *,
    host: str,
    port: int,
    ready_file: Path | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; calls under way are answered first. `report` is told the address.

    Raises:
        PortUnavailable, DatabaseNotConfigured, DatabaseUrlInvalid, SecretKeyTooShort
    """
    with closing(_listening(host, port)) as listener:
        address = f"http://{host}:{listener.getsockname()[1]}"

        def ready() -> None:
            if ready_file is not None:
                ready_file.write_text(f"{os.getpid()}\n", encoding="utf-8")
            report(address)

        configure(settings.log_format)
        server_of(create_app(Services.from_settings(settings)), ready=ready).run([listener])


def server_of(app: ASGIApp, *, ready: Callable[[], None]) -> uvicorn.Server:
    """Paths hold secrets, so there is no access log: what is worth telling is told by the endpoints."""
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_AT_ONCE,
        timeout_keep_alive=65,
        timeout_graceful_shutdown=5,
    )
    return _Server(config, ready=ready)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PortUnavailable(host=host, port=port, reason=error.strerror or str(error)) from error
    return listener
