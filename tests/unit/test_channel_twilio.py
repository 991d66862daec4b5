"""Answers of Twilio as they are documented, given by a transport that plays them."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs
from uuid import UUID

import pytest

from channels.errors import QueryRefused
from channels.message import Fate, Found, Inquiry, Message, Outcome, SmsContent
from channels.sms.twilio import FATES, TwilioSms, from_settings
from channels.states import ErrorClass
from tests.unit.test_channel_terms import Play

ACCOUNT = "AC" + "0" * 32
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
QUESTION = Inquiry(delivery_id=UUID(int=1), address="+14155550123", began_at=NOW)


def provider(play: Play) -> TwilioSms:
    settings = {"account_sid": ACCOUNT, "sender": "+14155550100"}
    return from_settings(account="main", settings=settings, secrets={"auth_token": "top-secret"}, transport=play)


def send(play: Play) -> Outcome:
    message = Message(delivery_id=UUID(int=1), address="+14155550123", content=SmsContent(text="Hi & bye"))
    (outcome,) = asyncio.run(provider(play).send([message]))
    return outcome


def inquire(play: Play) -> Found:
    (found,) = asyncio.run(provider(play).inquire([QUESTION]))
    return found


def listed(*items: dict[str, object], more: str | None = None) -> dict[str, object]:
    return {"messages": list(items), "next_page_uri": more}


def item(sid: str = "SM1", status: str = "sent", at: datetime | str = NOW, **other: object) -> dict[str, object]:
    created = format_datetime(at) if isinstance(at, datetime) else at
    return {"sid": sid, "status": status, "date_created": created, "direction": "outbound-api", **other}


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (21211, 400, ErrorClass.BAD_RECIPIENT),
        (21614, 400, ErrorClass.BAD_RECIPIENT),
        (21610, 400, ErrorClass.UNSUBSCRIBED),
        (20003, 401, ErrorClass.CONFIG),
        (21608, 400, ErrorClass.CONFIG),
        (21617, 400, ErrorClass.CONTENT),
        (20429, 429, ErrorClass.THROTTLED),
        (21730, 503, ErrorClass.DOWN),
        (21408, 403, ErrorClass.UNRECOGNISED),  # one region is no reason to pause the account
        (21612, 400, ErrorClass.UNRECOGNISED),
        (99999, 400, ErrorClass.UNRECOGNISED),
        (99999, 500, ErrorClass.DOWN),
    ],
)
def test_twilio_code_is_the_class(code: int, status: int, expected: ErrorClass) -> None:
    outcome = send(Play({"code": code, "message": "m", "more_info": "…", "status": status}, status=status))
    assert (outcome.error, outcome.code, outcome.detail) == (expected, str(code), "m")


def test_accepted_message_has_the_id_and_the_form_what_the_account_says() -> None:
    play = Play({"sid": "SM7", "status": "queued", "error_code": None}, status=201)
    outcome = send(play)
    assert (outcome.error, outcome.provider_message_id) == (None, "SM7")
    url, body = play.asked[0]
    assert url == f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert parse_qs(body.decode()) == {
        "To": ["+14155550123"],
        "From": ["+14155550100"],
        "Body": ["Hi & bye"],
        "ValidityPeriod": ["36000"],
    }
    assert "top-secret" not in url + body.decode()


@pytest.mark.parametrize("answer", [b"<html>", b"[]", {"status": "queued"}])
def test_success_that_cannot_be_read_may_be_an_acceptance(answer: object) -> None:
    assert send(Play(answer, status=201)).error is ErrorClass.UNKNOWN_OUTCOME


def test_throttled_account_waits_as_long_as_it_is_told() -> None:
    outcome = send(Play({"code": 20429, "message": "m"}, status=429, headers={"Retry-After": "3"}))
    assert (outcome.retry_after, outcome.about_recipient) == (timedelta(seconds=3), False)


def test_every_status_of_a_message_has_a_fate() -> None:
    documented = "queued sending sent failed delivered undelivered accepted scheduled read canceled"
    assert set(FATES) == set(documented.split())


def test_nothing_listed_means_that_twilio_has_no_such_message() -> None:
    assert inquire(Play(listed())).fate is None


def test_message_from_before_the_call_or_from_the_person_is_not_the_one() -> None:
    before = item(at=NOW - timedelta(minutes=5, seconds=1))
    assert inquire(Play(listed(before, item(direction="inbound")))).fate is None
    assert inquire(Play(listed(item(at=NOW - timedelta(minutes=4))))).fate is Fate.SENT


def test_message_without_a_time_may_be_the_one() -> None:
    assert inquire(Play(listed(item(at="soon")))).provider_message_id == "SM1"


def test_refusal_by_the_carrier_is_told_with_its_code() -> None:
    found = inquire(Play(listed(item(status="undelivered", error_code=30005, error_message="unknown handset"))))
    assert (found.fate, found.code, found.detail) == (Fate.FAILED, "30005", "unknown handset")


def test_several_that_fared_differently_are_only_known_to_have_been_sent() -> None:
    found = inquire(Play(listed(item("SM1", "failed"), item("SM2", "delivered"))))
    assert (found.fate, found.provider_message_id) == (Fate.SENT, None)


def test_next_page_is_asked_of_the_account_s_own_origin_only() -> None:
    play = Play(listed(item("SM1"), more="/2010-04-01/next?Page=1"), listed())
    assert inquire(play).provider_message_id == "SM1"
    assert play.asked[1][0] == "https://api.twilio.com/2010-04-01/next?Page=1"
    with pytest.raises(QueryRefused):
        inquire(Play(listed(more="https://elsewhere.example/")))


@pytest.mark.parametrize("answer", [b"<html>", {"sid": "SM1"}, {"code": 20500, "message": "down"}])
def test_question_that_is_not_answered_stays_open(answer: object) -> None:
    with pytest.raises(QueryRefused):
        inquire(Play(answer, status=200 if answer == {"sid": "SM1"} else 500))
