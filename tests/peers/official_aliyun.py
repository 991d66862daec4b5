"""Aliyun's own library."""

import json
from typing import Any

from alibabacloud_dysmsapi20170525 import models  # type: ignore[import-not-found]
from alibabacloud_dysmsapi20170525.client import Client  # type: ignore[import-not-found]
from alibabacloud_tea_openapi.models import Config  # type: ignore[import-not-found]
from Tea.exceptions import TeaException  # type: ignore[import-not-found]

from tests.peers.answering import Job, Result, answer, outcome


def send(job: Job) -> Result:
    messages = job["messages"]
    request = models.SendBatchSmsRequest(
        phone_number_json=json.dumps([message["address"] for message in messages]),
        sign_name_json=json.dumps([job["sign_name"]] * len(messages), ensure_ascii=False),
        template_code=job["template_code"],
        template_param_json=json.dumps([message["params"] for message in messages], ensure_ascii=False),
        out_id=messages[0]["reference"],
    )
    try:
        answer = _client(job).send_batch_sms(request).body
    except TeaException as refused:
        return [outcome(refused.code) for _ in messages]
    code = "" if answer.code == "OK" else answer.code
    return [outcome(code, answer.biz_id) for _ in messages]


def details(job: Job) -> Result:
    request = models.QuerySendDetailsRequest(
        phone_number=job["address"], send_date=job["day"], page_size=50, current_page=1
    )
    details = _client(job).query_send_details(request).body.sms_send_detail_dtos.sms_send_detail_dto
    return [{"reference": one.out_id, "status": one.send_status, "code": one.err_code} for one in details]


def _client(job: Job) -> Any:
    config = Config(
        access_key_id=job["access_key_id"],
        access_key_secret=job["access_key_secret"],
        endpoint=job["origin"].removeprefix("http://"),
        protocol="HTTP",
    )
    return Client(config)


if __name__ == "__main__":
    answer(send, details)
