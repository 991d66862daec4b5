"""`themeline serve`: the HTTP service for providers' callbacks, for the links in messages, and for shops."""

from typing import Annotated

import typer

from console.printing import JsonOption, print_json, say
from settings import get_settings


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on; THEMELINE_HTTP_HOST if not given.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one; THEMELINE_HTTP_PORT if not given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take receipts from providers, follow the links in messages, and answer shops at /v1, until Ctrl-C.

    `themeline up` runs one on the loopback address. Put a proxy with TLS before it; any number may run side by side.
    """
    from console.http.server import serve as run  # noqa: PLC0415 - a web server is slow to load, and only this verb needs it

    settings = get_settings()
    run(
        settings,
        host=host or settings.http_host,
        port=settings.http_port if port is None else port,
        report=lambda address: print_json({"address": address}) if as_json else say(f"listening on {address}"),
    )


def register(root: typer.Typer) -> None:
    root.command("serve")(serve)
