"""Prefect's HTTP API, as far as the console needs it. The console does not import Prefect."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import requests

Json = dict[str, Any]

#: A run in one of these does not change any more by itself.
ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
#: The server is there but cannot answer just now: on SQLite this happens under modest load.
_TRY_AGAIN = frozenset({429, 502, 503, 504})
#: Prefect shows a run as suspended a moment before its form is saved.
_PAGE = 200
_NOT_YET = "Run input schema not found"


class PrefectError(Exception):
    """The Prefect server did not do what was asked."""


class PrefectUnreachable(PrefectError):
    """The Prefect server does not answer."""

    def __init__(self, *, url: str, tried: str, reason: str) -> None:
        self.url, self.tried, self.reason = url, tried, reason
        super().__init__(
            f"the Prefect server at {url} does not answer ({tried}: {reason}): start it with `themeline up`, "
            "or set PREFECT_API_URL to the one that runs"
        )


class PrefectNotConfigured(PrefectError):
    """No Prefect server is configured."""

    def __init__(self) -> None:
        super().__init__("no Prefect server is configured: run `themeline up`, or set PREFECT_API_URL")


class PrefectRefused(PrefectError):
    """The Prefect server answered no."""

    def __init__(self, *, status: int, text: str, tried: str) -> None:
        self.status, self.text, self.tried = status, text, tried
        remedy = ": check PREFECT_API_AUTH_STRING" if status in (401, 403) else ""
        super().__init__(f"the Prefect server refused {tried} with status {status}{remedy}: {text}")


class FlowRunStillGoing(PrefectError):
    """A flow run did not come to its end in time."""

    def __init__(self, *, flow_run: UUID, state: str, seconds: float) -> None:
        self.flow_run, self.state, self.seconds = flow_run, state, seconds
        super().__init__(f"flow run {flow_run} is still {state} after {seconds:.0f} s: look at it in the Prefect UI")


class PrefectApi:
    """A thin client. Each call is tried again, with growing pauses, while the server is away or busy."""

    def __init__(
        self, *, url: str, auth: str | None = None, patience: timedelta = timedelta(seconds=20), timeout: float = 30.0
    ) -> None:
        parts = urlsplit(url)
        self.url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
        self._patience = patience
        self._timeout = timeout
        self._session = requests.Session()
        if auth:
            user, _, password = auth.partition(":")
            self._session.auth = (user, password)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises PrefectNotConfigured."""
        if not (url := environment.get("PREFECT_API_URL")):
            raise PrefectNotConfigured
        return cls(url=url, auth=environment.get("PREFECT_API_AUTH_STRING"))

    def __repr__(self) -> str:
        return f"PrefectApi({self.url})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        self._session.close()

    @property
    def ui_url(self) -> str:
        return self.url.removesuffix("/api")

    def run_url(self, flow_run: UUID | str) -> str:
        return f"{self.ui_url}/runs/flow-run/{flow_run}"

    def health(self) -> None:
        """Raises PrefectUnreachable or PrefectRefused."""
        self._call("GET", "/health")

    def create_flow_run(
        self,
        deployment: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        scheduled_time: datetime | None = None,
        tags: Sequence[str] = (),
        name: str | None = None,
    ) -> Json:
        """Start a run of `flow/deployment`, now or at a time. The same key gives the same run."""
        details = {"scheduled_time": scheduled_time.isoformat()} if scheduled_time else {}
        body = {
            "parameters": dict(parameters or {}),
            "state": {"type": "SCHEDULED", "state_details": details},
            "tags": list(tags),
            "idempotency_key": idempotency_key or uuid4().hex,  # a repeated try must not start a second run
            "name": name,
        }
        wanted = {key: value for key, value in body.items() if value is not None}
        return self._object("POST", f"/deployments/{self.deployment(deployment)['id']}/create_flow_run", wanted)

    def deployment(self, name: str) -> Json:
        """The deployment `flow/deployment`."""
        return self._object("GET", f"/deployments/name/{name}")

    def flow_run(self, flow_run: UUID | str) -> Json:
        return self._object("GET", f"/flow_runs/{flow_run}")

    def wait(self, flow_run: UUID | str, *, timeout: float = 60.0, every: float = 0.2) -> Json:
        """The run once it ended, well or not.

        Raises:
            FlowRunStillGoing: it did not end within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (run := self.flow_run(flow_run))["state_type"] not in ENDED:
            if time.monotonic() > deadline:
                raise FlowRunStillGoing(flow_run=UUID(str(flow_run)), state=run["state_name"], seconds=timeout)
            time.sleep(every)
        return run

    def resume(self, flow_run: UUID | str, run_input: Mapping[str, Any] | None = None) -> Json:
        """Answer a suspended run, exactly as the button in the UI does.

        The server says no with a 2xx status and a reason; that is a refusal here.

        Raises:
            PrefectRefused: the answer does not fit the form, or the run does not wait.
        """
        tried = f"POST /flow_runs/{flow_run}/resume"
        reason = ""
        for pause in self._pauses():
            result = self._object("POST", f"/flow_runs/{flow_run}/resume", {"run_input": dict(run_input or {})})
            if result["status"] == "ACCEPT":
                return result
            reason = str((result.get("details") or {}).get("reason") or result["status"])
            if _NOT_YET not in reason and "database is locked" not in reason:
                break
            time.sleep(pause)
        raise PrefectRefused(status=200, text=reason, tried=tried)

    def filter_flow_runs(
        self, wanted: Mapping[str, Any], *, sort: str = "START_TIME_DESC", limit: int = 1_000
    ) -> list[Json]:
        """Runs that fit Prefect's `FlowRunFilter`, for example `{"tags": {"all_": ["theme:x"]}}`."""
        found: list[Json] = []
        while len(found) < limit:
            size = min(_PAGE, limit - len(found))
            page = {"flow_runs": dict(wanted), "sort": sort, "limit": size, "offset": len(found)}
            batch: list[Json] = self._call("POST", "/flow_runs/filter", page).json()
            found += batch
            if len(batch) < size:
                break
        return found

    def read_input(self, flow_run: UUID | str, key: str) -> str | None:
        """What is saved with a run under a key, or None."""
        try:
            return self._call("GET", f"/flow_runs/{flow_run}/input/{key}").text
        except PrefectRefused as refused:
            if refused.status == requests.codes.not_found:
                return None
            raise

    def _object(self, method: str, path: str, body: Json | None = None) -> Json:
        answer: Json = self._call(method, path, body).json()
        return answer

    def _pauses(self) -> Iterator[float]:
        """Growing pauses, as long as patience lasts."""
        deadline = time.monotonic() + self._patience.total_seconds()
        pause = 0.1
        while True:
            yield pause
            if time.monotonic() > deadline:
                return
            pause = min(2.0, pause * 2)

    def _call(self, method: str, path: str, body: Json | None = None) -> requests.Response:
        tried, reason = f"{method} {path}", ""
        for pause in self._pauses():
            try:
                answer = self._session.request(method, f"{self.url}{path}", json=body, timeout=self._timeout)
            except (requests.ConnectionError, requests.Timeout) as error:
                reason = type(error).__name__
            else:
                if answer.status_code not in _TRY_AGAIN:
                    return _accepted(answer, tried)
                reason = f"status {answer.status_code}"
            time.sleep(pause)
        raise PrefectUnreachable(url=self.url, tried=tried, reason=reason)


def _accepted(answer: requests.Response, tried: str) -> requests.Response:
    if answer.ok:
        return answer
    raise PrefectRefused(status=answer.status_code, text=_reason(answer), tried=tried)


def _reason(answer: requests.Response) -> str:
    """The server's own reason, without the values that it was sent: a form may hold a code."""
    try:
        found = answer.json()
    except ValueError:
        return answer.reason
    detail = found.get("detail") or found.get("exception_message") or found.get("exception_detail") or answer.reason
    if isinstance(detail, list):
        return "; ".join(f"{'.'.join(map(str, item.get('loc', ())))}: {item.get('msg', '')}" for item in detail)
    return str(detail)
