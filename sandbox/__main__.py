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
    parser.add_argument("--http-port", type=int, default=0, help="port of the HTTP providers and /_log; 0: a free one")
    parser.add_argument("--smtp-port", type=int, default=0, help="port of the SMTP server; 0: a free one")
    parser.add_argument("--ready-file", type=Path, help="written when both ports are open, with their addresses")
    parser.add_argument("--config", type=Path, help="JSON file with other credentials and limits")
    parser.add_argument("--journal", type=Path, help="file that keeps what was accepted across restarts")
    return parser


async def _serve(sandbox: Sandbox, options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listeners = await listen(sandbox, host=options.host, http_port=options.http_port, smtp_port=options.smtp_port)
    try:
        _announce(options, listeners)
        await stop.wait()
    finally:
        await listeners.close()
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)


def _announce(options: argparse.Namespace, listeners: Listeners) -> None:
    ready = json.dumps(
        {
            "http": f"http://{options.host}:{listeners.http_port}",
            "smtp": {"host": options.host, "port": listeners.smtp_port},
            "pid": os.getpid(),
        }
    )
    if options.ready_file is None:
        print(ready, flush=True)  # noqa: T201 - without a ready file, the addresses go here
        return
    draft = options.ready_file.with_name(f"{options.ready_file.name}.{os.getpid()}.new")
    try:
        draft.write_text(ready, encoding="utf-8")
        draft.replace(options.ready_file)
    except OSError as error:
        raise ReadyFileRefused(f"cannot write the ready file {options.ready_file}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
