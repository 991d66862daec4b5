"""What can be done to runs, done patiently: on SQLite Prefect's server is too busy at times, and says so.

A request that reads before it writes is refused at once, without waiting, where another wrote in between: so it is not
the number of tries that helps, but time between them.
"""

import time
from typing import Any

from requests import HTTPError

from tests.acceptance.world import Prefect

SERVICE_UNAVAILABLE, SECONDS, LONGEST_PAUSE = 503, 60.0, 2.0


class PatientPrefect(Prefect):
    def call(self, method: str, path: str, body: object = None) -> Any:
        deadline, pause = time.monotonic() + SECONDS, 0.1
        while True:
            try:
                return super().call(method, path, body)
            except HTTPError as refused:
                if refused.response.status_code != SERVICE_UNAVAILABLE or time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
