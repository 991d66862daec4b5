import html
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import SandboxedEnvironment

from approval.brief import (
    MOST_EARLIER,
    Brief,
    Change,
    EarlierDecision,
    Exclusion,
    Money,
    OfferLine,
    Preview,
    Seat,
    in_field,
    write_brief,
)
from approval.markdown import plain, quotation, shortened
from approval.quorum import ALL, ANY, Quorum, QuorumKind
from approval.states import DecisionKind, ObjectKind, TaskKind
from approval.wording import FIELDS, WORDS, both, decision_word, field_word, quorum_words
from offers.presets import Parameter, standard_catalogue
from themes import theme as theme_module
from themes.notation import Value

LONDON = ZoneInfo("Europe/London")
RETURNED = EarlierDecision(
    name="Bob",
    round_number=1,
    level="operations",
    kind=DecisionKind.RETURN_TO_DRAFTER,
    at=datetime(2027, 3, 1, 9, tzinfo=UTC),
    comment="budget *too* low\n# no",
)
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
    signers=("Dan",),
    return_to=("operations", "legal"),
    window_from=datetime(2027, 3, 6, tzinfo=LONDON),
    window_to=datetime(2027, 3, 9, tzinfo=LONDON),
    due_at=datetime(2027, 3, 2, 12, tzinfo=UTC),
    money=Money(budget="20000.00 GBP", worst_case_cost="1200.00 GBP", deepest_discount=Decimal("0.3334")),
    audience_size=1312,
    channel_counts={"sms": 300, "mini_program": 12},
    offers=[
        OfferLine(
            key="w20",
            name="20 off | really",
            kind="coupon, full reduction",
            terms="from 100.00",
            limit="500",
            worst_case_cost="1200.00 GBP",
            details=[("valid", "days 14")],
        )
    ],
    exclusions=[Exclusion(first="w20", second="tea-lights", news="added"), Exclusion(first="a", second="b")],
    changes=[
        Change(label="budget", before="10000.00 GBP", after="20000.00 GBP"),
        Change(label="goal", before="", after="x", of_object=False),
    ],
    earlier=[RETURNED],
    previews=[
        Preview(
            channel="sms", link="/artifacts/key/preview-theme-1-r2-sms", excerpt="Carl, 20 off\n<b>now</b> {{ link }}"
        ),
        Preview(channel="push", link="/artifacts/key/preview-theme-1-r2-push", failure="no *name*"),
    ],
)


def test_the_brief_holds_what_is_needed_to_decide() -> None:
    text = write_brief(BRIEF)
    for line in (
        "Do you approve theme **三八妇女节，逛吃逛喝我买单**, Carl?",
        "- **Budget** 20000.00 GBP · **Worst-case cost** 1200.00 GBP",
        "- **Deepest discount** up to 33.34 % · **Worst margin** not known",
        "- **Audience** 1,312 people · **Deliveries** sms 300, mini program 12",
        "- **Window** 2027-03-06 00:00 GMT → 2027-03-09 00:00 GMT",
        "- **Level** 2 of 2, finance · **Who must agree** 2 of 3; a rejection by carl ends it; and Dan, added",
        "- **May go back to** operations, legal, the drafter",
        "- **Due** 2027-03-02 12:00 UTC",
        "- **Revision** 2 · **Round** 2",
        f"- **Hash** `{BRIEF.object_hash[:32]}` `{BRIEF.object_hash[32:]}`",
        "**Changed since your last look**\n\n- **budget** 10000.00 GBP → 20000.00 GBP",
        "**Changed elsewhere in the theme**\n\n- **goal** — → x",
        "- **20 off \\| really** (w20) · coupon, full reduction · from 100.00 · Limit 500 · costs at most 1200.00 GBP",
        "- w20 and tea\\-lights never together — **new since your last look**",
        "- a and b never together\n",
        "- Bob · round 1 · operations · returned to the drafter · 2027-03-01 09:00 UTC — budget \\*too\\* low \\# no",
        "- [sms](/artifacts/key/preview-theme-1-r2-sms) Carl, 20 off &lt;b&gt;now&lt;/b&gt; \\{\\{ link \\}\\}\n",
        "- [push](/artifacts/key/preview-theme-1-r2-push) not possible: no \\*name\\*\n",
    ):
        assert line in text
    assert text.splitlines()[0].startswith("Do you approve")


def test_why_it_is_asked_again_is_the_first_line() -> None:
    text = write_brief(replace(BRIEF, asked_again_because="This one-time code is not right now."))
    assert text.splitlines()[0] == "**Asked again: This one\\-time code is not right now.**"


SEAT = Seat(on_behalf_of="Cyn", escalated_from="Cyn", added_by="Bob", fallback=True)


