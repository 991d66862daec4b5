"""What is logged, and how: text for people or one JSON document a line, with the ids that belong to it.

Neither form shows a secret or an address in clear. Call sites name neither to begin with; this is the second line.
"""

import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

from pythonjsonlogger.core import LogData
from pythonjsonlogger.json import JsonFormatter

TEXT = "%(asctime)s %(levelname)-7s %(name)s - %(message)s"
HIDDEN = "***"
#: How Prefect's processes log where the form is JSON.
PREFECT_LOGGING = Path(__file__).with_name("prefect-logging.yaml")

#: Values under these names are never shown, whatever they hold.
_SECRET_NAMES = frozenset(
    {"authorization", "code", "password", "secret", "secret_key", "token", "totp", "access_token", "api_key", "key"}
)
_ADDRESS_NAMES = frozenset({"address", "email", "openid", "phone", "recipient", "registration_id", "to"})

_PATTERNS = (
    # user:password@ of a database or a proxy
    (re.compile(r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (
        re.compile(
            r"(?i)\b((?:access_?|refresh_?)?token|secret(?:_?key)?|password|signature|api_?key|authorization)"
            r"""(["']?\s*[=:]\s*["']?)(?!bearer|basic)[^\s"',;&]+"""
        ),
        rf"\1\2{HIDDEN}",
    ),
    # the secret part of a callback's path, and the signed part of a link in a message
    (re.compile(r"(/callbacks/[^/\s]+/)[^/\s?\"]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(/[ucor]/)[\w.~-]{16,}"), rf"\1{HIDDEN}"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"(?<![\w-])\+\d{7,15}\b"), "<phone>"),
    (re.compile(r"(?<![\w.+-])1[3-9]\d{9}(?![\w.-])"), "<phone>"),  # a Chinese mobile number as providers write it
    (re.compile(r"\bo[\w-]{27}\b"), "<openid>"),
)

_ids: ContextVar[Mapping[str, object]] = ContextVar("ids of log lines")
#: What Prefect tells a process of the run that it was started for.
_RUN_VARIABLE = "PREFECT__FLOW_RUN_ID"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


@contextmanager
def bound(**ids: object) -> Iterator[None]:
    """Every line from within carries these ids as well."""
    token = _ids.set({**_ids.get({}), **ids})
    try:
        yield
    finally:
        _ids.reset(token)


def redacted(text: str) -> str:
    """The text, without what looks like a secret, an e-mail address, a phone number or an OpenID."""
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return text


class Redacted(logging.Filter):
    """For handlers that write by no formatter of ours, such as those of Prefect's own server."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), ()
        return True


class TextLines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__(TEXT)

    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in _bound_ids().items())
        return redacted(f"{super().format(record)}{f' [{ids}]' if ids else ''}")


class JsonLines(JsonFormatter):
    """One document a line: at, level, logger, event, then ids and facts."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger", "message": "event", "exc_info": "exception"},
            timestamp="at",
            json_ensure_ascii=False,
        )

    def add_fields(self, log_data: LogData, record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        super().add_fields(log_data, record, message_dict)
        for name, value in _bound_ids().items():
            log_data.setdefault(name, value)

    def process_log_record(self, log_data: LogData) -> LogData:
        told = super().process_log_record(log_data)
        at = told.pop("at", None)
        return {name: _shown(name, value) for name, value in {"at": at, **told}.items()}


def configure(form: LogFormat, *, level: int = logging.INFO) -> None:
    """Let every logger of this process write to standard error in this form; asked again it changes nothing more."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form is LogFormat.JSON else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)


def _bound_ids() -> dict[str, object]:
    run = os.environ.get(_RUN_VARIABLE)
    return {**({"flow_run_id": run} if run else {}), **_ids.get({})}


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401 - whatever was logged
    if value is None or isinstance(value, bool):
        return value
    if name.lower() in _SECRET_NAMES | _ADDRESS_NAMES:
        return HIDDEN if name.lower() in _SECRET_NAMES else "<address>"
    if isinstance(value, Mapping):
        return {key: _shown(str(key), part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_shown("", part) for part in value]
    return value if isinstance(value, int | float) else redacted(_text(value))


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)
