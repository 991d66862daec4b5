import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from sandbox.process import Running, started
from tests.conformance.sandbox_calls import TIMEOUT, AliyunCall, fault, log, records, sms_batch, sms_details

CONFIG = {"aliyun": {"sign_names": ["Shop"], "templates": {"SMS_1": "${name}，春日漫游，回T退订", "SMS_2": "Hello"}}}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(folder=tmp_path_factory.mktemp("aliyun"), config=CONFIG) as running:
        yield running


@pytest.fixture
def sandbox(process: Running) -> Running:
    for path in ("_log", "_faults"):
        requests.delete(f"{process.http}/{path}", timeout=TIMEOUT)
    return process


def minutes_ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_signed_batch_is_accepted_and_each_number_is_on_record(sandbox: Running) -> None:
    numbers = ["13800000001", "+8613800000002", "447700900123"]
    answer = sms_batch(numbers, out_id="theme-7").send(sandbox)
    assert (answer.status_code, answer.json()["Code"]) == (200, "OK")
    found = records(sandbox, "sms")
    assert [record["recipient"] for record in found] == numbers
    assert {record["reference"] for record in found} == {"theme-7"}
    assert {record["message_id"] for record in found} == {answer.json()["BizId"]}
    assert found[1]["content"] == {
        "sign_name": "Shop",
        "template_code": "SMS_1",
        "template_param": {"name": "用户 1"},
        "text": "【Shop】用户 1，春日漫游，回T退订",
    }


def test_one_sms_to_a_thousand_numbers_fits_into_the_query(sandbox: Running) -> None:
    numbers = ",".join(f"138{n:08d}" for n in range(1000))
    query = {"PhoneNumbers": numbers, "SignName": "Shop", "TemplateCode": "SMS_1", "TemplateParam": '{"name": "a:b"}'}
    assert AliyunCall("SendSms", query).send(sandbox).json()["Code"] == "OK"
    assert log(sandbox, "sms")["recipients"] == 1000


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"secret": "wrong"}, 400, "SignatureDoesNotMatch"),
        ({"key": "nobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"changed_body": b"PhoneNumberJson=%5B%5D"}, 400, "SignatureDoesNotMatch"),
        ({"date": "yesterday"}, 400, "InvalidTimeStamp.Format"),
        ({"version": "2016-01-01"}, 404, "InvalidVersion"),
        # What the signature does not cover could be changed on the way.
        ({"unsigned": frozenset({"x-acs-action"})}, 400, "IncompleteSignature"),
        ({"unsigned": frozenset({"content-type"})}, 400, "IncompleteSignature"),
        ({"unsigned": frozenset({"host"})}, 400, "IncompleteSignature"),
    ],
)
def test_a_call_that_is_not_signed_as_it_should_be_is_refused(
    sandbox: Running, change: dict[str, Any], status: int, code: str
) -> None:
    answer = sms_batch(["13800000001"], **change).send(sandbox)
    assert (answer.status_code, answer.json()["Code"]) == (status, code)
    assert set(answer.json()) == {"Code", "Message", "RequestId", "HostId", "Recommend"}
    assert (log(sandbox, "sms")["accepted"], log(sandbox, "sms")["refused"]) == (0, 1)


def test_a_date_is_good_for_fifteen_minutes(sandbox: Running) -> None:
    for minutes, code in ((14, "OK"), (16, "InvalidTimeStamp.Expired"), (-16, "InvalidTimeStamp.Expired")):
        assert sms_batch(["13800000001"], date=minutes_ago(minutes)).send(sandbox).json()["Code"] == code


def test_a_nonce_is_good_for_one_call(sandbox: Running) -> None:
    assert sms_batch(["13800000001"], nonce="n-1").send(sandbox).json()["Code"] == "OK"
    answer = sms_batch(["13800000002"], nonce="n-1").send(sandbox)
    assert (answer.status_code, answer.json()["Code"]) == (400, "SignatureNonceUsed")
    assert log(sandbox, "sms")["accepted"] == 1


