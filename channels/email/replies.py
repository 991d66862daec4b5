"""What an SMTP server's reply means: RFC 5321 codes and RFC 3463 enhanced codes in our classes."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from channels.refusal import Refusal
from channels.states import ErrorClass


class Stage(StrEnum):
    """The command that a reply answers; a bare code means other things at other stages."""

    CONNECT = "connect"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DONE = "done"  # after the final dot
    RESET = "rset"
    QUIT = "quit"


#: Enhanced codes in our classes: the exact one first, then its subject (`5.7`), then its class (`5`).
TERMS: Mapping[str, ErrorClass] = {
    **dict.fromkeys(("5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"), ErrorClass.BAD_RECIPIENT),
    **dict.fromkeys(("5.1.7", "5.1.8", "5.7.8", "5.7.9", "5.7.11", "5.7.26"), ErrorClass.CONFIG),
    **dict.fromkeys(("5.2.3", "5.3.4", "5.6", "5.7"), ErrorClass.CONTENT),
    **dict.fromkeys(("4.2.1", "4.7"), ErrorClass.THROTTLED),
    **dict.fromkeys(("4.5.3",), ErrorClass.THROTTLED),
    **dict.fromkeys(("4.2.2", "5.2.2"), ErrorClass.QUOTA),
    **dict.fromkeys(("4.3", "4.4", "5.3", "5.4", "4"), ErrorClass.DOWN),
}
#: Codes without an enhanced one, where they mean the same at every stage.
CODES: Mapping[int, ErrorClass] = {
    421: ErrorClass.DOWN,
    450: ErrorClass.THROTTLED,
    530: ErrorClass.CONFIG,
    534: ErrorClass.CONFIG,
    535: ErrorClass.CONFIG,
    538: ErrorClass.CONFIG,
}
#: And where they do not. What is in neither is `down` when temporary, else unrecognised.
STAGE_CODES: Mapping[tuple[Stage, int], ErrorClass] = {
    (Stage.RCPT, 550): ErrorClass.BAD_RECIPIENT,
    (Stage.RCPT, 551): ErrorClass.BAD_RECIPIENT,
    (Stage.RCPT, 552): ErrorClass.QUOTA,
    (Stage.RCPT, 553): ErrorClass.BAD_RECIPIENT,
    (Stage.DATA, 554): ErrorClass.CONTENT,
    (Stage.DONE, 550): ErrorClass.CONTENT,
    (Stage.DONE, 552): ErrorClass.CONTENT,
    (Stage.DONE, 554): ErrorClass.CONTENT,
}
#: A server that greylists wants to be left alone for some minutes, if it does not say for how many.
GREYLISTED = timedelta(minutes=5)
_WAIT = re.compile(r"\b(\d{1,5}) (second|minute)s?\b")
_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})\b")
_PERMANENT = 500
CLOSING = 421


def refusal(stage: Stage, code: int, text: str) -> Refusal:
    enhanced = _ENHANCED.match(text)
    status = enhanced.group() if enhanced else ""
    return Refusal(
        error=class_of(stage, code, status),
        code=f"{code} {status}".rstrip(),
        detail=f"{stage}: {text}".replace("\n", " "),
        retry_after=_retry_after(code, status, text) if code < _PERMANENT else None,
        about_recipient=stage is Stage.RCPT and code != CLOSING,
    )


def class_of(stage: Stage, code: int, status: str) -> ErrorClass:
    """`status` is the enhanced code or empty."""
    if stage in {Stage.CONNECT, Stage.AUTH, Stage.MAIL} and code >= _PERMANENT:
        return ErrorClass.CONFIG  # not about this message: the server will not have us
    subject = status.rpartition(".")[0]
    for term in (status, subject, subject.partition(".")[0]):
        if term in TERMS:
            return TERMS[term]
    known = STAGE_CODES.get((stage, code)) or CODES.get(code)
    if known is not None:
        return known
    return ErrorClass.UNRECOGNISED if code >= _PERMANENT else ErrorClass.DOWN


def _retry_after(code: int, status: str, text: str) -> timedelta | None:
    wait = _WAIT.search(text)
    if wait is not None:
        return timedelta(**{f"{wait[2]}s": int(wait[1])})
    return GREYLISTED if code in {450, 451} and status == "4.7.1" else None
