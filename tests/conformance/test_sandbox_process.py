import gc
import io
import json
import signal
import socket
import stat
import subprocess
import sys
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from sandbox.__main__ import main
from sandbox.process import Running, start, started, stop
from tests.conformance.sandbox_calls import (
    TIMEOUT,
    fault,
    log,
    mail_to,
    new_cid,
    push_batch,
    records,
    single,
    sms_batch,
    sms_details,
    smtp,
    subscribe,
    token,
)


@dataclass(frozen=True)
class Refused:
    returncode: int
    stderr: str


def refused(*arguments: str) -> Refused:
    """What the command says, in this process: a process of its own would spend its time on imports."""
    said, thresholds = io.StringIO(), gc.get_threshold()
    try:
        with redirect_stderr(said):
            status = main(arguments)
    except SystemExit as ended:  # by argparse
        status = int(ended.code or 0)
    finally:
        gc.set_threshold(*thresholds)
    return Refused(status, said.getvalue())


def kill(running: Running) -> None:
    running.process.send_signal(signal.SIGKILL)
    running.process.wait(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_when_told_to(tmp_path: Path, number: signal.Signals) -> None:
    running = start(folder=tmp_path)
    client = smtp(running)
    requests.get(f"{running.http}/_log", timeout=TIMEOUT)
    running.process.send_signal(number)
    assert running.process.wait(timeout=10) == 0
    assert client.getreply()[0] == 421
    client.close()
    assert list(tmp_path.rglob("ready.json")) == []


def test_it_ends_while_calls_hang(tmp_path: Path) -> None:
    running = start(folder=tmp_path)
    fault(running, "push", "hang")
    with pytest.raises(requests.Timeout):
        requests.post(
            f"{running.http}/v3/push/batch/regid/single",
            json={"pushlist": {new_cid(): single("reg-1")}},
            auth=("sandboxappkey0000000000", "sandbox-master"),
            timeout=0.3,
        )
    assert stop(running) == 0


def test_without_a_ready_file_it_says_where_it_listens() -> None:
    process = subprocess.Popen([sys.executable, "-m", "sandbox"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=10)
    assert said["pid"] == process.pid
    assert said["http"].startswith("http://127.0.0.1:")
    assert set(said["smtp"]) == {"host", "port"}


@pytest.mark.parametrize("option", ["--http-port", "--smtp-port"])
def test_a_busy_port_is_named_with_the_remedy(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = refused(option, str(port), "--ready-file", str(tmp_path / "ready.json"))
    assert ended.returncode == 2
    assert f"port {port}: it is in use" in ended.stderr
    assert option in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "ready.json").exists()


def test_a_host_that_is_not_this_one_is_named_in_one_line() -> None:
    command = [sys.executable, "-m", "sandbox", "--host", "192.0.2.1"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "192.0.2.1" in ended.stderr
    assert "pass another --host" in ended.stderr


def test_a_port_that_cannot_be_is_refused() -> None:
    for port in ("70000", "-1", "http"):
        ended = refused("--http-port", port)
        assert ended.returncode == 2
        assert "0 to 65535" in ended.stderr or "expected one argument" in ended.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ('{"aliyun": {"acces_key_id": "x"}}', "aliyun.acces_key_id"),
        ('{"wechat": {"token_seconds": -1}}', "wechat.token_seconds"),
        ("[]", "the whole file"),
    ],
)
def test_a_wrong_configuration_is_named_in_one_line(tmp_path: Path, content: str, said: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(content, encoding="utf-8")
    ended = refused("--config", str(config))
    assert ended.returncode == 2
    assert said in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_files_that_cannot_be_used_are_named_in_one_line(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "missing" / "file")
    for option in ("--config", "--journal", "--ready-file"):
        ended = refused(option, nowhere)
        assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
        assert nowhere in ended.stderr


def test_what_was_accepted_survives_a_kill(tmp_path: Path) -> None:
    journal, cid = tmp_path / "journal", new_cid()
    running = start(folder=tmp_path, journal=journal)
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    access = token(running)["access_token"]
    biz_id = sms_batch(["13800000001", "13800000002"], out_id="o-1").send(running).json()["BizId"]
    first = push_batch(running, {cid: single("reg-1")}).json()
    subscribe(running, access)
    with smtp(running) as client:
        client.send_message(mail_to("a@example.com"))
        kill(running)
    with started(folder=tmp_path, journal=journal) as again:
        assert [log(again, channel)["accepted"] for channel in ("sms", "email", "push", "mini_program")] == [2, 1, 1, 1]
        assert push_batch(again, {cid: single("reg-1")}).json() == first
        assert log(again, "push")["accepted"] == 1
        assert subscribe(again, access).json()["errcode"] == 0
        assert token(again)["access_token"] == access
        assert sms_details("13800000002", BizId=biz_id).send(again).json()["TotalCount"] == 1
        assert records(again, "email")[0]["content"]["subject"] == "女王节"
        numbers = [record["call"] for record in records(again, "mini_program")]
        assert len(set(numbers)) == 2


def test_every_answer_that_was_given_is_in_the_journal_whenever_it_is_killed(tmp_path: Path) -> None:
    journal, told = tmp_path / "journal", 0
    for batch in range(3):
        running = start(folder=tmp_path, journal=journal)
        with requests.Session() as session:
            session.auth = ("sandboxappkey0000000000", "sandbox-master")
            for n in range(40):
                body = {"pushlist": {new_cid(): single(f"reg-{batch}-{n}")}}
                answer = session.post(f"{running.http}/v3/push/batch/regid/single", json=body, timeout=TIMEOUT)
                told += answer.status_code == 200
        kill(running)
    with started(folder=tmp_path, journal=journal) as last:
        assert log(last, "push")["recipients"] == told == 120


def test_a_torn_last_line_is_dropped_and_a_broken_one_named(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with started(folder=tmp_path, journal=journal) as running:
        push_batch(running, {new_cid(): single("reg-1")})
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"channel":"push","ca')
    with started(folder=tmp_path, journal=journal) as running:
        assert log(running, "push")["accepted"] == 1
        push_batch(running, {new_cid(): single("reg-2")})
    with started(folder=tmp_path, journal=journal) as running:
        assert log(running, "push")["accepted"] == 2
    journal.write_bytes(b"nonsense\n" + whole)
    ended = refused("--journal", str(journal))
    assert ended.returncode == 2
    assert "line 1" in ended.stderr


def test_clearing_the_log_clears_the_journal_and_keeps_the_token(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with started(folder=tmp_path, journal=journal) as running:
        access = token(running)["access_token"]
        subscribe(running, access)
        assert requests.delete(f"{running.http}/_log", timeout=TIMEOUT).json() == {"cleared": True}
    with started(folder=tmp_path, journal=journal) as again:
        assert log(again, "mini_program")["accepted"] == 0
        assert subscribe(again, access).json()["errcode"] == 0


def test_two_sandboxes_cannot_share_a_journal(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with started(folder=tmp_path, journal=journal):
        ended = refused("--journal", str(journal))
    assert ended.returncode == 2
    assert "running sandbox" in ended.stderr


def test_the_log_is_asked_for_by_channel_recipient_and_page(tmp_path: Path) -> None:
    with started(folder=tmp_path) as sandbox:
        for n in range(3):
            push_batch(sandbox, {new_cid(): single(f"reg-{n}")})
        assert [r["recipient"] for r in records(sandbox, "push", offset="1", limit="1")] == ["reg-1"]
        assert [r["recipient"] for r in records(sandbox, "push", recipient="reg-2")] == ["reg-2"]
        answer = requests.get(f"{sandbox.http}/_log?channel=push", timeout=TIMEOUT).json()
        assert list(answer["channels"]) == ["push"]
        for query, field in (
            ("channel=fax", "channel"),
            ("records=1", "channel"),
            ("records=yes", "records"),
            ("channel=push&records=1&limit=-1", "limit"),
            ("page=2", "page"),
        ):
            refused = requests.get(f"{sandbox.http}/_log?{query}", timeout=TIMEOUT)
            assert (refused.status_code, refused.json()["field"]) == (400, field)


def test_an_unknown_address_is_answered_with_those_that_are_there(tmp_path: Path) -> None:
    with started(folder=tmp_path) as sandbox:
        answer = requests.get(f"{sandbox.http}/_nothing", timeout=TIMEOUT)
        assert answer.status_code == 404
        assert "GET /_log" in answer.json()["error"]
        assert requests.get(f"{sandbox.http}/v4/push", timeout=TIMEOUT).status_code == 404
        grant = {"openid": "o", "template_id": "t", "count": "two"}
        refused = requests.post(f"{sandbox.http}/_grants", json=grant, timeout=TIMEOUT)
        assert (refused.status_code, refused.json()["field"]) == (400, "count")


def test_without_content_the_counts_are_the_same(tmp_path: Path) -> None:
    with started(folder=tmp_path, config={"keep_content": False}) as sandbox:
        push_batch(sandbox, {new_cid(): single("reg-1")})
        (record,) = records(sandbox, "push")
        assert (record["recipient"], record["content"]) == ("reg-1", None)


def test_the_ready_file_tells_where_it_listens_and_which_process_it_is(tmp_path: Path) -> None:
    with started(folder=tmp_path) as sandbox:
        (ready,) = tmp_path.rglob("ready.json")
        assert json.loads(ready.read_text(encoding="utf-8")) == {
            "http": sandbox.http,
            "smtp": {"host": sandbox.smtp_host, "port": sandbox.smtp_port},
            "pid": sandbox.process.pid,
        }
