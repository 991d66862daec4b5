"""The words of the messages that the product itself sends to a person about a question. Plain text, in her language.

Times come with the zone in which they are to be shown. The link is put under the text when the message leaves, for
only then is it known which run holds the question.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from approval.keys import inbox_path
from approval.states import DecisionKind, ObjectKind
from approval.wording import object_word


class NoticeKind(StrEnum):
    ASKED = "asked"
    REMINDER = "reminder"
    ESCALATION = "escalation"  # the question is put to the manager as well
    FALLBACK = "fallback"  # nobody of the level may decide: its stand-in is asked
    DUE_ACTION = "due_action"  # time has decided
    DECIDED = "decided"  # somebody else has


#: Worth nothing any more once the question is answered, taken away or void.
ASKS_FOR_AN_ANSWER = frozenset({NoticeKind.ASKED, NoticeKind.REMINDER, NoticeKind.ESCALATION, NoticeKind.FALLBACK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a notice is about, and to whom it goes."""

    name: str  # of the person who gets the notice
    locale: str
    object_kind: ObjectKind
    object_title: str
    theme_title: str
    level: str
    asked_at: datetime
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A subject of one line, which is also what a text message says; and the text of a letter."""

    subject: str
    text: str


_WORDS: dict[str, tuple[str, str]] = {
    "hello": ("Hello {name},", "{name}，您好："),
    "of_theme": ("{object} “{title}” of theme “{theme}”", "主题“{theme}”的{object}“{title}”"),
    "the_theme": ("{object} “{title}”", "{object}“{title}”"),
    "since": ("The question has been open since {at}.", "提问时间：{at}。"),
    "due": ("An answer is due by {at}.", "请在 {at} 前答复。"),
    "was_due": ("The answer was due by {at}.", "答复已于 {at} 到期。"),
    "asked": ("Your decision is needed: {what}", "待您审批：{what}"),
    "asked_text": ("You are asked to decide on {what}, level “{level}”.", "请您审批{what}（{level}）。"),
    "reminder": ("Reminder {count}: your decision on {what}", "第 {count} 次提醒：请审批{what}"),
    "reminder_text": (
        "Your answer on {what}, level “{level}”, is still missing. This is reminder {count}.",
        "{what}（{level}）仍在等待您的答复。这是第 {count} 次提醒。",
    ),
    "of_times": ("{number} of {times}", "{number}/{times}"),
    "escalation": ("{owner} has not answered: {what}", "{owner} 尚未答复：{what}"),
    "escalation_text": (
        "{owner} has not yet answered on {what}, level “{level}”. You may decide too: the first answer counts.",
        "{owner} 尚未答复{what}（{level}）。您可以代为审批；{owner} 仍可答复，以先答复者为准。",
    ),
    "fallback": ("You are asked as stand-in: {what}", "请您代为审批：{what}"),
    "fallback_text": (
        "Nobody of level “{level}” may decide on {what}. You are asked in their place, and decide alone.",
        "{level}没有人可以审批{what}，现由您代为审批，由您一人决定。",
    ),
    "due_action": ("Decided by lapse of time: {what} {act}", "超时自动处理：{what}{act}"),
    "due_action_text": (
        "Level “{level}” of {what} was not settled in time and was {act}, as its policy says, by system:timeout.",
        "{what}（{level}）未在期限内完成审批，已按审批策略由 system:timeout 自动{act}。",
    ),
    "decided": ("No answer needed any more: {what}", "无需再答复：{what}"),
    "decided_text": (
        "Level “{level}” of {what} was {act} by {by}. Nothing is left for you to do.",
        "{what}（{level}）已由 {by} {act}，您无需再处理。",
    ),
    DecisionKind.APPROVE: ("approved", "同意"),
    DecisionKind.REJECT: ("rejected", "拒绝"),
    DecisionKind.RETURN_TO_DRAFTER: ("returned to the drafter", "退回起草人"),
    DecisionKind.RETURN_TO_PREVIOUS: ("returned to the previous level", "退回上一级"),
    DecisionKind.RETURN_TO_LEVEL: ("returned to an earlier level", "退回指定级"),
    "answer_at": ("Answer here: {link}", "请在此答复：{link}"),
    "see_at": ("See here: {link}", "查看：{link}"),
    "inbox_at": ("All that waits for you: {link}", "您的全部待办：{link}"),
    "inbox": (
        "Answer in the Prefect UI, in your run tagged approver:{login}; `themeline inbox {login}` lists them all.",
        "请在 Prefect 界面中标签为 approver:{login} 的运行里答复；命令 `themeline inbox {login}` 列出您的全部待办。",
    ),
}


def asked(question: Question) -> Words:
    """She is asked for the first time."""
    return _words("asked", question, _due(question))


def reminder(question: Question, *, number: int, times: int | None, now: datetime) -> Words:
    """`number` counts from 1; `times` None where reminders go on until she answers."""
    locale = question.locale
    count = str(number) if times is None else _word("of_times", locale, number=number, times=times)
    return _words("reminder", question, _since(question), _due(question, now), count=count)


def escalation(question: Question, *, owner: str, now: datetime) -> Words:
    """To the manager of `owner`, who is named as she is called."""
    return _words("escalation", question, _since(question), _due(question, now), owner=owner)


def fallback(question: Question) -> Words:
    return _words("fallback", question, _due(question))


def due_action(question: Question, *, act: DecisionKind, now: datetime) -> Words:
    """To those who were asked and did not answer in time."""
    return _words("due_action", question, _due(question, now), act=_word(act, question.locale))


def decided(question: Question, *, act: DecisionKind, by: str) -> Words:
    return _words("decided", question, act=_word(act, question.locale), by=by)


def run_link(ui_url: str | None, flow_run_id: UUID | None) -> str | None:
    """The page of Prefect's UI that holds the question; None where either is not known."""
    return f"{ui_url.rstrip('/')}/runs/flow-run/{flow_run_id}" if ui_url and flow_run_id else None


