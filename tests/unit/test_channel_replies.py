from datetime import timedelta

import pytest

from channels.email.replies import GREYLISTED, Stage, refusal
from channels.states import ErrorClass


@pytest.mark.parametrize(
    ("stage", "code", "text", "expected"),
    [
        (Stage.RCPT, 550, "5.1.1 no such user", ErrorClass.BAD_RECIPIENT),
        (Stage.RCPT, 550, "5.1.10 null MX", ErrorClass.BAD_RECIPIENT),
        (Stage.RCPT, 550, "5.2.1 mailbox disabled", ErrorClass.BAD_RECIPIENT),
        (Stage.RCPT, 550, "No such user", ErrorClass.BAD_RECIPIENT),  # RFC 5321 without enhanced codes
        (Stage.RCPT, 552, "5.2.2 mailbox full", ErrorClass.QUOTA),
        (Stage.RCPT, 452, "4.2.2 out of storage", ErrorClass.QUOTA),
        (Stage.RCPT, 450, "4.2.1 receiving too quickly", ErrorClass.THROTTLED),
        (Stage.RCPT, 450, "4.7.1 greylisted", ErrorClass.THROTTLED),
        (Stage.RCPT, 451, "4.3.0 local error", ErrorClass.DOWN),
        (Stage.RCPT, 451, "try again", ErrorClass.DOWN),
        (Stage.RCPT, 452, "4.5.3 too many recipients", ErrorClass.THROTTLED),
        (Stage.RCPT, 421, "4.7.28 unusual rate", ErrorClass.THROTTLED),
        (Stage.RCPT, 421, "closing", ErrorClass.DOWN),
        (Stage.RCPT, 550, "5.7.1 policy", ErrorClass.CONTENT),  # never suppresses the address
        (Stage.DONE, 550, "5.7.26 unauthenticated", ErrorClass.CONFIG),
        (Stage.DONE, 554, "5.7.1 spam", ErrorClass.CONTENT),
        (Stage.DONE, 552, "5.3.4 too big", ErrorClass.CONTENT),
        (Stage.DONE, 554, "transaction failed", ErrorClass.CONTENT),
        (Stage.DONE, 451, "4.4.1 no route", ErrorClass.DOWN),
        (Stage.AUTH, 535, "5.7.8 bad credentials", ErrorClass.CONFIG),
        (Stage.AUTH, 454, "4.7.0 temporary", ErrorClass.THROTTLED),
        (Stage.CONNECT, 554, "no service for you", ErrorClass.CONFIG),
        (Stage.CONNECT, 421, "too busy", ErrorClass.DOWN),
        (Stage.MAIL, 530, "5.7.0 must issue STARTTLS", ErrorClass.CONFIG),
        (Stage.MAIL, 550, "5.7.1 sender refused", ErrorClass.CONFIG),
        (Stage.RCPT, 599, "9.9.9 never heard of", ErrorClass.UNRECOGNISED),
        (Stage.DONE, 571, "what is this", ErrorClass.UNRECOGNISED),
    ],
)
def test_reply_means(stage: Stage, code: int, text: str, expected: ErrorClass) -> None:
    assert refusal(stage, code, text).error is expected


def test_greylisting_server_is_left_alone_for_minutes() -> None:
    assert refusal(Stage.RCPT, 450, "4.7.1 greylisted").retry_after == GREYLISTED


def test_wait_that_the_server_names_is_kept() -> None:
    assert refusal(Stage.RCPT, 450, "4.7.1 greylisted, try again in 90 seconds").retry_after == timedelta(seconds=90)
    assert refusal(Stage.CONNECT, 421, "4.7.0 come back in 2 minutes").retry_after == timedelta(minutes=2)


def test_reply_to_a_recipient_says_nothing_about_the_account() -> None:
    assert refusal(Stage.RCPT, 450, "4.2.1 receiving too quickly").about_recipient
    assert not refusal(Stage.RCPT, 421, "4.7.0 closing").about_recipient
    assert not refusal(Stage.MAIL, 450, "4.7.0 too fast").about_recipient


def test_code_and_words_of_the_server_are_kept() -> None:
    kept = refusal(Stage.RCPT, 550, "5.1.1 no such user")
    assert (kept.code, kept.detail) == ("550 5.1.1", "rcpt: 5.1.1 no such user")
