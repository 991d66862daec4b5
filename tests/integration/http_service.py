"""The HTTP service on a port of its own, in a thread, over a database of the test's."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from approval.secrecy import Cipher
from console.http.app import create_app
from console.http.server import server_of
from console.http.services import Services
from models.database import Database

PUBLIC_URL = "https://go.example.org"


def services_for(url: str, cipher: Cipher | None) -> Services:
    return Services(
        database=Database(url=url, pool_size=13), cipher=cipher, public_url=PUBLIC_URL, callback_url=PUBLIC_URL
    )


@contextmanager
def serving(services: Services) -> Iterator[str]:
    """The origin of the running service."""
    up = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = server_of(create_app(services), ready=up.set)
        thread = Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        assert up.wait(20)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
