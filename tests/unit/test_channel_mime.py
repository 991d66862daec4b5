from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.email import mime
from channels.message import EmailContent

MESSAGE_ID = "<1@shop.example>"
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]))


def parsed(content: EmailContent) -> EmailMessage:
    raw = build(content)
    message = message_from_bytes(raw, policy=policy.SMTP)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def build(content: EmailContent) -> bytes:
    return mime.build(
        sender="Shop <news@shop.example>",
        recipient="ann@home.example",
        content=content,
        message_id=MESSAGE_ID,
        boundary="=_1",
    )


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body(preferencelist=(kind,))
    assert found is not None
    assert not found.defects
    return str(found.get_content()).replace("\r\n", "\n")


def test_text_and_html_are_alternatives_of_each_other() -> None:
    message = parsed(EmailContent(subject="Hello", text="plain 你好", html="<p>rich 你好</p>"))
    assert message.get_content_type() == "multipart/alternative"
    assert part(message, "plain").rstrip("\n") == "plain 你好"
    assert part(message, "html").rstrip("\n") == "<p>rich 你好</p>"


def test_message_without_html_has_one_part() -> None:
    message = parsed(EmailContent(subject="Hello", text="a\nb"))
    assert message.get_content_type() == "text/plain"
    assert part(message, "plain").rstrip("\n") == "a\nb"


def test_message_id_and_addresses_are_in_the_header() -> None:
    message = parsed(EmailContent(subject="Hello", text="x"))
    assert message["Message-ID"] == MESSAGE_ID
    assert (message["From"], message["To"]) == ("Shop <news@shop.example>", "ann@home.example")


def test_unsubscribe_headers_pass_through() -> None:
    link = "<https://u.example/" + "x" * 200 + ">, <mailto:off@shop.example>"
    headers = {"List-Unsubscribe": link, "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    raw = build(EmailContent(subject="Hello", text="x", headers=headers))
    assert f"List-Unsubscribe: {link}\r\n".encode() in raw
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Note": "a\r\nBcc: evil@x.example"},  # a value that would end the header
        {"X-Note\r\nBcc": "evil@x.example"},  # a name that would
        {"X Note": "a"},  # no header name
        {"subject": "another"},  # there is one already
        {"Content-Type": "text/html"},  # and the body's are ours
    ],
)
def test_header_that_may_not_be_sent_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(mime.HeaderInvalid):
        build(EmailContent(subject="Hello", text="x", headers=headers))


def test_subject_cannot_smuggle_in_a_header() -> None:
    with pytest.raises(mime.HeaderInvalid, match="Subject"):
        build(EmailContent(subject="Hello\nBcc: evil@x.example", text="x"))


@given(subject=TEXT)
def test_any_subject_is_read_back(subject: str) -> None:
    read = parsed(EmailContent(subject=subject, text="x"))["Subject"]
    assert str(read).strip() == subject.strip()


@given(text=TEXT.map(lambda line: line.replace("x", "\n")), html=TEXT)
def test_any_body_is_read_back(text: str, html: str) -> None:
    message = parsed(EmailContent(subject="Hello", text=text, html=f"<p>{html}</p>"))
    assert part(message, "plain").rstrip("\n") == text.rstrip("\n")
    assert part(message, "html").rstrip("\n") == f"<p>{html}</p>"


@given(text=st.text(max_size=3000), html=st.text(max_size=3000))
def test_every_line_fits_smtp(text: str, html: str) -> None:
    raw = build(
        EmailContent(
            subject="Hello",
            text=text.encode("utf-8", "ignore").decode(),
            html="<p>" + html.encode("utf-8", "ignore").decode(),
        )
    )
    assert raw.endswith(b"\r\n")
    assert all(len(line) <= 998 and b"\r" not in line and b"\n" not in line for line in raw.split(b"\r\n"))


@pytest.mark.parametrize("before", ["", "a\n", "a" * 500 + "\n", "a" * 998 + "\n"])
@pytest.mark.parametrize(("length", "encoding"), [(998, b"7bit"), (999, b"base64")])
def test_line_that_is_too_long_for_smtp_is_encoded(before: str, length: int, encoding: bytes) -> None:
    raw = build(EmailContent(subject="Hello", text=f"{before}{'x' * length}\nend"))
    assert b"Content-Transfer-Encoding: " + encoding + b"\r\n" in raw
