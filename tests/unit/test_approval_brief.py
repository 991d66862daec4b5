import html
import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import SandboxedEnvironment

from approval.brief import Brief, Change, EarlierDecision, OfferLine, plain, write_brief
from approval.quorum import ALL, ANY, Quorum, QuorumKind
from approval.states import DecisionKind, ObjectKind
from approval.wording import quorum_words

LONDON = ZoneInfo("Europe/London")
BRIEF = Brief(
    name="Carl",
    object_kind=ObjectKind.THEME,
    object_title="三八妇女节，逛吃逛喝我买单",
    theme_title="三八妇女节，逛吃逛喝我买单",
    revision=2,
    object_hash="0123456789abcdef" * 4,
    round_number=2,
    level=2,
    level_count=2,
    level_name="finance",
    asked=3,
    quorum=Quorum(kind=QuorumKind.COUNT, count=2),
    veto=("carl",),
    window_from=datetime(2027, 3, 6, tzinfo=LONDON),
    window_to=datetime(2027, 3, 9, tzinfo=LONDON),
    due_at=datetime(2027, 3, 2, 12, tzinfo=UTC),
    budget="20000.00 GBP",
    worst_case_cost="1200.00 GBP",
    audience_size=1312,
    channel_counts={"sms": 300, "mini_program": 12},
    offers=[OfferLine(key="w20", name="20 off | really", kind="full_reduction", terms="from 100.00", limit="500")],
    exclusions=[("w20", "tea-lights")],
    changes=[
        Change(label="budget", before="10000.00 GBP", after="20000.00 GBP"),
        Change(label="goal", before="", after="x"),
    ],
    earlier=[
        EarlierDecision(
            name="Bob",
            round_number=1,
            level="operations",
            kind=DecisionKind.RETURN_TO_DRAFTER,
            at=datetime(2027, 3, 1, 9, tzinfo=UTC),
            comment="budget *too* low\n# no",
        )
    ],
    previews={"sms": "Carl, 20 off\n<b>now</b> {{ link }}"},
)


def test_the_brief_holds_what_is_needed_to_decide() -> None:
    text = write_brief(BRIEF)
    for line in (
        "Do you approve theme **三八妇女节，逛吃逛喝我买单**, Carl?",
        "- **Budget** 20000.00 GBP · **Worst-case cost** 1200.00 GBP",
        "- **Audience** 1,312 people · **Deliveries** sms 300, mini\\_program 12",
        "- **Window** 2027-03-06 00:00 GMT → 2027-03-09 00:00 GMT",
        "- **Level** 2 of 2, finance · **Who must agree** 2 of 3; a rejection by carl ends it",
        "- **Due** 2027-03-02 12:00 UTC",
        "- **Revision** 2 · **Round** 2",
        f"- **Hash** `{BRIEF.object_hash[:32]}` `{BRIEF.object_hash[32:]}`",
        "- **budget** 10000.00 GBP → 20000.00 GBP",
        "- **goal** — → x",
        "- **20 off \\| really** (w20) · full\\_reduction · from 100.00 · Limit 500",
        "- w20 and tea\\-lights never together",
        "- Bob · round 1 · operations · returned · 2027-03-01 09:00 UTC — budget \\*too\\* low \\# no",
        "### Preview · sms\n\n> Carl, 20 off\n>\n> &lt;b&gt;now&lt;/b&gt; \\{\\{ link \\}\\}\n",
    ):
        assert line in text
    assert text.splitlines()[0].startswith("Do you approve")


def test_why_it_is_asked_again_is_the_first_line() -> None:
    text = write_brief(replace(BRIEF, asked_again_because="This one-time code is not right now."))
    assert text.splitlines()[0] == "**Asked again: This one\\-time code is not right now.**"


def test_the_brief_speaks_chinese() -> None:
    text = write_brief(replace(BRIEF, asked_again_because="x"), "zh")
    assert "Carl，您是否同意主题**三八妇女节" in text.replace(" **", "**")
    for word in ("再次询问", "预算", "3 人中的 2 人", "一票否决", "1,312 人", "自您上次查看后的变化", "退回", "预览"):
        assert word in text
    for word in ("Budget", "Level", "Deliveries", "Earlier"):
        assert word not in text


def test_an_offer_names_the_theme_it_belongs_to() -> None:
    text = write_brief(replace(BRIEF, object_kind=ObjectKind.COUPON, object_title="20 off", theme_title="Women"))
    assert "Do you approve coupon **20 off**, Carl? (of theme Women)" in text


def test_what_is_not_known_is_left_out() -> None:
    text = write_brief(
        replace(
            BRIEF,
            worst_case_cost="",
            audience_size=None,
            channel_counts={},
            offers=(),
            exclusions=(),
            changes=None,
            earlier=(),
            previews={},
            due_at=None,
        )
    )
    for word in ("Worst", "Audience", "Deliveries", "###", "Due", "Preview"):
        assert word not in text


def test_a_second_look_at_the_same_content_says_that_nothing_changed() -> None:
    assert "### Changed since your last look\n\nnone" in write_brief(replace(BRIEF, changes=[]))


@pytest.mark.parametrize(
    "text",
    [
        "{{ 7 * 7 }}",
        "{% for x in range(9) %}",
        "{# gone #}",
        "<script>alert(1)</script>",
        "a | b | c",
        "[click](http://evil.example)",
        "![x](http://evil.example/x.png)",
        "www.evil.example",
        "# heading",
        "1. list",
        "`code` **bold** _it_ ~~no~~",
        "line\n\n| a |\n|---|",
        "&lt;b&gt;",
    ],
)
def test_nothing_a_marketer_writes_becomes_markup(text: str) -> None:
    written = plain(text)
    assert SandboxedEnvironment().from_string(written).render() == written  # nothing for a template engine to find
    for markup in ("<", ">", "\n", "://", "www."):
        assert markup not in written
    assert not re.search(r"(?<!\\)(\\\\)*[|{}\[\]`*_~#@]", written)  # each behind a backslash of its own
    assert not written.startswith(("#", "1. ", "`", "*", "-", "!"))


@pytest.mark.parametrize("text", ["100 %: 20 off | now", "a=b @ {c}", "ann@example.com, www.example.com", "Q&A <now>"])
def test_what_is_escaped_reads_as_it_was_written(text: str) -> None:
    """As Prefect's UI shows it: it takes backslashes away and knows HTML's own entities, but no numeric ones."""
    written = plain(text)
    assert "&#" not in written
    assert html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", written)).replace("\u200b", "") == text


@given(st.text())
def test_no_text_breaks_the_line_it_stands_in(text: str) -> None:
    offers = [OfferLine(key="k", name=f"k{text}", kind=text, terms=text)]
    lines = write_brief(replace(BRIEF, offers=offers)).split("\n")
    assert len(lines) == len(write_brief(BRIEF).split("\n"))
    assert len([line for line in lines if line.startswith("- **k")]) == 1
    assert SandboxedEnvironment().from_string(plain(text)).render() == plain(text)


@pytest.mark.parametrize(
    ("quorum", "english", "chinese"),
    [
        (ANY, "one of 3 decides", "3 人中任一人决定"),
        (ALL, "all 3", "全部 3 人"),
        (Quorum(kind=QuorumKind.COUNT, count=2), "2 of 3", "3 人中的 2 人"),
    ],
)
def test_a_quorum_in_words(quorum: Quorum, english: str, chinese: str) -> None:
    assert (quorum_words(quorum, 3, "en"), quorum_words(quorum, 3, "zh")) == (english, chinese)