def test_the_brief_speaks_chinese() -> None:
    everything = replace(
        BRIEF,
        asked_again_because="x",
        seat=SEAT,
        earlier=[
            replace(RETURNED, comment="", void_because="更正", on_behalf_of="Cyn"),
            replace(RETURNED, task_kind=TaskKind.ADVICE),
        ],
    )
    text = write_brief(everything, "zh")
    assert "Carl，您是否同意主题**三八妇女节" in text.replace(" **", "**")
    for word in (
        *(
            "再次询问",
            "预算",
            "3 人中的 2 人",
            "一票否决",
            "1,312 人",
            "自您上次查看后的变化",
            "退回起草人",
            "预览",
            "未知",
        ),
        *(
            "您代表 Cyn 答复",
            "已升级给您",
            "Bob 将您加签",
            "备用审批人",
            "可退回至",
            "已作废：更正",
            "（代 Cyn）",
            "建议：",
            "新增",
        ),
    ):
        assert word in text
    assert not re.findall(r"[A-Z][a-z]+ [a-z]+", re.sub(r"\*\*20 off.*", "", text))


@pytest.mark.parametrize(
    ("seat", "line"),
    [
        (Seat(on_behalf_of="Cyn"), "**You are asked on behalf of Cyn.**"),
        (
            Seat(escalated_from="Cyn"),
            "**Cyn has not answered yet, so you are asked as well; whoever answers first counts.**",
        ),
        (Seat(added_by="Bob"), "**Bob added you as a signer: without your yes it does not pass.**"),
        (Seat(fallback=True), "**Nobody of this level may decide: you stand in, and decide alone.**"),
    ],
)
def test_the_brief_says_why_just_this_person_is_asked(seat: Seat, line: str) -> None:
    assert line in write_brief(replace(BRIEF, seat=seat)).splitlines()
    assert line not in write_brief(BRIEF)


def test_advice_is_asked_for_with_the_words_of_who_wants_it_and_never_sends_anything_back() -> None:
    text = write_brief(replace(BRIEF, seat=Seat(adviser_of="Bob", advice_wanted="is *this*\nlegal?")))
    assert text.startswith("Carl, Bob asks for your advice on theme **")
    assert "It is no vote: Bob decides.\n\n> is \\*this\\*\n>\n> legal?\n" in text
    assert "Do you approve" not in text
    assert "May go back" not in text


def test_decision_that_is_void_says_so_and_why() -> None:
    text = write_brief(
        replace(BRIEF, earlier=[replace(RETURNED, void_because="taken back"), replace(RETURNED, name="X")])
    )
    assert "low \\# no **(void: taken back)**" in text
    assert (
        "- X · round 1 · operations · returned to the drafter · 2027-03-01 09:00 UTC — budget \\*too\\* low \\# no\n"
        in text
    )
    assert "**(void: —)**" in write_brief(replace(BRIEF, earlier=[replace(RETURNED, void_because="")]))


def test_decision_tells_for_whom_it_was_whether_it_was_advice_and_on_which_offer() -> None:
    override = replace(RETURNED, task_kind=TaskKind.OVERRIDE, on_behalf_of="Cyn", about="w20")
    text = write_brief(replace(BRIEF, earlier=[replace(RETURNED, task_kind=TaskKind.ADVICE), override]))
    assert "- Bob for Cyn · round 1 · w20 · operations · override: returned to the drafter · 2027" in text
    assert "- Bob · round 1 · operations · advised: returned to the drafter · 2027" in text


def test_of_many_decisions_the_newest_come_first_and_the_oldest_are_counted() -> None:
    many = [replace(RETURNED, name=f"P{number}") for number in range(MOST_EARLIER + 3)]
    text = write_brief(replace(BRIEF, earlier=many))
    assert text.index(f"P{MOST_EARLIER + 2} ·") < text.index("P3 ·")
    assert "P2 ·" not in text
    assert "- and 3 more\n" in text


OFFER = replace(BRIEF, object_kind=ObjectKind.COUPON, object_title="20 off", theme_title="Women")


def test_an_offer_names_the_theme_it_belongs_to_and_tells_its_own_terms_and_changes_first() -> None:
    text = write_brief(OFFER)
    assert "Do you approve coupon **20 off**, Carl? (of theme Women)" in text
    assert "- **Budget of the theme** 20000.00 GBP" in text
    assert "**Terms**\n\n- **coupon, full reduction** from 100.00\n- **valid** days 14" in text
    own = text.index("**Changed in this offer since your last look**\n\n- **budget**")
    assert own < text.index("**Changed elsewhere in the theme**\n\n- **goal**")


