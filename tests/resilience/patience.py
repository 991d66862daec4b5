"""What can be done to runs, done patiently: on SQLite Prefect's server is too busy at times, and says so."""

from typing import Any

from requests import HTTPError

from tests.acceptance.world import Prefect

SERVICE_UNAVAILABLE, MOST_TRIES = 503, 10  # each takes the server as long as it waits for its database


class PatientPrefect(Prefect):
    def call(self, method: str, path: str, body: object = None) -> Any:
        tries = 0
        while True:
            try:
                return super().call(method, path, body)
            except HTTPError as refused:
                tries += 1
                if refused.response.status_code != SERVICE_UNAVAILABLE or tries > MOST_TRIES:
                    raise
