"""The stand-in for Twilio, called as its documentation says."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from sandbox.process import Running, started
from tests.conformance.sandbox_calls import sms_batch, sms_details

SID = "AC00000000000000000000000000000000"
LOGIN = (SID, "sandbox-twilio")
FORM = {"To": "+14155550123", "From": "+14155550100", "Body": "Hello"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(folder=tmp_path_factory.mktemp("twilio")) as found:
        yield found


@pytest.fixture
def sandbox(running: Running) -> Running:
    for path in ("/_faults", "/_log"):
        requests.delete(running.http + path, timeout=10)
    return running


def create(
    sandbox: Running, *, login: tuple[str, str] = LOGIN, sid: str = SID, form: Mapping[str, str | None] = FORM
) -> tuple[int, dict[str, Any]]:
    url = f"{sandbox.http}/2010-04-01/Accounts/{sid}/Messages.json"
    answer = requests.post(url, data={**FORM, **form}, auth=login, timeout=10)
    return answer.status_code, answer.json()


def get(sandbox: Running, path: str, login: tuple[str, str] = LOGIN) -> requests.Response:
    return requests.get(f"{sandbox.http}/2010-04-01/Accounts/{SID}/{path}", auth=login, timeout=10)


def test_message_is_queued_and_found_again(sandbox: Running) -> None:
    status, created = create(sandbox)
    assert (status, created["status"], created["error_code"], created["num_segments"]) == (201, "queued", None, "1")
    assert created["sid"].startswith("SM")
    found = get(sandbox, f"Messages/{created['sid']}.json").json()
    assert (found["status"], found["body"], found["to"]) == ("delivered", "Hello", "+14155550123")


def test_list_is_of_one_number_newest_first_and_in_pages(sandbox: Running) -> None:
    for number in range(5):
        create(sandbox, form={"Body": str(number)})
    create(sandbox, form={"To": "+14155550199"})
    page = get(sandbox, "Messages.json?To=%2B14155550123&PageSize=2").json()
    bodies = [message["body"] for message in page["messages"]]
    while page["next_page_uri"]:
        page = requests.get(sandbox.http + page["next_page_uri"], auth=LOGIN, timeout=10).json()
        bodies += [message["body"] for message in page["messages"]]
    assert bodies == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"To": "4155550123"}, 400, 21211),
        ({"To": None}, 400, 21604),
        ({"From": None}, 400, 21603),
        ({"Body": None}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"From": None, "MessagingServiceSid": "MG1"}, 404, 21701),
        ({"ContentSid": "HX1"}, 400, 21655),
        ({"ContentVariables": "[1]"}, 400, 21656),
        ({"ContentVariables": "{"}, 400, 21656),
        ({"ValidityPeriod": "36001"}, 400, 90007),
        ({"StatusCallback": "callbacks"}, 400, 21609),
    ],
)
def test_what_twilio_refuses_is_refused_with_its_code(
    form: dict[str, str | None], status: int, code: int, sandbox: Running
) -> None:
    found, answer = create(sandbox, form=form)
    assert (found, answer["code"], answer["status"]) == (status, code, status)
    assert str(code) in answer["more_info"]


def test_who_may_not_come_in_is_told_so(sandbox: Running) -> None:
    assert create(sandbox, login=(SID, "another"))[1]["code"] == 20003
    assert create(sandbox, login=("SK00000000000000000000000000000000", "sandbox-twilio-key"))[0] == 201
    assert create(sandbox, sid="AC1")[1]["code"] == 20404
    assert get(sandbox, "Messages/SM1.json").status_code == 404
    assert get(sandbox, "Calls.json").status_code == 404
    assert get(sandbox, "Messages.json?PageSize=0").status_code == 400


@pytest.mark.parametrize(
    ("text", "parts"),
    [("a" * 160, 1), ("a" * 161, 2), ("€" * 80, 1), ("€" * 81, 2), ("女" * 70, 1), ("女" * 71, 2), ("😀" * 35, 1)],
)
def test_long_text_is_counted_in_parts(text: str, parts: int, sandbox: Running) -> None:
    assert create(sandbox, form={"Body": text})[1]["num_segments"] == str(parts)


def test_fault_for_one_provider_leaves_the_other_of_the_channel_alone(sandbox: Running) -> None:
    fault = {"channel": "sms", "provider": "aliyun", "kind": "status", "status": 500}
    assert requests.post(f"{sandbox.http}/_faults", json=fault, timeout=10).status_code == 200
    assert create(sandbox)[0] == 201
    answer = requests.post(f"{sandbox.http}/_faults", json={**fault, "provider": "fcm"}, timeout=10)
    assert (answer.status_code, answer.json()["allowed"]) == (400, "aliyun, twilio")


def test_no_provider_tells_of_the_messages_of_another(sandbox: Running) -> None:
    number = "+8613900000001"
    create(sandbox, form={"To": number})
    assert sms_details(number).send(sandbox).json()["TotalCount"] == 0
    sms_batch([number.removeprefix("+")]).send(sandbox)
    assert sms_details(number).send(sandbox).json()["TotalCount"] == 1
    assert len(get(sandbox, f"Messages.json?To=%2B{number[1:]}").json()["messages"]) == 1


def test_log_tells_which_provider_took_a_message(sandbox: Running) -> None:
    create(sandbox)
    log = requests.get(f"{sandbox.http}/_log?channel=sms&records=1", timeout=10).json()
    assert [record["provider"] for record in log["records"]] == ["twilio"]
    summary = requests.get(f"{sandbox.http}/_log?channel=sms", timeout=10).json()["channels"]["sms"]
    assert summary["by_provider"] == {"twilio": 1}
