"""What the processes with the official libraries have in common: a job a line on stdin, its result a line on stdout.

They run in an environment of their own (requirements.lock beside this) and import nothing else of ours.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

Job = Mapping[str, Any]
Result = list[dict[str, Any]]


def outcome(code: object = "", found: object = None) -> dict[str, Any]:
    return {"code": "" if code is None else str(code), "id": found}


def answer(*verbs: Callable[[Job], Result]) -> None:
    """Until stdin is closed."""
    logging.disable(logging.CRITICAL)
    by_name = {verb.__name__: verb for verb in verbs}
    for line in sys.stdin:
        job = json.loads(line)
        sys.stdout.write(json.dumps(by_name[job["verb"]](job)) + "\n")
        sys.stdout.flush()
