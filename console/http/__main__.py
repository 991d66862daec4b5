"""`python -m console.http`: the HTTP service, until told to stop."""

import argparse
import sys
from pathlib import Path

from approval.errors import ApprovalError
from console.http.server import PortUnavailable, serve
from models.database import DatabaseNotConfigured, DatabaseUrlInvalid
from settings import get_settings

_CANNOT_START = 2


def main() -> int:
    settings = get_settings()
    parser = argparse.ArgumentParser(prog="python -m console.http", description=__doc__)
    parser.add_argument("--host", default=settings.http_host, help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=settings.http_port, help="0: a free one")
    parser.add_argument("--ready-file", type=Path, help="written once the port is open; holds the process id")
    options = parser.parse_args()
    try:
        serve(settings, host=options.host, port=options.port, ready_file=options.ready_file)
    except (ApprovalError, DatabaseNotConfigured, DatabaseUrlInvalid, PortUnavailable) as refused:
        sys.stderr.write(f"{refused}\n")
        return _CANNOT_START
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
