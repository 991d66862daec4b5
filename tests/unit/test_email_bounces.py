"""What comes back to an account, in the forms that servers really use, and in those that nobody should."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.callbacks import Callback, CallbackUnreadable, Heard
from channels.email.bounces import read
from channels.email.verp import ReturnPath
from channels.message import Receipt, ReceiptKind
from channels.states import ErrorClass

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)
DELIVERY = UUID("3fd0c9c8-33a1-5a51-9c3c-52c5a9d1f0aa")
KEY = "a key of the account"
SIGNS = {"sender": "news@shop.example", "bounce_address": "bounces@shop.example", "bounce_key": KEY}
DOES_NOT = {"sender": "news@shop.example"}
SIGNED = ReturnPath(address="bounces@shop.example", key=KEY.encode()).of(DELIVERY)

#: As Postfix 3.7 writes it, but for the addresses.
POSTFIX = """\
Return-Path: <>
Received: by mx.shop.example (Postfix)
\tid A70F42E20B3; Sun,  8 Mar 2026 10:00:00 +0000 (UTC)
Date: Sun,  8 Mar 2026 09:59:58 +0000 (UTC)
From: Mail Delivery System <MAILER-DAEMON@relay.example>
Subject: Undelivered Mail Returned to Sender
To: {to}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="9D1692E20AD.1795319474/relay.example"
Message-Id: <20260308095958.A70F42E20B3@relay.example>
Content-Transfer-Encoding: 7bit

This is a MIME-encapsulated message.

--9D1692E20AD.1795319474/relay.example
Content-Description: Notification
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

This is the mail system at host relay.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

<ann@home.example>: host mx.home.example[192.0.2.7] said: 550 5.1.1 no such=
 user (in reply to RCPT TO command)

--9D1692E20AD.1795319474/relay.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; relay.example
Original-Envelope-Id: {envelope}
X-Postfix-Queue-ID: 9D1692E20AD
X-Postfix-Sender: rfc822; {to}
Arrival-Date: Sun,  8 Mar 2026 09:59:57 +0000 (UTC)

Final-Recipient: rfc822; ann@inner.example
Original-Recipient: rfc822;ann@home.example
Action: {action}
Status: {status}
Remote-MTA: dns; mx.home.example
Diagnostic-Code: smtp; {diagnostic}

--9D1692E20AD.1795319474/relay.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers
Content-Transfer-Encoding: quoted-printable

Return-Path: <{returned}>
Received: from shop.example (unknown [192.0.2.1])
\tby relay.example (Postfix) with ESMTP id 9D1692E20AD
\tfor <ann@home.example>; Sun,  8 Mar 2026 09:59:57 +0000 (UTC)
From: Shop <news@shop.example>
To: ann@home.example
Subject: s
Message-ID: <{message_id}@shop.example>
Content-Type: text/plain; charset=3D"us-ascii"

--9D1692E20AD.1795319474/relay.example--
"""

ARF = """\
From: <abuse@mailbox.example>
Date: Sun, 8 Mar 2026 11:00:00 +0000
Subject: FW: Women's Day
To: <abuse@shop.example>
Message-ID: <arf-1@mailbox.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=part

--part
Content-Type: text/plain

This is an email abuse report.

--part
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <{returned}>
Original-Rcpt-To: <ann@home.example>

--part
Content-Type: message/rfc822

From: Shop <news@shop.example>
To: ann@home.example
Message-ID: <{message_id}@shop.example>
Subject: Women's Day

Hello
--part--
"""

QMAIL = """\
Return-Path: <>
Date: 8 Mar 2026 09:00:00 -0000
From: MAILER-DAEMON@mx.home.example
To: {to}
Subject: {subject}

Hi. This is the qmail-send program at mx.home.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@home.example>:
{said}

--- Below this line is a copy of the message.

