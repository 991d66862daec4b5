"""Notices as the providers get them: a letter or a text message, in the person's language, with the way to the run."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from approval import notices
from approval.notices import NoticeKind, Question, Words
from approval.states import ObjectKind
from channels.account_file import NoticeTemplate
from channels.message import Content, Message, Outcome
from channels.service.notices import content_of
from channels.states import Channel
from models.notice import Notice
from models.person import Person
from models.queries.notices import Addressed
from tests.conformance.provider_case import ALIYUN, SMTP, Case, Sandbox

UI = "https://prefect.example"
RUN = UUID("0190c0de-0000-7000-8000-000000000001")
NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
QUESTION = Question(
    name="陈岚",
    locale="zh",
    object_kind=ObjectKind.THEME,
    object_title="女神节：逛吃喝，我们买单\r\nBcc: everybody@home.example",
    theme_title="女神节",
    level="财务",
    asked_at=NOW,
)


def reminder() -> Words:
    return notices.reminder(QUESTION, number=1, times=3, now=NOW)


def content(channel: Channel, template: NoticeTemplate | None = None) -> Content:
    words = reminder()
    notice = Notice(
        id=uuid4(),
        channel=channel,
        kind=NoticeKind.REMINDER,
        theme_key="womens-day",
        subject=words.subject,
        text=words.text,
    )
    person = Person(login="lan", name="陈岚", locale="zh")
    return content_of(Addressed(notice, person, RUN), template, UI)


def send(case: Case, sandbox: Sandbox, said: Content, **settings: object) -> Outcome:
    message = Message(delivery_id=uuid4(), address=case.address.format(1), content=said)
    outcomes: list[Outcome] = case.run(sandbox, lambda provider: provider.send([message]), **settings)
    return outcomes[0]


def test_a_letter_arrives_whole_and_in_one_piece_whatever_a_marketer_wrote(sandbox: Sandbox) -> None:
    assert send(SMTP, sandbox, content(Channel.EMAIL)).error is None
    (record,) = sandbox.records(SMTP)
    headers = dict(record["content"]["headers"])
    assert record["content"]["subject"] == reminder().subject
    assert headers["Auto-Submitted"] == "auto-generated"
    assert "Bcc" not in headers
    said = record["content"]["text"].replace("\r\n", "\n")
    assert said.startswith("陈岚，您好：\n")
    assert f"请在此答复：{UI}/runs/flow-run/{RUN}\n" in said
    assert f"您的全部待办：{UI}/runs?tag=approver:lan" in said


def test_a_text_message_arrives_with_its_link(sandbox: Sandbox) -> None:
    assert send(ALIYUN, sandbox, content(Channel.SMS)).error is None
    (record,) = sandbox.records(ALIYUN)
    assert f"{reminder().subject} {UI}/runs/flow-run/{RUN}" in str(record["content"])


def test_a_registered_template_gets_the_variables_it_knows_and_no_others(sandbox: Sandbox) -> None:
    variables = {"who": "name", "what": "theme"}
    said = content(Channel.SMS, NoticeTemplate.model_validate({"template": "SMS_9", "variables": variables}))
    assert send(ALIYUN, sandbox, said, sign_name="审批").error is None
    (record,) = sandbox.records(ALIYUN)
    assert record["content"] == {
        "sign_name": "审批",
        "template_code": "SMS_9",
        "template_param": {"who": "陈岚", "what": "womens-day"},
    }
