from collections.abc import Mapping
from pathlib import Path

import pytest

from themes.diff import Change, Words, diff
from themes.document import Vocabulary, parse_theme
from themes.revision import freeze
from themes.theme import Theme

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
TEXT = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}


def theme_of(*edits: tuple[str, str], templates: Mapping[str, str] = TEMPLATES) -> Theme:
    text = TEXT
    for old, new in edits:
        assert old in text, f"the example no longer has {old!r}"
        text = text.replace(old, new, 1)
    return parse_theme(text, templates=templates, known=Vocabulary())


def changes(*edits: tuple[str, str], templates: Mapping[str, str] = TEMPLATES) -> list[Change]:
    return diff(freeze(theme_of()).content, freeze(theme_of(*edits, templates=templates)).content)


def test_same_content_has_no_changes() -> None:
    assert changes() == []


WORDS = [
    # money
    (('amount: "20.00"', 'amount: "25.00"'), "coupon women-20-off-100 · amount: 20.00 GBP → 25.00 GBP"),
    # a time, in the theme's zone
    (
        ('to: "2027-03-31T23:59"', 'to: "2027-04-01T12:00"'),
        "coupon first-parcel-free · valid · ends: 2027-03-31 23:59 Europe/London → 2027-04-01 12:00 Europe/London",
    ),
    # a percentage
    (("percent: 100", "percent: 12.5"), "coupon first-parcel-free · percent: 100 % → 12.5 %"),
    # what is new
    (("    group: 3", "    group: 3\n    per_day: 2"), "activity tea-lights-3-for-2 · per day: added 2"),
    # what is gone
    (("    per_customer: 1\n    claim", "    claim"), "coupon women-20-off-100 · per customer: removed 1"),
    # a list
    (
        ("[ordered_once, at_most_two_orders]", "[core, ordered_once]"),
        "audience · include: at_most_two_orders, ordered_once → core, ordered_once",
    ),
    # yes and no
    (("    group: 3", "    group: 3\n    exclusive: true"), "activity tea-lights-3-for-2 · exclusive: added yes"),
    # a place, by its name and not by its number
    (
        ("{place: store.pos_after_payment}", '{place: store.pos_after_payment, from: "2027-03-07T00:00"}'),
        "placement · store.pos_after_payment · begins: added 2027-03-07 00:00 Europe/London",
    ),
    # a text
    (("title: Women's Day", "title: Hello"), "channels · push · title: Women's Day → Hello"),
]


@pytest.mark.parametrize(("edit", "words"), WORDS)
def test_one_change_is_told_in_words(edit: tuple[str, str], words: str) -> None:
    assert [str(change) for change in changes(edit)] == [words]


def test_values_of_a_record_read_as_words_not_as_keys() -> None:
    words = Words(freeze(theme_of()).content)
    assert words.mapping({"all": True, "exclusive": False, "brand": ["x", "y"]}) == "everything, brand x, y"
    period = words.mapping({"from": "2027-03-06T00:00:00Z", "to": "2027-04-01T00:00:00Z"})
    assert period == "2027-03-06 00:00 Europe/London → 2027-04-01 01:00 Europe/London"
    assert words.mapping({"days": 14}) == "days 14"
    assert Words(words.content, "zh").mapping({"all": True}) == "全部"


CHINESE = [
    (('budget: "20000.00"', 'budget: "1.00"'), ("预算", "20000.00 GBP", "1.00 GBP")),
    (
        ("redeem_in: [app, mini_program, web]", "redeem_in: [app, store]"),
        ("券 women-20-off-100 · 核销渠道", "App, 小程序, 网页", "App, 门店"),
    ),
    (("    group: 3", "    group: 3\n    exclusive: true"), ("活动 tea-lights-3-for-2 · 与所有优惠互斥", None, "是")),
    (("title: Women's Day", "title: Hello"), ("渠道 · 推送 · 标题", "Women's Day", "Hello")),
]


@pytest.mark.parametrize(("edit", "told"), CHINESE)
def test_changes_are_told_in_chinese_too(edit: tuple[str, str], told: tuple[str, str | None, str | None]) -> None:
    old, new = freeze(theme_of()).content, freeze(theme_of(edit)).content
    assert [(change.label, change.before, change.after) for change in diff(old, new, "zh")] == [told]


def test_change_of_an_offer_names_it() -> None:
    edits = ('amount: "20.00"', 'amount: "25.00"'), ('budget: "20000.00"', 'budget: "1.00"')
    assert [change.offer_id for change in changes(*edits)] == [None, "women-20-off-100"]


def test_names_and_values_that_a_marketer_chose_stay_as_they_are() -> None:
    """Whatever words of ours they happen to be, or times and amounts by their names."""
    extras = 'extras: {from: soon, kind: app, minor: "1"}\n    '
    old, new = theme_of(), theme_of(("title: Women's Day\n    ", f"title: Women's Day\n    {extras}"))
    (come,) = diff(freeze(old).content, freeze(new).content, "zh")
    assert (come.label, come.before, come.after) == ("渠道 · 推送 · 附加字段", None, "from soon, kind app, minor 1")
    later = theme_of(("title: Women's Day\n    ", f"title: Women's Day\n    {extras.replace('soon', 'now')}"))
    (changed,) = diff(freeze(new).content, freeze(later).content, "zh")
    assert (changed.label, changed.before, changed.after) == ("渠道 · 推送 · 附加字段 · from", "soon", "now")


def test_offer_that_is_new_or_gone_is_one_change() -> None:
    start, end = TEXT.index("  - id: first-parcel-free"), TEXT.index("\nactivities:")
    plain = dict.fromkeys(TEMPLATES, "text")  # the example's own mention the coupon
    old, new = theme_of(templates=plain), theme_of((TEXT[start:end], ""), templates=plain)
    gone = diff(freeze(old).content, freeze(new).content)
    assert [str(change) for change in gone] == [
        "coupon first-parcel-free: removed Free delivery on a first order (freight_percent)"
    ]
    come = diff(freeze(new).content, freeze(old).content)
    assert come[0].before is None


def test_exclusion_is_told_for_the_theme_and_for_both_offers() -> None:
    told = [str(change) for change in changes(("- [women-20-off-100, tea-lights-3-for-2]", "[]"))]
    assert told == [
        "exclusions: removed tea-lights-3-for-2 + women-20-off-100",
        "activity tea-lights-3-for-2 · not together with: removed women-20-off-100",
        "coupon women-20-off-100 · not together with: removed tea-lights-3-for-2",
    ]


def test_of_a_template_only_the_lines_that_differ_are_shown() -> None:
    text = TEMPLATES["women-day.txt.j2"].replace("we treat you", "we treat you all")
    (change,) = changes(templates={**TEMPLATES, "women-day.txt.j2": text})
    assert change.label == "template · women-day.txt.j2"
    assert change.before is not None
    assert change.after is not None
    assert change.before.count("\n") == 0
    assert change.after.endswith("we treat you all:")