def test_a_bad_signature_does_not_use_the_nonce_up(sandbox: Running) -> None:
    sms_batch(["13800000001"], nonce="n-2", secret="wrong").send(sandbox)
    assert sms_batch(["13800000001"], nonce="n-2").send(sandbox).json()["Code"] == "OK"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"PhoneNumberJson": json.dumps([f"138{n:08d}" for n in range(101)])}, "isv.MOBILE_COUNT_OVER_LIMIT"),
        ({"PhoneNumberJson": "[]"}, "isv.MOBILE_COUNT_OVER_LIMIT"),
        ({"PhoneNumberJson": "nothing"}, "isv.INVALID_JSON_PARAM"),
        ({"PhoneNumberJson": '["12345", "13800000002"]'}, "isv.MOBILE_NUMBER_ILLEGAL"),
        # A plus stands before mainland numbers only.
        ({"PhoneNumberJson": '["+447700900123", "13800000002"]'}, "isv.MOBILE_NUMBER_ILLEGAL"),
        ({"SignNameJson": '["Shop"]'}, "isv.INVALID_PARAMETERS"),
        ({"SignNameJson": '["Shop", "Other"]'}, "isv.SMS_SIGNATURE_ILLEGAL"),
        ({"TemplateParamJson": '[{"name": "a"}]'}, "isv.INVALID_PARAMETERS"),
        ({"TemplateParamJson": '[{"name": "a"}, "b"]'}, "isv.INVALID_JSON_PARAM"),
        ({"TemplateParamJson": '[{"name": "a"}, {}]'}, "isv.TEMPLATE_MISSING_PARAMETERS"),
        ({"TemplateParamJson": json.dumps([{"name": "a"}, {"name": "b" * 500}])}, "isv.PARAM_LENGTH_LIMIT"),
    ],
)
def test_a_batch_outside_the_limits_is_refused_as_a_whole(sandbox: Running, change: dict[str, str], code: str) -> None:
    call = sms_batch(["13800000001", "13800000002"])
    call.form = {**(call.form or {}), **change}
    answer = call.send(sandbox)
    assert (answer.status_code, answer.json()["Code"]) == (200, code)
    assert "BizId" not in answer.json()
    assert log(sandbox, "sms")["accepted"] == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"TemplateCode": "SMS_9"}, "isv.SMS_TEMPLATE_ILLEGAL"),
        ({"TemplateCode": ""}, "MissingTemplateCode"),
        ({"OutId": "x" * 256}, "isv.INVALID_PARAMETERS"),
    ],
)
def test_template_and_out_id_are_checked(sandbox: Running, query: dict[str, str], code: str) -> None:
    call = sms_batch(["13800000001"])
    call.query = {**call.query, **query}
    assert call.send(sandbox).json()["Code"] == code


def test_one_bad_number_refuses_the_batch_and_is_not_named(sandbox: Running) -> None:
    fault(sandbox, "sms", "recipient_error", match="0002$")
    answer = sms_batch(["13800000001", "13800000002", "13800000003"]).send(sandbox)
    assert answer.json()["Code"] == "isv.MOBILE_NUMBER_ILLEGAL"
    assert "13800000002" not in answer.text
    assert log(sandbox, "sms")["accepted"] == 0
    assert log(sandbox, "sms")["refused"] == 3
    assert sms_batch(["13800000001", "13800000003"]).send(sandbox).json()["Code"] == "OK"


def test_details_tell_what_became_of_a_number_however_it_is_written(sandbox: Running) -> None:
    biz_id = sms_batch(["+8613800000001", "13800000002"], out_id="o-1").send(sandbox).json()["BizId"]
    sms_batch(["13800000001"], out_id="o-2").send(sandbox)
    answer = sms_details("13800000001", BizId=biz_id).send(sandbox).json()
    assert (answer["Code"], answer["TotalCount"]) == ("OK", 1)
    detail = answer["SmsSendDetailDTOs"]["SmsSendDetailDTO"][0]
    assert (detail["SendStatus"], detail["ErrCode"], detail["OutId"]) == (3, "DELIVERED", "o-1")
    assert sms_details("008613800000001").send(sandbox).json()["TotalCount"] == 2
    assert sms_details("13900000009").send(sandbox).json()["TotalCount"] == 0
    assert log(sandbox, "sms")["calls"] == 2


def test_details_come_in_pages_of_fifty_at_most(sandbox: Running) -> None:
    for _ in range(3):
        sms_batch(["13800000001"]).send(sandbox)
    answer = sms_details("13800000001", PageSize="2", CurrentPage="2").send(sandbox).json()
    assert (answer["TotalCount"], len(answer["SmsSendDetailDTOs"]["SmsSendDetailDTO"])) == (3, 1)
    for bad in ({"PageSize": "51"}, {"CurrentPage": "0"}, {"SendDate": "2026-01-01"}, {"SendDate": "20200101"}):
        assert sms_details("13800000001", **bad).send(sandbox).json()["Code"] == "isv.INVALID_PARAMETERS"


def test_a_receipt_may_report_a_failure_or_stay_out(sandbox: Running) -> None:
    fault(sandbox, "sms", "recipient_error", endpoint="query", match="1$", code="MK:0001")
    fault(sandbox, "sms", "no_receipt", match="2$")
    assert sms_batch(["13800000001", "13800000002"]).send(sandbox).json()["Code"] == "OK"
    states = []
    for number in ("13800000001", "13800000002"):
        answer = sms_details(number).send(sandbox).json()
        detail = answer["SmsSendDetailDTOs"]["SmsSendDetailDTO"][0]
        states.append((detail["SendStatus"], detail["ErrCode"]))
    assert states == [(2, "MK:0001"), (1, "")]


def test_an_action_that_is_not_served_is_named(sandbox: Running) -> None:
    answer = AliyunCall("AddSmsSign", {}).send(sandbox)
    assert (answer.status_code, answer.json()["Code"]) == (404, "InvalidAction.NotFound")
    assert "AddSmsSign" in answer.json()["Message"]
