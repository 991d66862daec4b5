import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.process import Running, started
from tests.conformance.sandbox_calls import (
    APP_KEY,
    TIMEOUT,
    basic,
    fault,
    log,
    new_cid,
    push_batch,
    records,
    single,
)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(folder=tmp_path_factory.mktemp("jpush")) as running:
        yield running


@pytest.fixture
def sandbox(process: Running) -> Running:
    for path in ("_log", "_faults"):
        requests.delete(f"{process.http}/{path}", timeout=TIMEOUT)
    return process


def push(sandbox: Running, **other: Any) -> requests.Response:
    body = {"platform": "all", "audience": {"registration_id": ["reg-1", "reg-2"]}, "notification": {"alert": "Hi"}}
    return requests.post(f"{sandbox.http}/v3/push", json={**body, **other}, headers=basic(), timeout=TIMEOUT)


def cids(sandbox: Running, query: str, headers: dict[str, str] | None = None) -> requests.Response:
    return requests.get(f"{sandbox.http}/v3/push/cid?{query}", headers=headers or basic(), timeout=TIMEOUT)


def test_cids_are_handed_out_in_the_documented_form(sandbox: Running) -> None:
    found = cids(sandbox, "count=3&type=push").json()["cidlist"]
    assert len(set(found)) == 3
    for cid in found:
        assert cid.startswith(f"{APP_KEY}-")
        uuid.UUID(cid.removeprefix(f"{APP_KEY}-"))
    assert log(sandbox, "push")["token_calls"] == 1
    assert log(sandbox, "push")["calls"] == 0


@pytest.mark.parametrize("query", ["count=0", "count=1001", "count=x", "count=1&type=mail"])
def test_a_wrong_request_for_cids_is_refused(sandbox: Running, query: str) -> None:
    answer = cids(sandbox, query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 1003)


def test_a_push_reaches_every_registration_id_under_one_msg_id(sandbox: Running) -> None:
    answer = push(sandbox, options={"sendno": 7, "time_to_live": 60})
    assert (answer.status_code, answer.json()["sendno"]) == (200, "7")
    found = records(sandbox, "push")
    assert [record["recipient"] for record in found] == ["reg-1", "reg-2"]
    assert {record["message_id"] for record in found} == {answer.json()["msg_id"]}
    assert found[0]["content"]["body"] == "Hi"


def test_a_batch_answers_each_cid_for_itself(sandbox: Running) -> None:
    good, bad, foreign = new_cid(), new_cid(), f"otherapp-{uuid.uuid4()}"
    pushes = {good: single("reg-1", "Bonjour"), bad: {"platform": "all", "target": "reg-2"}, foreign: single("reg-3")}
    answer = push_batch(sandbox, pushes).json()
    assert answer[good]["msg_id"]
    assert answer[bad]["error"]["code"] == 1002
    assert answer[foreign]["error"]["code"] == 1003
    (record,) = records(sandbox, "push")
    assert (record["recipient"], record["reference"]) == ("reg-1", good)
    assert (record["content"]["title"], record["content"]["body"]) == ("Women's Day", "Bonjour")
    assert log(sandbox, "push")["refused"] == 2


def test_the_same_cid_answers_its_first_result_and_sends_nothing(sandbox: Running) -> None:
    cid, other = new_cid(), new_cid()
    first = push_batch(sandbox, {cid: single("reg-1")}).json()
    again = push_batch(sandbox, {cid: single("reg-1", "Another text"), other: single("reg-2")}).json()
    assert again[cid] == first[cid]
    assert again[other]["msg_id"] != first[cid]["msg_id"]
    assert [record["recipient"] for record in records(sandbox, "push")] == ["reg-1", "reg-2"]
    assert log(sandbox, "push")["duplicates"] == 0


def test_a_plain_push_is_idempotent_by_cid_as_well(sandbox: Running) -> None:
    cid = new_cid()
    assert push(sandbox, cid=cid).json() == push(sandbox, cid=cid).json()
    assert log(sandbox, "push")["accepted"] == 2
    assert push(sandbox, cid="mine").json()["error"]["code"] == 1003


