"""JPush's own library."""

from typing import Any

import jpush  # type: ignore[import-not-found]

from tests.peers.answering import Job, Result, answer, outcome


def send(job: Job) -> Result:
    push = _client(job).create_push()
    answer = push.batch_push_by_regid([message["push"] for message in job["messages"]]).payload
    by_cid = list(answer.values())
    return [outcome(one.get("error", {}).get("code", ""), one.get("msg_id")) for one in by_cid]


def send_keyed(job: Job) -> Result:
    results = []
    for message in job["messages"]:
        push = _client(job).create_push()
        push.platform, push.cid = jpush.all_, message["key"]
        push.audience = jpush.audience(jpush.registration_id(message["address"]))
        push.notification = jpush.notification(alert=message["push"]["notification"]["alert"])
        try:
            results.append(outcome(found=push.send().payload["msg_id"]))
        except jpush.common.Unauthorized as refused:
            results.append(outcome(refused.value))
        except jpush.common.JPushFailure as refused:
            results.append(outcome(refused.error_code))
    return results


def _client(job: Job) -> Any:
    jpush.common.ZONES["DEFAULT"]["PUSH"] = job["origin"] + "/v3/"
    return jpush.JPush(job["app_key"], job["master_secret"])


if __name__ == "__main__":
    answer(send, send_keyed)
