"""A sender of notices in a process of its own, to be killed: `python -m tests.integration.notice_process DATABASE`.

The key that opens the accounts' secrets comes on its standard input.
"""

import sys

from approval.secrecy import Cipher
from models.database import Database
from tasks.notices import Terms, send_due
from tests.integration.notice_world import BACKOFF, SHORT_LEASE, UI

if __name__ == "__main__":
    terms = Terms(
        database=Database(url=sys.argv[1]),
        cipher=Cipher([sys.stdin.readline().strip()]),
        backoff=BACKOFF,
        lease=SHORT_LEASE,
        ui_url=UI,
        call_seconds=60.0,
    )
    send_due(terms)
