"""Firebase's own library."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import firebase_admin  # type: ignore[import-not-found]
from firebase_admin import credentials, exceptions, messaging
from requests.adapters import HTTPAdapter

from tests.peers.answering import Job, Result, answer, outcome


def send(job: Job) -> Result:
    app = firebase_admin.initialize_app(credentials.Certificate(job["service_account"]), name=job["name"])
    messaging._MessagingService.FCM_URL = job["origin"] + "/v1/projects/{0}/messages:send"
    _without_retries(messaging._get_messaging_service(app))
    words = {
        messaging.UnregisteredError: "UNREGISTERED",
        messaging.SenderIdMismatchError: "SENDER_ID_MISMATCH",
        messaging.QuotaExceededError: "QUOTA_EXCEEDED",
        messaging.ThirdPartyAuthError: "THIRD_PARTY_AUTH_ERROR",
    }
    results = []
    for message in job["messages"]:
        try:
            results.append(outcome(found=messaging.send(_message(message), app=app)))
        except exceptions.FirebaseError as refused:
            results.append(outcome(words.get(type(refused), refused.code)))
    firebase_admin.delete_app(app)
    return results


def _message(message: Mapping[str, Any]) -> Any:
    return messaging.Message(
        notification=messaging.Notification(title=message["title"], body=message["body"]),
        data=message["data"],
        android=messaging.AndroidConfig(
            ttl=timedelta(days=1), notification=messaging.AndroidNotification(tag=message["reference"])
        ),
        apns=messaging.APNSConfig(headers=message["apns_headers"]),
        **{message["kind"]: message["address"]},
    )


def _without_retries(service: Any) -> None:
    """It would send again after a 500 or 503, and sleep as long as a Retry-After says."""
    service._client.session.mount("http://", HTTPAdapter(max_retries=0))


if __name__ == "__main__":
    answer(send)