def test_offer_of_which_nothing_changed_says_so_before_what_changed_elsewhere() -> None:
    text = write_brief(replace(OFFER, changes=[Change(label="goal", before="", after="x", of_object=False)]))
    assert "**Changed in this offer since your last look**\n\nnone\n\n**Changed elsewhere" in text


def test_what_is_not_known_is_left_out_but_for_money() -> None:
    text = write_brief(
        replace(
            BRIEF,
            money=Money(budget="1.00 GBP"),
            audience_size=None,
            channel_counts={},
            offers=(),
            exclusions=(),
            changes=None,
            earlier=(),
            previews=(),
            due_at=None,
            return_to=(),
        )
    )
    for word in ("Audience", "Deliveries", "Changed", "Earlier", "Exclusions", "Due", "Preview", "May go back"):
        assert word not in text
    assert "**Worst-case cost** not known" in text
    assert "**Deepest discount** not known · **Worst margin** not known" in text
    assert "You see it for the first time." in text


def test_a_second_look_at_the_same_content_says_that_nothing_changed() -> None:
    assert "**Changed since your last look**\n\nnone" in write_brief(replace(BRIEF, changes=[]))


def test_a_loss_and_a_round_share_read_as_such() -> None:
    money = Money(budget="1", deepest_discount=Decimal("0.5000"), worst_margin=Decimal("-0.125"))
    assert "up to 50 % · **Worst margin** -12.5 %" in write_brief(replace(BRIEF, money=money))


def test_share_is_rounded_on_the_side_of_caution() -> None:
    money = Money(budget="1", deepest_discount=Decimal("0.43331"), worst_margin=Decimal("0.12349"))
    assert "up to 43.34 % · **Worst margin** 12.34 %" in write_brief(replace(BRIEF, money=money))


def test_long_values_are_cut_and_show_it() -> None:
    text = write_brief(replace(BRIEF, changes=[Change(label="text", before="a" * 999, after="b")]))
    assert "aaa… → b" in text
    assert "a" * 500 not in text
    assert shortened("a\n b  c", 5) == "a b c"
    assert shortened("abcdef", 5) == "abcd…"


def test_in_a_field_the_lines_survive_prefects_unwrapping() -> None:
    """Its UI replaces each line end that no other follows by a blank."""
    field = in_field("one\n\n- a\n- b\n", "hint")
    assert re.sub(r"\n(?!\n)", " ", field) == "one\n\n - a\n - b\n\n ---\n\n hint"
    assert in_field("one\n") == "one"


def test_every_word_is_there_in_both_languages_with_the_same_places_to_fill() -> None:
    for english, chinese in [*WORDS.values(), *FIELDS.values()]:
        assert english.strip()
        assert chinese.strip()
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese))
    same = {key for key, (english, chinese) in WORDS.items() if english == chinese}
    assert not same
    assert {key for key, (english, chinese) in FIELDS.items() if english.lower() == chinese.lower()} == {"app"}


def test_every_decision_object_and_kind_of_answer_has_its_word() -> None:
    for kind in DecisionKind:
        for task_kind in TaskKind:
            assert decision_word(kind, "zh", task_kind=task_kind) != decision_word(kind, "en", task_kind=task_kind)
    assert set(ObjectKind) <= WORDS.keys()


def fields_of_themes() -> set[str]:
    models = [model for model in vars(theme_module).values() if isinstance(model, type) and issubclass(model, Value)]
    fields = {field.alias or name for model in models for name, field in model.model_fields.items()}
    parameters = [one for preset in standard_catalogue().presets.values() for one in preset.parameters.items()]
    return (fields - {"parameters"}) | {name for entry in parameters for name in names_of(*entry)}


def names_of(name: str, parameter: Parameter) -> set[str]:
    return {name, *parameter.choices, *parameter.fields}


def test_every_field_of_a_theme_and_every_parameter_and_choice_of_a_preset_has_its_word() -> None:
    names = fields_of_themes() | {one.value for one in theme_module.RedeemIn}
    amounts = {"minor", "basis_points"}  # told as one value
    assert names - FIELDS.keys() <= amounts
    assert field_word("a_word_of_theirs", "zh") == "a word of theirs"


def test_word_for_readers_of_either_language_is_said_once_where_both_are_the_same() -> None:
    assert both("subject") == "subject · 主题行"
    assert both("app") == "app · App"
    assert both("thing1") == "thing1"


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
    previews = [replace(preview, excerpt=text, failure="") for preview in BRIEF.previews]
    lines = write_brief(replace(BRIEF, offers=offers, previews=previews)).split("\n")
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


@given(st.text())
def test_quotation_of_any_text_is_nothing_but_a_quotation(text: str) -> None:
    assert all(line.startswith(">") for line in quotation(text).split("\n") if line)
