"""`python -m sandbox`: serve the stand-ins until told to stop."""

import argparse
import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from sandbox.credentials import ConfigRefused, read_accounts
from sandbox.journal import Journal, JournalRefused
from sandbox.server import Listeners, PortUnavailable, Sandbox, listen

_CANNOT_START = 2
_LAST_PORT = 65_535
# The log grows without cycles: looking through it again and again costs up to half of the sandbox's time.
_GARBAGE_THRESHOLDS = (100_000, 50, 1000)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    try:
        accounts = read_accounts(options.config)
        journal = Journal(options.journal) if options.journal else None
        sandbox = Sandbox(accounts=accounts, journal=journal)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(sandbox, options))
    except (ConfigRefused, JournalRefused, PortUnavailable, ReadyFileRefused) as problem:
        print(f"sandbox: {problem}", file=sys.stderr)  # noqa: T201 - the command's own word to its user
        return _CANNOT_START
    if journal is not None:
        journal.close()
    return 0


class ReadyFileRefused(Exception):
    """The ready file could not be written."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--http-port", type=_port, default=0, help="port of the HTTP providers and /_log; 0: a free one"
    )
    parser.add_argument("--smtp-port", type=_port, default=0, help="port of the SMTP server; 0: a free one")
    parser.add_argument("--ready-file", type=Path, help="written when both ports are open, with their addresses")
    parser.add_argument("--config", type=Path, help="JSON file with other credentials and limits")
    parser.add_argument("--journal", type=Path, help="file that keeps what was accepted across restarts")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to {_LAST_PORT}, and 0 takes a free one")
    return int(text)


async def _serve(sandbox: Sandbox, options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listeners = await listen(sandbox, host=options.host, http_port=options.http_port, smtp_port=options.smtp_port)
    ready = _ready(listeners)
    try:
        _announce(ready, options.ready_file)
        await stop.wait()
    finally:
        await listeners.close()
        _withdraw(ready, options.ready_file)


def _ready(listeners: Listeners) -> str:
    (host, port), (smtp_host, smtp_port) = listeners.http, listeners.smtp
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return json.dumps({"http": url, "smtp": {"host": smtp_host, "port": smtp_port}, "pid": os.getpid()})


def _announce(ready: str, file: Path | None) -> None:
    if file is None:
        print(ready, flush=True)  # noqa: T201 - without a ready file, the addresses go here
        return
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        draft.write_text(ready, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise ReadyFileRefused(f"cannot write the ready file {file}: {error.strerror}") from error


def _withdraw(ready: str, file: Path | None) -> None:
    """Remove the ready file, unless a later sandbox has put its own there."""
    if file is not None and file.exists() and file.read_text(encoding="utf-8") == ready:
        file.unlink()


if __name__ == "__main__":
    sys.exit(main())