def letter(text: str, *, kind: NoticeKind, link: str | None, ui_url: str | None, login: str, locale: str) -> str:
    """The text with where to go under it. A run may be replaced, the inbox never is: so it is always named."""
    lines = [text]
    if link:
        lines.append(_word("answer_at" if kind in ASKS_FOR_AN_ANSWER else "see_at", locale, link=link))
    if ui_url:
        lines.append(_word("inbox_at", locale, link=ui_url.rstrip("/") + inbox_path(login)))
    elif kind in ASKS_FOR_AN_ANSWER:
        lines.append(_word("inbox", locale, login=login))
    return "\n\n".join(lines) + "\n"


def short(subject: str, *, link: str | None) -> str:
    """A text message."""
    return f"{subject} {link}" if link else subject


def _words(key: str, question: Question, *more: str, **values: str) -> Words:
    locale = question.locale
    what = _what(question)
    facts = {"what": what, "level": _line(question.level)} | {name: _line(value) for name, value in values.items()}
    body = [_word(f"{key}_text", locale, **facts), *(line for line in more if line)]
    hello = _word("hello", locale, name=_line(question.name))
    return Words(subject=_word(key, locale, **facts), text="\n\n".join([hello, "\n".join(body)]))


def _what(question: Question) -> str:
    values = {
        "object": object_word(question.object_kind, question.locale),
        "title": _line(question.object_title),
        "theme": _line(question.theme_title),
    }
    return _word("the_theme" if question.object_kind is ObjectKind.THEME else "of_theme", question.locale, **values)


def _since(question: Question) -> str:
    return _word("since", question.locale, at=_time(question.asked_at))


def _due(question: Question, now: datetime | None = None) -> str:
    if question.due_at is None:
        return ""
    over = now is not None and question.due_at <= now
    return _word("was_due" if over else "due", question.locale, at=_time(question.due_at))


def _time(at: datetime) -> str:
    """With its zone, as the person reads a clock: 2027-03-06 00:00 GMT."""
    return f"{at:%Y-%m-%d %H:%M} {at.tzname() or ''}".strip()


def _line(text: str) -> str:
    """What a marketer wrote, on one line: a break in it would begin another line of ours, or another header."""
    return " ".join(text.split())


def _word(key: str, locale: str, **values: object) -> str:
    english, chinese = _WORDS[key]
    return (chinese if locale == "zh" else english).format(**values)
