"""Twilio's own library."""

from typing import Any

from twilio.base.exceptions import TwilioRestException  # type: ignore[import-not-found]
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-not-found]
from twilio.rest import Client  # type: ignore[import-not-found]

from tests.peers.answering import Job, Result, answer, outcome


def send(job: Job) -> Result:
    client = _client(job)
    results = []
    for message in job["messages"]:
        try:
            sent = client.messages.create(
                to=message["address"],
                from_=job["sender"],
                body=message["text"],
                validity_period=36_000,
                status_callback=message["status_callback"],
            )
        except TwilioRestException as refused:
            results.append(outcome(refused.code))
        else:
            results.append(outcome(sent.error_code, sent.sid))
    return results


def listed(job: Job) -> Result:
    client = _client(job)
    found = client.messages.list(to=job["address"])
    return [{"id": item.sid, "status": item.status, "code": str(item.error_code or "")} for item in found]


def _client(job: Job) -> Any:
    class Rerouted(TwilioHttpClient):  # type: ignore[misc]
        def request(self, method: str, url: str, *rest: Any, **more: Any) -> Any:
            return super().request(method, url.replace("https://api.twilio.com", job["origin"]), *rest, **more)

    return Client(job["account_sid"], job["auth_token"], http_client=Rerouted())


if __name__ == "__main__":
    answer(send, listed)