def test_a_cid_that_was_refused_may_be_tried_again(sandbox: Running) -> None:
    cid = new_cid()
    fault(sandbox, "push", "recipient_error", count=1)
    assert push_batch(sandbox, {cid: single("reg-1")}).json()[cid]["error"]["code"] == 1011
    assert push_batch(sandbox, {cid: single("reg-1")}).json()[cid]["msg_id"]


def test_clearing_the_log_forgets_the_cids_too(sandbox: Running) -> None:
    cid = new_cid()
    first = push_batch(sandbox, {cid: single("reg-1")}).json()
    requests.delete(f"{sandbox.http}/_log", timeout=TIMEOUT)
    assert push_batch(sandbox, {cid: single("reg-1")}).json() != first
    assert log(sandbox, "push")["accepted"] == 1


def test_a_batch_holds_a_thousand_pushes_and_no_more(sandbox: Running) -> None:
    text = "春" * 300
    full = {new_cid(): single(f"reg-{n}", text) for n in range(1000)}
    assert len(push_batch(sandbox, full).json()) == 1000
    answer = push_batch(sandbox, {**full, new_cid(): single("reg-1001")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 1003)
    assert push_batch(sandbox, {}).status_code == 400
    assert log(sandbox, "push")["accepted"] == 1000


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"platform": None}, 1002),
        ({"platform": ["android", "windows"]}, 1003),
        ({"platform": [["android"]]}, 1003),
        ({"platform": []}, 1003),
        ({"audience": None}, 1002),
        ({"audience": "all"}, 1003),
        ({"audience": {"registration_id": []}}, 1003),
        ({"audience": {"registration_id": [f"r{n}" for n in range(1001)]}}, 1003),
        ({"audience": {"registration_id": ["two words"]}}, 1003),
        ({"notification": None}, 1002),
        ({"notification": {"android": {"title": "no alert"}}}, 1002),
        ({"notification": "text"}, 1002),
        ({"options": {"time_to_live": 15 * 86_400 + 1}}, 1003),
        ({"options": "none"}, 1003),
    ],
)
def test_a_push_outside_the_limits_is_refused(sandbox: Running, change: dict[str, object], code: int) -> None:
    answer = push(sandbox, **change)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert log(sandbox, "push")["accepted"] == 0


def test_wrong_credentials_are_refused_everywhere(sandbox: Running) -> None:
    wrong = basic(f"{APP_KEY}:guess")
    answers = [push_batch(sandbox, {new_cid(): single("reg-1")}, **wrong), cids(sandbox, "count=1", wrong)]
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, 1004)
    assert log(sandbox, "push")["accepted"] == 0


def test_a_wrong_method_is_refused(sandbox: Running) -> None:
    assert requests.get(f"{sandbox.http}/v3/push", headers=basic(), timeout=TIMEOUT).status_code == 405


def test_every_push_tells_the_rate_that_is_left(tmp_path: Path) -> None:
    with started(folder=tmp_path, config={"jpush": {"requests_per_minute": 2}}) as sandbox:
        answers = [push(sandbox) for _ in range(3)]
        assert [answer.headers["X-Rate-Limit-Remaining"] for answer in answers[:2]] == ["1", "0"]
        assert {answer.headers["X-Rate-Limit-Limit"] for answer in answers[:2]} == {"2"}
        assert (answers[2].status_code, answers[2].json()["error"]["code"]) == (429, 2002)
        assert 0 <= int(answers[2].headers["X-Rate-Limit-Reset"]) <= 60


def test_bad_registration_ids_among_good_ones_are_dropped_in_silence(sandbox: Running) -> None:
    fault(sandbox, "push", "recipient_error", match="reg-2")
    assert push(sandbox).status_code == 200
    assert [record["recipient"] for record in records(sandbox, "push")] == ["reg-1"]
    answer = push(sandbox, audience={"registration_id": ["reg-2"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 1011)