Subject: 450 reasons to come
"""


def notification(**given: str) -> bytes:
    values = {
        "to": SIGNED,
        "envelope": str(DELIVERY),
        "action": "failed",
        "status": "5.1.1",
        "diagnostic": "550 5.1.1 no such user",
        "returned": SIGNED,
        "message_id": str(DELIVERY),
    }
    values |= given
    values["returned"] = values["returned"].replace("=", "=3D")  # the header is quoted-printable
    return POSTFIX.format(**values).encode()


def complaint(**given: str) -> bytes:
    return ARF.format(**{"kind": "abuse", "returned": SIGNED, "message_id": str(DELIVERY)} | given).encode()


def formless(**given: str) -> bytes:
    values = {"to": SIGNED, "subject": "failure notice", "said": "Sorry, no mailbox here by that name. (#5.1.1)"}
    return QMAIL.format(**values | given).encode()


def heard(mail: bytes, settings: Mapping[str, str] = SIGNS) -> Heard:
    return read(Callback(method="POST", body=mail), settings=settings, now=NOW)


def one(mail: bytes, settings: Mapping[str, str] = SIGNS) -> Receipt:
    (receipt,) = heard(mail, settings).receipts
    return receipt


@pytest.mark.parametrize("settings", [SIGNS, DOES_NOT])
def test_notification_of_failure_says_who_what_and_when(settings: Mapping[str, str]) -> None:
    receipt = one(notification(), settings)
    assert (receipt.kind, receipt.error) == (ReceiptKind.FAILED, ErrorClass.BAD_RECIPIENT)
    assert (receipt.reference, receipt.address) == (str(DELIVERY), "ann@home.example")
    assert (receipt.code, receipt.detail) == ("550 5.1.1", "550 5.1.1 no such user")
    # The stamp of our own server, not what the other one's clock said.
    assert receipt.occurred_at == datetime(2026, 3, 8, 10, tzinfo=UTC)


def test_line_ends_of_the_wire_make_no_difference() -> None:
    assert one(notification().replace(b"\n", b"\r\n")) == one(notification())


@pytest.mark.parametrize(
    ("status", "diagnostic", "error"),
    [
        ("5.1.1", "550 no such user", ErrorClass.BAD_RECIPIENT),
        ("5.2.2", "552 5.2.2 mailbox full", ErrorClass.QUOTA),
        ("5.7.1", "550 5.7.1 looks like spam", ErrorClass.CONTENT),
        ("5.7.26", "550 5.7.26 unauthenticated", ErrorClass.CONFIG),
        ("4.4.7", "", ErrorClass.DOWN),  # given up after days
        ("5.0.0", "550 5.1.1 <ann@home.example>: user unknown", ErrorClass.BAD_RECIPIENT),  # the words know more
        ("5.0.0", "550 no such mailbox", ErrorClass.BAD_RECIPIENT),
        ("5.0.0", "550 message blocked, see our policy", ErrorClass.CONTENT),  # nothing against the person
        ("5.3.0", "554 your IP 192.5.1.1 is listed", ErrorClass.DOWN),  # an address is no status
        ("", "", ErrorClass.UNRECOGNISED),
        ("strange", "words", ErrorClass.UNRECOGNISED),
    ],
)
def test_status_of_a_failure_is_the_class(status: str, diagnostic: str, error: ErrorClass) -> None:
    assert one(notification(status=status, diagnostic=diagnostic)).error is error


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("delayed", ReceiptKind.DELAYED),
        ("Delivered", ReceiptKind.DELIVERED),
        ("relayed", ReceiptKind.ACCEPTED),
        ("expanded", ReceiptKind.ACCEPTED),
    ],
)
def test_action_that_is_no_failure_has_no_error(action: str, kind: ReceiptKind) -> None:
    receipt = one(notification(action=action, status="2.0.0", diagnostic=""))
    assert (receipt.kind, receipt.error) == (kind, None)


def test_unknown_action_says_nothing() -> None:
    assert heard(notification(action="pondered")) == Heard(left=1)


@pytest.mark.parametrize(
    "where",
    [
        {"to": "news@shop.example", "envelope": "", "message_id": "x"},
        {"returned": "", "envelope": "", "message_id": "x"},
    ],
)
def test_signed_return_path_is_found_wherever_it_stands(where: dict[str, str]) -> None:
    assert one(notification(**where)).reference == str(DELIVERY)


def test_notification_without_our_signature_is_about_nobody_where_the_account_signs() -> None:
    forged = SIGNED.replace("f0aa=", "f0ab=")
    receipt = one(notification(to=forged, returned=forged))
    assert receipt.kind is ReceiptKind.FAILED
    assert receipt.reference is None


def test_message_id_of_somebody_else_is_not_ours() -> None:
    assert one(notification(envelope="", message_id="not-a-delivery"), DOES_NOT).reference is None
    other = {"sender": "news@another.example"}
    assert one(notification(envelope=""), other).reference is None


def test_same_notification_twice_has_the_same_key_and_another_one_has_not() -> None:
    again = notification().replace(b"Received: by mx", b"Received: by mx2")
    later = notification().replace(b"20260308095958.A7", b"20260309095958.B7")
    assert one(notification()).dedupe == one(again).dedupe
    assert one(notification()).dedupe != one(later).dedupe


@pytest.mark.parametrize("settings", [SIGNS, DOES_NOT])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("abuse", ReceiptKind.COMPLAINED),
        ("fraud", ReceiptKind.COMPLAINED),
        ("never-heard-of", ReceiptKind.COMPLAINED),
        ("opt-out", ReceiptKind.UNSUBSCRIBED),
    ],
)
def test_feedback_says_what_the_person_wants(settings: Mapping[str, str], kind: str, expected: ReceiptKind) -> None:
    receipt = one(complaint(kind=kind), settings)
    assert (receipt.kind, receipt.reference) == (expected, str(DELIVERY))
    assert (receipt.address, receipt.error) == ("ann@home.example", None)


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure"])
def test_feedback_that_is_no_complaint_changes_nothing(kind: str) -> None:
    assert heard(complaint(kind=kind)) == Heard(left=1)


def test_bounce_in_no_format_is_told_by_our_return_path() -> None:
    receipt = one(formless())
    assert (receipt.kind, receipt.error, receipt.code) == (ReceiptKind.FAILED, ErrorClass.BAD_RECIPIENT, "5.1.1")
    assert receipt.reference == str(DELIVERY)


def test_subject_in_another_script_is_read() -> None:
    encoded_subject = "=?utf-8?B?6YCA5L+h?="  # 退信
    assert one(formless(subject=encoded_subject).replace(b"Return-Path: <>\n", b"")).kind is ReceiptKind.FAILED


def test_warning_that_it_takes_long_is_no_failure() -> None:
    receipt = one(formless(subject="Warning: mail delivery is delayed", said="421 4.4.1 busy"))
    assert (receipt.kind, receipt.error) == (ReceiptKind.DELAYED, None)


@pytest.mark.parametrize(
    "changed",
    [
        {"to": "bounces@shop.example"},  # nobody's return path
        {"to": SIGNED.replace("f0aa=", "f0ab=")},  # one that we never signed
    ],
)
def test_bounce_in_no_format_that_bears_no_signature_is_left(changed: dict[str, str]) -> None:
    assert heard(formless(**changed)) == Heard(left=1)
    assert heard(formless(**changed), DOES_NOT) == Heard(left=1)


def test_answer_of_somebody_on_holiday_is_no_bounce() -> None:
    away = (
        f"Return-Path: <>\nFrom: Ann <ann@home.example>\nTo: {SIGNED}\nAuto-Submitted: auto-replied\n"
        "Subject: Not deliverable until Monday\n\nI am away. 5.1.1\n"
    )
    assert heard(away.encode()) == Heard(left=1)


@pytest.mark.parametrize(
    "said",
    [
        "Date: yesterday",
        "Date: Sun, 8 Mar 2026 99:00:00 +0000",
        "Date: Mon, 8 Mar 2066 09:00:00 +0000",  # ahead of us
        "Date: ",
    ],
)
def test_time_that_cannot_be_is_now(said: str) -> None:
    mail = notification().decode().replace("\nDate: Sun,  8 Mar 2026 09:59:58 +0000 (UTC)", f"\n{said}")
    without_stamp = mail.replace("Sun,  8 Mar 2026 10:00:00 +0000 (UTC)", "some day")
    assert one(without_stamp.encode()).occurred_at == NOW


@given(st.binary(max_size=2_000))
def test_any_bytes_are_read_or_refused(garbage: bytes) -> None:
    try:
        heard(garbage)
    except CallbackUnreadable:
        return


@given(st.integers(0, 3_000), st.integers(0, 300), st.binary(max_size=40))
def test_notification_that_was_damaged_on_its_way_is_read_as_far_as_it_goes(at: int, lost: int, instead: bytes) -> None:
    whole = notification()
    for receipt in heard(b"X-Whole: yes\n" + whole[:at] + instead + whole[at + lost :]).receipts:
        assert receipt.reference in {None, str(DELIVERY)}


HEAD = f"To: {SIGNED}\nFrom: MAILER-DAEMON@x.example\n"


@pytest.mark.parametrize(
    "hostile",
    [
        HEAD + "Content-Type: multipart/report; " + ';"' * 400_000,
        HEAD + "Subject: " + "=?utf-8?b?" * 90_000,
        HEAD + "Subject: " + " \n" * 400_000,
        HEAD + "To: " + "a@" * 400_000,
        HEAD + "X: y\n" * 200_000,
        HEAD + "Content-Type: multipart/report; boundary=b\n\n" + "--b\n" * 250_000,
        HEAD + "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(20_000)),
        HEAD + "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
        + "Action: failed\nFinal-Recipient: " + "a" * 200_000 + "\n\n" + "Action: failed\n\n" * 50_000,
        HEAD + "Subject: failure notice\n\n" + "5.1." * 250_000,
        HEAD + "Subject: failure notice\n\n" + "- - -" * 200_000,
        HEAD + "Content-Transfer-Encoding: base64\nSubject: failure notice\n\n" + "=" * 900_000,
    ],
    ids=lambda hostile: f"{len(hostile)} of {hostile[-5:]!r}",
)  # fmt: skip
def test_mail_that_is_made_to_take_long_takes_no_time(hostile: str) -> None:
    began = time.process_time()
    found = heard(hostile.encode())
    assert time.process_time() - began < 1.0
    assert len(found.receipts) <= 50
