import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.process import Running, started
from tests.conformance.sandbox_calls import TIMEOUT, fault, log, records, subscribe, token


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(folder=tmp_path_factory.mktemp("wechat")) as running:
        yield running


@pytest.fixture
def sandbox(process: Running) -> Running:
    for path in ("_log", "_faults"):
        requests.delete(f"{process.http}/{path}", timeout=TIMEOUT)
    return process


def errcode(answer: requests.Response) -> int:
    assert answer.status_code == 200
    code: int = answer.json()["errcode"]
    return code


def test_a_message_is_accepted_with_the_stable_token(sandbox: Running) -> None:
    answer = subscribe(sandbox, token(sandbox)["access_token"], "openid-7").json()
    assert (answer["errcode"], answer["errmsg"]) == (0, "ok")
    (record,) = records(sandbox, "mini_program")
    assert (record["recipient"], record["reference"]) == ("openid-7", None)
    assert record["message_id"] == str(answer["msgid"])
    assert record["content"]["data"]["thing1"] == {"value": "春日漫游"}


def test_the_stable_token_stays_the_same_and_its_calls_are_counted(sandbox: Running) -> None:
    first, again = token(sandbox), token(sandbox)
    assert first["access_token"] == again["access_token"]
    assert 0 < first["expires_in"] <= 7200
    assert log(sandbox, "mini_program")["token_calls"] == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"grant_type": "password"}, 40002),
        ({"appid": "wxother"}, 40013),
        ({"secret": "guess"}, 40125),
    ],
)
def test_no_token_without_the_right_account(sandbox: Running, change: dict[str, str], code: int) -> None:
    answer = token(sandbox, **change)
    assert answer["errcode"] == code
    assert "access_token" not in answer


def test_a_missing_and_an_unknown_token_are_told_apart(sandbox: Running) -> None:
    assert errcode(subscribe(sandbox, "")) == 41001
    assert errcode(subscribe(sandbox, "made-up")) == 40001
    assert log(sandbox, "mini_program")["accepted"] == 0


def test_a_token_expires_and_the_next_one_works(tmp_path: Path) -> None:
    with started(folder=tmp_path, config={"wechat": {"token_seconds": 0.5, "renew_before_seconds": 0}}) as sandbox:
        old = token(sandbox)["access_token"]
        assert errcode(subscribe(sandbox, old)) == 0
        deadline = time.monotonic() + 5
        while (code := errcode(subscribe(sandbox, old))) == 0 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert code == 42001
        assert errcode(subscribe(sandbox, token(sandbox)["access_token"])) == 0


def test_near_its_end_a_token_is_renewed_and_both_are_good(tmp_path: Path) -> None:
    with started(folder=tmp_path, config={"wechat": {"token_seconds": 4, "renew_before_seconds": 300}}) as sandbox:
        old = token(sandbox)["access_token"]
        deadline = time.monotonic() + 5
        while (new := token(sandbox)["access_token"]) == old and time.monotonic() < deadline:
            time.sleep(0.05)
        assert new != old
        assert [errcode(subscribe(sandbox, known)) for known in (old, new)] == [0, 0]


def test_a_forced_refresh_ends_the_old_token_and_is_limited(sandbox: Running) -> None:
    old = token(sandbox)["access_token"]
    new = token(sandbox, force_refresh=True)["access_token"]
    assert [errcode(subscribe(sandbox, known)) for known in (old, new)] == [42001, 0]
    assert token(sandbox, force_refresh=True)["errcode"] == 45011


def test_tokens_can_be_ended_in_the_middle_of_a_campaign(sandbox: Running) -> None:
    old = token(sandbox)["access_token"]
    assert requests.delete(f"{sandbox.http}/_tokens", timeout=TIMEOUT).json() == {"expired": 1}
    assert errcode(subscribe(sandbox, old)) == 42001
    assert errcode(subscribe(sandbox, token(sandbox)["access_token"])) == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"touser": ""}, 40003),
        ({"touser": "an openid"}, 40003),
        ({"template_id": ""}, 40037),
        ({"page": 3}, 41030),
        ({"miniprogram_state": "live"}, 47001),
        ({"lang": "zh"}, 47001),
        ({"data": {}}, 47003),
    ],
)
def test_a_message_with_a_wrong_part_is_refused(sandbox: Running, change: dict[str, Any], code: int) -> None:
    assert errcode(subscribe(sandbox, token(sandbox)["access_token"], **change)) == code


