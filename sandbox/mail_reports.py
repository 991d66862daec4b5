"""What a mail server later sends back about a mail that it took: RFC 3464, RFC 5965, and the form of qmail."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage, Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import format_datetime, make_msgid, parseaddr

_HOST = "sandbox.example"
_DAEMON = f"Mail Delivery System <MAILER-DAEMON@{_HOST}>"


def notification(
    headers: Mapping[str, str],
    *,
    recipient: str,
    action: str = "failed",
    status: str = "5.1.1",
    diagnostic: str = "550 5.1.1 User unknown",
    mail_id: str = "",
) -> bytes:
    """A delivery status notification on a mail with these `headers`, as the log has them, `Return-Path` among them.

    `mail_id` is its own: the same one twice is the same notification.
    """
    about = Message()
    about["Reporting-MTA"] = f"dns; {_HOST}"
    if "X-Envelope-Envid" in headers:
        about["Original-Envelope-Id"] = headers["X-Envelope-Envid"]
    one = Message()
    if "X-Envelope-Orcpt" in headers:
        one["Original-Recipient"] = headers["X-Envelope-Orcpt"]
    one["Final-Recipient"] = f"rfc822; {recipient}"
    one["Action"], one["Status"] = action, status
    one["Diagnostic-Code"] = f"smtp; {diagnostic}"
    report = Message()
    report["Content-Type"] = "message/delivery-status"
    report.set_payload([about, one])
    subject = "Delayed Mail (still being retried)" if action == "delayed" else "Undelivered Mail Returned to Sender"
    told = f"<{recipient}>: {diagnostic}\n"
    parts: list[str | Message] = [told, report, _returned(headers)]
    return _report("delivery-status", subject, _DAEMON, _to(headers), parts, mail_id)


def complaint(headers: Mapping[str, str], *, recipient: str, kind: str = "abuse", mail_id: str = "") -> bytes:
    """A report in the Abuse Reporting Format that a person marked the mail as spam."""
    fields = {
        "Feedback-Type": kind,
        "User-Agent": "sandbox/1.0",
        "Version": "1",
        "Original-Mail-From": headers.get("Return-Path", "<>"),
        "Original-Rcpt-To": f"<{recipient}>",
    }
    report = Message()
    report["Content-Type"] = "message/feedback-report"
    report.set_payload("".join(f"{name}: {value}\r\n" for name, value in fields.items()))
    told = "This is an e-mail abuse report.\n"
    to = parseaddr(headers.get("From", ""))[1]
    parts: list[str | Message] = [told, report, _returned(headers)]
    return _report("feedback-report", "FW: complaint", f"abuse@{_HOST}", to, parts, mail_id)


def formless(headers: Mapping[str, str], *, recipient: str, said: str = "550 5.1.1 User unknown") -> bytes:
    """A bounce for people alone, as qmail writes them."""
    mail = EmailMessage()
    _address(mail, "failure notice", f"MAILER-DAEMON@{_HOST}", _to(headers))
    mail.set_content(f"Hi. This is the program at {_HOST}.\nI was not able to deliver.\n\n<{recipient}>:\n{said}\n")
    return mail.as_bytes()


def _report(kind: str, subject: str, sender: str, to: str, parts: list[str | Message], mail_id: str) -> bytes:  # noqa: PLR0917 - the parts of a mail, in their order
    mail = MIMEMultipart("report")
    mail.set_param("report-type", kind)
    _address(mail, subject, sender, to, mail_id)
    for part in parts:
        mail.attach(MIMEText(part) if isinstance(part, str) else part)
    return mail.as_bytes()


def _address(mail: Message, subject: str, sender: str, to: str, mail_id: str = "") -> None:
    mail["Return-Path"] = "<>"
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail["Message-ID"] = f"<{mail_id}@{_HOST}>" if mail_id else make_msgid(domain=_HOST)
    mail["Auto-Submitted"] = "auto-generated"


def _to(headers: Mapping[str, str]) -> str:
    return headers.get("Return-Path", "<>").strip("<>")


def _returned(headers: Mapping[str, str]) -> Message:
    part = Message()
    part["Content-Type"] = "text/rfc822-headers"
    part.set_payload("".join(f"{name}: {Header(value).encode()}\r\n" for name, value in headers.items()))
    return part
