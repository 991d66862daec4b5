"""Log lines: what they carry, and what they never show."""

import io
import json
import logging
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import yaml

import logs

ID = UUID("0d0f5f3e-9f0a-8c3b-a1b2-000000000001")


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def logger(out: io.StringIO, formatter: logging.Formatter) -> logging.Logger:
    made = logging.Logger("channels.sender")  # noqa: LOG001 - one of the test's own, that nobody else sees
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    made.addHandler(handler)
    return made


def line(out: io.StringIO) -> dict[str, Any]:
    (written,) = out.getvalue().splitlines()
    found: dict[str, Any] = json.loads(written)
    return found


def test_a_line_is_one_json_document_with_its_event_and_its_facts(out: io.StringIO) -> None:
    logger(out, logs.JsonLines()).info("sender_ended", extra={"distribution_id": 7, "sender": ID, "sent": {"sms": 3}})
    told = line(out)
    assert list(told)[:4] == ["at", "level", "logger", "event"]
    assert datetime.fromisoformat(told.pop("at")).tzinfo is UTC
    assert told == {
        "level": "INFO",
        "logger": "channels.sender",
        "event": "sender_ended",
        "distribution_id": 7,
        "sender": str(ID),
        "sent": {"sms": 3},
    }


def test_ids_that_are_bound_are_in_every_line_from_within(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "run-1")
    log = logger(out, logs.JsonLines())
    with logs.bound(theme="womens-day", distribution_id=1), logs.bound(distribution_id=2):
        log.info("claimed")
    log.info("later")
    first, second = (json.loads(one) for one in out.getvalue().splitlines())
    assert (first["theme"], first["distribution_id"], first["flow_run_id"]) == ("womens-day", 2, "run-1")
    assert ("theme" in second, second["flow_run_id"]) == (False, "run-1")


def test_a_failure_is_told_with_its_traceback_in_the_same_line(out: io.StringIO) -> None:
    try:
        int("no route to ann@example.com")
    except ValueError:
        logger(out, logs.JsonLines()).exception("provider_raised")
    told = line(out)
    assert "'no route to <email>'" in told["exception"]
    assert "test_logs.py" in told["exception"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("550 <ann.b+c@mail.example.co.uk> unknown", "550 <<email>> unknown"),
        ("to +8613800138000: refused", "to <phone>: refused"),
        ("mobile 13800138000", "mobile <phone>"),
        ("openid oSandbox_0000000000000000001 refused", "openid <openid> refused"),
        ("postgresql://app:hidden@db/themeline", "postgresql://***@db/themeline"),
        ("GET /cgi-bin/token?access_token=abc123&x=1", "GET /cgi-bin/token?access_token=***&x=1"),
        ('{"Signature": "Zm9v", "a": 1}', '{"Signature": "***", "a": 1}'),
        ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
        ("POST /callbacks/sms-main/0123456789abcdef HTTP/1.1", "POST /callbacks/sms-main/*** HTTP/1.1"),
        ("POST /u/0123456789abcdef.sig", "POST /u/***"),
        # what ops need stays
        ("biz id 900619746936498440^0 of 2026-03-08T00:00:00+00:00", None),
        (f"delivery {ID} of distribution 12345678901", None),
        ("isv.BUSINESS_LIMIT_CONTROL after 1700000000000 ms", None),
    ],
)
def test_neither_secret_nor_address_is_shown_in_clear(out: io.StringIO, text: str, shown: str | None) -> None:
    assert logs.redacted(text) == (shown or text)
    logger(out, logs.TextLines()).info("%s", text)
    assert (shown or text) in out.getvalue()


def test_values_are_hidden_by_their_names_at_any_depth(out: io.StringIO) -> None:
    facts = {"address": "1a0018970a1", "call": {"token": "t", "to": ["x"], "tries": 2}, "people": ["ann@example.com"]}
    logger(out, logs.JsonLines()).info("called", extra=facts)
    told = line(out)
    assert (told["address"], told["call"]) == ("<address>", {"token": "***", "to": "<address>", "tries": 2})
    assert told["people"] == ["<email>"]


def test_what_prefect_keeps_is_redacted_as_well() -> None:
    record = logging.LogRecord("prefect.flow_runs", logging.INFO, "", 0, "sent to %s", ("ann@example.com",), None)
    assert logs.Redacted().filter(record)
    assert record.getMessage() == "sent to <email>"


def test_the_form_of_prefects_processes_is_one_that_logging_takes() -> None:
    text = logs.PREFECT_LOGGING.read_text(encoding="utf-8")
    told = yaml.safe_load(re.sub(r"\$\{\w+\}", "INFO", text))
    used = {name for logger in [told["root"], *told["loggers"].values()] for name in logger.get("handlers", ())}
    assert used == set(told["handlers"])
    assert all(hasattr(logs, entry["()"].removeprefix("logs.")) for entry in told["formatters"].values())


def test_configuring_makes_every_logger_write_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.configure(logs.LogFormat.JSON)
        logging.getLogger("console.http").info("callback", extra={"account": "sms-main"})
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    assert json.loads(capsys.readouterr().err)["account"] == "sms-main"
