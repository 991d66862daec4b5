"""The words of notices: who is asked what, since when, until when, and where to answer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from approval import notices
from approval.notices import NoticeKind, Question, Words
from approval.states import DecisionKind, ObjectKind

NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
RUN = UUID("0190c0de-0000-7000-8000-000000000001")
UI = "https://prefect.example"
QUESTION = Question(
    name="Carl",
    locale="en",
    object_kind=ObjectKind.COUPON,
    object_title="20 off",
    theme_title="Women's Day",
    level="finance",
    asked_at=NOW.astimezone(ZoneInfo("Asia/Shanghai")),
    due_at=(NOW + timedelta(hours=8)).astimezone(ZoneInfo("Asia/Shanghai")),
)
CHINESE = replace(QUESTION, locale="zh")


def all_words(question: Question) -> dict[str, Words]:
    return {
        "asked": notices.asked(question),
        "reminder": notices.reminder(question, number=2, times=3, now=NOW),
        "escalation": notices.escalation(question, owner="Bob", now=NOW),
        "fallback": notices.fallback(question),
        "due action": notices.due_action(question, act=DecisionKind.REJECT, now=NOW),
        "decided": notices.decided(question, act=DecisionKind.APPROVE, by="Cyn"),
    }


def test_a_reminder_says_what_since_when_until_when_and_which_it_is() -> None:
    words = notices.reminder(QUESTION, number=2, times=3, now=NOW)
    assert words.subject == "Reminder 2 of 3: your decision on coupon “20 off” of theme “Women's Day”"
    assert words.text == (
        "Hello Carl,\n\n"
        "Your answer on coupon “20 off” of theme “Women's Day”, level “finance”, is still missing. "
        "This is reminder 2 of 3.\n"
        "The question has been open since 2027-02-20 17:00 CST.\n"
        "An answer is due by 2027-02-21 01:00 CST."
    )


def test_a_reminder_in_chinese_says_the_same() -> None:
    words = notices.reminder(CHINESE, number=2, times=3, now=NOW)
    assert words.subject == "第 2/3 次提醒：请审批主题“Women's Day”的券“20 off”"
    assert words.text == (
        "Carl，您好：\n\n"
        "主题“Women's Day”的券“20 off”（finance）仍在等待您的答复。这是第 2/3 次提醒。\n"
        "提问时间：2027-02-20 17:00 CST。\n"
        "请在 2027-02-21 01:00 CST 前答复。"
    )


def test_a_reminder_without_an_end_does_not_say_of_how_many() -> None:
    assert notices.reminder(QUESTION, number=4, times=None, now=NOW).subject.startswith("Reminder 4: ")


def test_what_is_overdue_is_told_as_overdue() -> None:
    late = NOW + timedelta(days=1)
    assert "The answer was due by" in notices.reminder(QUESTION, number=3, times=3, now=late).text
    assert "到期" in notices.escalation(CHINESE, owner="Bob", now=late).text


def test_a_question_without_a_due_time_names_none() -> None:
    for words in all_words(replace(QUESTION, due_at=None)).values():
        assert " due by" not in words.text


def test_an_escalation_names_who_has_not_answered_and_that_she_still_can() -> None:
    words = notices.escalation(QUESTION, owner="Bob", now=NOW)
    assert words.subject.startswith("Bob has not answered: ")
    assert "the first answer counts" in words.text
    assert "Bob 仍可答复" in notices.escalation(CHINESE, owner="Bob", now=NOW).text


def test_a_due_action_is_told_as_the_systems_own() -> None:
    words = notices.due_action(QUESTION, act=DecisionKind.RETURN_TO_DRAFTER, now=NOW)
    assert "returned to the drafter, as its policy says, by system:timeout" in words.text


@pytest.mark.parametrize("act", DecisionKind)
@pytest.mark.parametrize("question", [QUESTION, CHINESE], ids=["en", "zh"])
def test_every_decision_has_its_words(act: DecisionKind, question: Question) -> None:
    assert "{" not in notices.decided(question, act=act, by="Cyn").text


def test_the_theme_itself_is_named_once() -> None:
    words = notices.asked(replace(QUESTION, object_kind=ObjectKind.THEME, object_title="Women's Day"))
    assert words.subject == "Your decision is needed: theme “Women's Day”"


@pytest.mark.parametrize("question", [QUESTION, CHINESE], ids=["en", "zh"])
def test_what_a_marketer_wrote_stays_on_one_line_and_fills_no_placeholder(question: Question) -> None:
    nasty = replace(question, object_title="a\r\nBcc: x@evil.example\n{level}", name="C\narl", level="f\tin")
    for name, words in all_words(nasty).items():
        assert "\n" not in words.subject, name
        assert "a Bcc: x@evil.example {level}" in words.subject, name


def test_a_language_that_is_not_ours_is_answered_in_english() -> None:
    assert notices.asked(replace(QUESTION, locale="fr")) == notices.asked(QUESTION)


def test_the_link_leads_to_the_run_where_both_are_known() -> None:
    assert notices.run_link(f"{UI}/", RUN) == f"{UI}/runs/flow-run/{RUN}"
    assert notices.run_link(None, RUN) is None
    assert notices.run_link(UI, None) is None


def letter(kind: NoticeKind, *, link: str | None, ui_url: str | None, locale: str = "en") -> str:
    return notices.letter("Text.", kind=kind, link=link, ui_url=ui_url, login="carl", locale=locale)


def test_a_letter_ends_with_the_run_and_the_inbox() -> None:
    inbox = f"{UI}/runs?tag=approver:carl&state=Suspended&type=span&seconds=-7776000"
    link = f"{UI}/runs/flow-run/{RUN}"
    assert letter(NoticeKind.REMINDER, link=link, ui_url=UI) == (
        f"Text.\n\nAnswer here: {link}\n\nAll that waits for you: {inbox}\n"
    )
    assert f"请在此答复：{link}" in letter(NoticeKind.ASKED, link=link, ui_url=UI, locale="zh")


def test_a_letter_without_a_known_address_says_where_to_look() -> None:
    assert letter(NoticeKind.REMINDER, link=None, ui_url=None).endswith(
        "in your run tagged approver:carl; `themeline inbox carl` lists them all.\n"
    )


def test_a_letter_that_asks_for_nothing_does_not_say_answer() -> None:
    said = letter(NoticeKind.DUE_ACTION, link=f"{UI}/runs/flow-run/{RUN}", ui_url=UI)
    assert "See here: " in said
    assert "Answer" not in said
    assert letter(NoticeKind.DECIDED, link=None, ui_url=None) == "Text.\n"


def test_a_text_message_is_the_subject_and_the_link() -> None:
    assert notices.short("Reminder 1: x", link="https://a.example/1") == "Reminder 1: x https://a.example/1"
    assert notices.short("Reminder 1: x", link=None) == "Reminder 1: x"