def test_a_field_over_its_limit_is_named(sandbox: Running) -> None:
    data = {"thing1": {"value": "short"}, "thing3": {"value": "漫" * 21}}
    answer = subscribe(sandbox, token(sandbox)["access_token"], data=data).json()
    assert answer["errcode"] == 47003
    assert answer["errmsg"].startswith("argument invalid! data.thing3.value invalid rid: ")


def test_chinese_must_come_as_utf_8_and_not_as_escapes(sandbox: Running) -> None:
    url = f"{sandbox.http}/cgi-bin/message/subscribe/send?access_token={token(sandbox)['access_token']}"
    message = {"touser": "openid-1", "template_id": "template-1", "data": {"thing1": {"value": "春日"}}}
    assert errcode(requests.post(url, data=json.dumps(message).encode(), timeout=TIMEOUT)) == 47001
    assert errcode(requests.post(url, data=json.dumps(message, ensure_ascii=False).encode(), timeout=TIMEOUT)) == 0
    assert errcode(requests.post(url, data=b"[]", timeout=TIMEOUT)) == 47001


def test_the_keys_of_a_known_template_must_all_be_there_and_no_others(tmp_path: Path) -> None:
    config = {"wechat": {"templates": {"template-1": ["thing1", "amount2"]}}}
    with started(folder=tmp_path, config=config) as sandbox:
        access = token(sandbox)["access_token"]
        assert errcode(subscribe(sandbox, access)) == 0
        assert errcode(subscribe(sandbox, access, template_id="template-2")) == 40037
        thing = {"thing1": {"value": "a"}}
        assert errcode(subscribe(sandbox, access, data=thing)) == 47003
        more = {**thing, "amount2": {"value": "1元"}, "thing5": {"value": "b"}}
        assert "data.thing5" in subscribe(sandbox, access, data=more).json()["errmsg"]


def test_grants_run_out_for_each_person_and_template(tmp_path: Path) -> None:
    config = {"wechat": {"default_grants": 1, "grants": {"openid-2": {"template-1": 2}}}}
    with started(folder=tmp_path, config=config) as sandbox:
        access = token(sandbox)["access_token"]
        assert [errcode(subscribe(sandbox, access, "openid-1")) for _ in range(2)] == [0, 43101]
        assert [errcode(subscribe(sandbox, access, "openid-2")) for _ in range(3)] == [0, 0, 43101]
        assert errcode(subscribe(sandbox, access, "openid-1", template_id="template-2")) == 0
        grant = {"openid": "openid-1", "template_id": "template-1", "count": 1}
        assert requests.post(f"{sandbox.http}/_grants", json=grant, timeout=TIMEOUT).status_code == 200
        assert [errcode(subscribe(sandbox, access, "openid-1")) for _ in range(2)] == [0, 43101]


def test_every_openid_has_grants_without_end_unless_configured(sandbox: Running) -> None:
    access = token(sandbox)["access_token"]
    assert [errcode(subscribe(sandbox, access)) for _ in range(5)] == [0] * 5
    assert log(sandbox, "mini_program")["max_per_recipient"] == 5
    assert log(sandbox, "mini_program")["duplicates"] == 4


def test_a_person_who_declined_is_refused_by_a_fault(sandbox: Running) -> None:
    access = token(sandbox)["access_token"]
    fault(sandbox, "mini_program", "recipient_error", match="openid-1")
    fault(sandbox, "mini_program", "recipient_error", match="openid-2", code=40003)
    assert [errcode(subscribe(sandbox, access, f"openid-{n}")) for n in (1, 2, 3)] == [43101, 40003, 0]
