from collections.abc import Mapping
from pathlib import Path

import pytest

from channels.states import Channel
from themes.document import Problem, ThemeInvalid, Vocabulary, offers_elsewhere, parse_theme, template_names
from themes.theme import Theme

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
TEXT = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}
KNOWN = Vocabulary(
    product_lines=frozenset({"giftware-eu", "giftware-us"}),
    logins=frozenset({"ann", "bob"}),
    segments=frozenset({"ordered_once", "at_most_two_orders", "ordered_last_7_days", "core"}),
    policies=frozenset({"standard"}),
    accounts={
        Channel.SMS: frozenset({"sms-main"}),
        Channel.EMAIL: frozenset({"mail-main"}),
        Channel.PUSH: frozenset({"push-main"}),
        Channel.MINI_PROGRAM: frozenset({"wechat-main"}),
    },
    placements=frozenset({"app.banner", "store.pos_after_payment"}),
    categories=frozenset({"tea-light-holders", "bags"}),
    recipient_variables=frozenset({"customer.name", "customer.country", "customer.language"}),
)


def read(text: str = TEXT, templates: Mapping[str, str] = TEMPLATES, known: Vocabulary = KNOWN) -> Theme:
    return parse_theme(text, templates=templates, known=known)


def edited(*edits: tuple[str, str]) -> str:
    text = TEXT
    for old, new in edits:
        assert old in text, f"the example no longer has {old!r}"
        text = text.replace(old, new, 1)
    return text


def problems(text: str, templates: Mapping[str, str] = TEMPLATES, known: Vocabulary = KNOWN) -> tuple[Problem, ...]:
    with pytest.raises(ThemeInvalid) as refused:
        read(text, templates, known)
    return refused.value.problems


def test_example_is_a_theme_without_problems() -> None:
    theme = read()
    assert theme.key == "womens-day-2027"
    assert theme.budget.minor == 2_000_000
    assert [offer.id for offer in theme.coupons] == ["first-parcel-free", "women-20-off-100"]
    assert theme.exclusions == (("tea-lights-3-for-2", "women-20-off-100"),)
    assert set(theme.channels.used()) == set(Channel)
    assert set(theme.templates) == {"women-day.html.j2", "women-day.txt.j2"}


def test_offer_without_its_own_times_takes_those_of_the_theme() -> None:
    theme = read()
    assert theme.offer("first-parcel-free").claim == theme.window
    assert theme.offer("tea-lights-3-for-2").valid.ends_at == theme.window.ends_at


ONE_PROBLEM = [
    # an unknown key at the top names the nearest
    (("title:", "titel:"), "titel", "did you mean 'title'?"),
    # and inside a part
    (
        ("  include: [ordered_once", "  inclde: [core]\n  include: [ordered_once"),
        "audience.inclde",
        "did you mean 'include'?",
    ),
    # and in an offer, its preset's parameters among the known keys
    (
        ('    amount: "20.00"', '    amount: "20.00"\n    ammount: "5.00"'),
        "coupons[0].ammount",
        "did you mean 'amount'?",
    ),
    # and in a message
    (("    subject:", "    sbject: a\n    subject:"), "channels.email.sbject", "did you mean 'subject'?"),
    # an unknown channel
    (("  push:\n", "  puhs:\n"), "channels.puhs", "did you mean 'push'?"),
    # the end before the start
    (('to: "2027-03-09T00:00"}', 'to: "2027-03-05T00:00"}'), "window.to", "is not after its start"),
    # a claim that goes on after the theme
    (('to: "2027-03-08T23:59"', 'to: "2027-03-10T00:00"'), "coupons[0].claim.to", "after the theme's window ends"),
    # a claim that begins before it
    (('claim: {from: "2027-03-06T00:00"', 'claim: {from: "2027-03-01T00:00"'), "coupons[0].claim.from", "is before"),
    # a coupon that is over while it can still be claimed
    (('to: "2027-03-31T23:59"', 'to: "2027-03-07T23:59"'), "coupons[1].valid.to", "last moment"),
    # neither days nor a period
    (("valid: {days: 14}", "valid: {}"), "coupons[0].valid", "has to be a period or a number of days"),
    # both
    (("valid: {days: 14}", 'valid: {days: 14, to: "2027-03-31T00:00"}'), "coupons[0].valid", "a period or a number"),
    # an id twice, across coupons and activities
    (("- id: tea-lights-3-for-2", "- id: first-parcel-free"), "activities[0].id", "the id of coupons[1]"),
    # an exclusion of an offer that is not there
    (
        ("[women-20-off-100, tea-lights", "[women-20-of-100, tea-lights"),
        "exclusions[0][0]",
        "did you mean 'women-20-off-100'",
    ),
    # of itself
    (
        ("[women-20-off-100, tea-lights-3-for-2]", "[women-20-off-100, women-20-off-100]"),
        "exclusions[0]",
        "from itself",
    ),
    # of three
    (("[women-20-off-100, tea-lights-3-for-2]", "[a, b, c]"), "exclusions[0]", "at most 2 items"),
    # an unknown segment
    (("[ordered_once,", "[orderd_once,"), "audience.include[0]", "did you mean 'ordered_once'?"),
    # an account of another channel
    (("account: push-main", "account: mail-main"), "channels.push.account", "is an account of email, not of push"),
    # an unknown account
    (("account: sms-main", "account: sms-mian"), "channels.sms.account", "did you mean 'sms-main'?"),
    # an unknown product line
    (("product_line: giftware-eu", "product_line: giftware-uk"), "product_line", "is not a known product line"),
    # an unknown author
    (("author: ann", "author: anna"), "author", "did you mean 'ann'?"),
    # an unknown policy
    (("policy: standard", "policy: standart"), "policy", "did you mean 'standard'?"),
    # an unknown place
    (("place: app.banner", "place: app.baner"), "placements[0].place", "did you mean 'app.banner'?"),
    # an unknown category
    (
        ("category: [tea-light-holders]", "category: [tea-lights]"),
        "activities[0].scope.category[0]",
        "is not a known category",
    ),
    # an unknown preset
    (("preset: full_reduction", "preset: full_reducton"), "coupons[0].preset", "did you mean 'full_reduction'?"),
    # a preset of the other kind
    (("preset: freight_percent", "preset: cheapest_free"), "coupons[1].preset", "for the other kind of offer"),
    # a parameter that is missing
    (("    group: 3\n", ""), "activities[0].group", "is missing"),
    # one of two parameters that belong together
    (('    at: "100.00"\n', ""), "coupons[0]", "needs one of its alternatives"),
    # a number where an amount belongs
    (('budget: "20000.00"', "budget: 20000.00"), "budget", "write it in quotes"),
    # more decimals than the currency has
    (('budget: "20000.00"', 'budget: "20000.001"'), "budget", "is not an amount"),
    # a currency that is none
    (("currency: GBP", "currency: GBX"), "currency", "is not a currency"),
    # a time zone that is none
    (("timezone: Europe/London", "timezone: Europe/Londn"), "timezone", "is not a time zone"),
    # a time without a time of day
    (('from: "2027-03-05T00:00"', "from: 2027-03-05"), "placements[0].from", "is not a time"),
    # a percentage above everything
    (("percent: 100", "percent: 101"), "coupons[1].percent", "is not a percentage"),
    # a count that is none
    (("total: 500", "total: 0"), "coupons[0].total", "greater than or equal to 1"),
    # true is not a count
    (("total: 500", "total: true"), "coupons[0].total", "a whole number"),
    # a person gets more than there are
    (("total: 300\n    per_customer: 1", "total: 300\n    per_customer: 301"), "coupons[1].per_customer", "in total"),
    # a redemption channel that is none
    (("redeem_in: [app,", "redeem_in: [ap,"), "coupons[0].redeem_in[0]", "is not one of those allowed"),
    # a template that was not given
    (("html: women-day.html.j2", "html: women-day.htm.j2"), "channels.email.html", "did you mean 'women-day.html.j2'?"),
    # an HTML message alone
    (("    text: women-day.txt.j2\n", ""), "channels.email.text", "an HTML message needs a text beside it"),
    # a text and a template
    (
        ("    account: sms-main\n", "    account: sms-main\n    template: T1\n"),
        "channels.sms",
        "either a text or a template",
    ),
    # parameters of no template
    (
        ("    account: sms-main\n", "    account: sms-main\n    params: {a: b}\n"),
        "channels.sms.params",
        "belongs to a template",
    ),
    # a field that WeChat does not have
    (("{thing1:", "{thng1:"), "channels.mini_program.data.thng1", "did you mean 'thing'?"),
    # an unknown coupon in a message
    (
        ("coupon('women-20-off-100').name }} until", "coupon('women-20').name }} until"),
        "channels.sms.text",
        "unknown coupon 'women-20'",
    ),
    # an activity that is called a coupon
    (
        ("coupon('women-20-off-100').name }} until", "activity('women-20-off-100').name }} until"),
        "channels.sms.text",
        "it is a coupon",
    ),
    # something an offer does not have
    (
        ("coupon('women-20-off-100').name }} until", "coupon('women-20-off-100').nmae }} until"),
        "channels.sms.text",
        "did you mean 'name'?",
    ),
    # something a customer does not have
    (('text: "{{ customer.name }}', 'text: "{{ customer.nam }}'), "channels.sms.text", "did you mean 'name'?"),
    # an unknown filter
    (("window.to | date }}", "window.to | dat }}"), "channels.sms.text", "unknown filter 'dat'; did you mean 'date'?"),
    # an unknown variable
    (("{{ link }}", "{{ lnk }}"), "channels.sms.text", "unknown variable 'lnk'; did you mean 'link'?"),
    # markup by hand is not to be had
    (("{{ link }}", "{{ link | safe }}"), "channels.sms.text", "unknown filter 'safe'"),
    # nor what is inside Python
    (("{{ link }}", "{{ link.__class__ }}"), "channels.sms.text", "begin with _"),
    # a template that is none
    (("{{ link }}", "{{ link }"), "channels.sms.text", "is not a template"),
]


@pytest.mark.parametrize(("edit", "path", "said"), ONE_PROBLEM, ids=[f"{row[1]}: {row[2]}" for row in ONE_PROBLEM])
def test_one_mistake_is_one_problem_at_its_place(edit: tuple[str, str], path: str, said: str) -> None:
    found = [problem for problem in problems(edited(edit)) if problem.path == path]
    assert len(found) == 1
    assert said in found[0].message
    assert found[0].line is not None


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = edited(
        ("title:", "titel:"),
        ('budget: "20000.00"', "budget: much"),
        ('to: "2027-03-08T23:59"', 'to: "2027-03-28T01:30"'),
        ("group: 3", "group: three"),
        ("[ordered_once,", "[nobody,"),
        ("{{ link }}", "{{ lnk }}"),
    )
    paths = [problem.path for problem in problems(text)]
    expected = [
        "titel",
        "budget",
        "coupons[0].claim.to",
        "activities[0].group",
        "audience.include[0]",
        "channels.sms.text",
    ]
    assert [path for path in paths if path != "title"] == expected
    assert "title" in paths


def test_wrong_field_of_an_offer_hides_no_other_of_the_same_offer() -> None:
    text = edited(("total: 500", "total: many"), ('at: "100.00"', "at: 100"), ("[app, mini", "[ap, mini"))
    paths = {"coupons[0].total", "coupons[0].at", "coupons[0].redeem_in[0]"}
    assert paths <= {problem.path for problem in problems(text)}


def test_broken_yaml_is_told_with_line_and_column() -> None:
    (problem,) = problems("theme: a\ntitle: [b\nauthor: c\n")
    assert problem.line == 3
    assert "line 3, column" in problem.message


NOT_A_THEME = [
    # nothing at all
    ("", "is not a theme"),
    # a list
    ("- a\n- b\n", "is not a theme"),
    # two documents
    ("a: 1\n---\nb: 2\n", "is not YAML"),
    # a character that YAML does not know
    ("theme: \x07\n", "U+0007"),
    # so deep that nobody meant it
    ("a: " + "[" * 600, "is nested more than 40 levels deep"),
    # too long
    ("a: " + "x" * 1_000_001, "characters long"),
]


@pytest.mark.parametrize(("text", "said"), NOT_A_THEME)
def test_what_is_no_theme_file_is_refused_as_a_whole(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert said in problem.message


def test_key_given_twice_is_an_error_that_names_both_lines() -> None:
    found = problems(edited(("author: ann", "author: ann\nauthor: bob")))
    assert [(problem.path, problem.line) for problem in found] == [("author", 6)]
    assert "the first is at line 5" in found[0].message


def test_aliases_and_python_tags_are_refused() -> None:
    text = edited(
        ("author: ann", "author: !!python/object/apply:os.getcwd []"),
        ("redeem_in: [app", "redeem_in: &places [app"),
        ("category: [tea-light-holders]", "category: *places"),
    )
    found = {problem.path: problem.message for problem in problems(text)}
    assert found["author"].startswith("has the tag tag:yaml.org,2002:python/object/apply:os.getcwd")
    assert "by an alias" in found["activities[0].scope.category"]


def test_words_that_yaml_takes_for_dates_and_booleans_stay_text() -> None:
    assert read(edited(("theme: womens-day-2027", "theme: 2027-03-06"))).key == "2027-03-06"
    assert read(edited(("title: 三八妇女节，逛吃逛喝我买单", "title: on"))).title == "on"


KEYS = [
    # Chinese
    "三八妇女节",
    # upper case and an underscore
    "WOMENS_DAY",
    # a blank inside
    "women's day 2027",
    # as long as it may be
    "x" * 200,
]


@pytest.mark.parametrize("key", KEYS)
def test_key_may_be_any_name(key: str) -> None:
    assert read(edited(("theme: womens-day-2027", f'theme: "{key}"'))).key == key


NO_KEYS = [
    # a slash would break addresses
    ("a/b", "contains a slash"),
    # blanks at the end are not seen
    ("a ", "begins or ends with a blank"),
    # nothing
    ("  ", "is empty"),
    # a control character
    ("a\\tb", "has to be one line"),
    # too long
    ("x" * 201, "at most 200 characters"),
]


@pytest.mark.parametrize(("key", "said"), NO_KEYS)
def test_key_that_could_not_be_told_apart_is_refused(key: str, said: str) -> None:
    (problem,) = problems(edited(("theme: womens-day-2027", f'theme: "{key}"')))
    assert problem.path == "theme"
    assert said in problem.message


def test_local_time_that_the_clocks_jump_over_is_explained() -> None:
    (problem,) = problems(edited(('to: "2027-03-31T23:59"', 'to: "2027-03-28T01:30"')))
    assert "the clocks go forward; from 2027-03-28 02:00 on" in problem.message


def test_local_time_that_comes_twice_asks_for_its_offset() -> None:
    (problem,) = problems(edited(('to: "2027-03-31T23:59"', 'to: "2027-10-31T01:30"')))
    assert '"2027-10-31T01:30+01:00" or "2027-10-31T01:30+00:00"' in problem.message
    assert read(edited(('to: "2027-03-31T23:59"', 'to: "2027-10-31T01:30+00:00"')))


def test_theme_without_a_channel_is_refused() -> None:
    text = TEXT[: TEXT.index("channels:")] + "channels: {}\n" + TEXT[TEXT.index("placements:") :]
    (problem,) = problems(text)
    assert problem.path == "channels"
    assert "at least one" in problem.message


def test_package_may_only_hold_coupons_of_the_theme() -> None:
    package = "  - {id: pack, preset: package, name: Pack, coupons: [first-parcel-free, tea-lights-3-for-2, pack]}\n"
    found = problems(edited(("coupons:\n", "coupons:\n" + package)))
    assert sorted(problem.message for problem in found) == ["holds itself", "is not a coupon of this theme"]


def test_template_problem_names_file_and_line() -> None:
    html = TEMPLATES["women-day.html.j2"].replace("{{ main.name }}, until", "{{ main.nmae }}, until")
    (problem,) = problems(TEXT, {**TEMPLATES, "women-day.html.j2": html})
    line = next(at for at, text in enumerate(html.splitlines(), 1) if "nmae" in text)
    assert problem.path == "channels.email.html"
    assert problem.message.startswith(
        f"women-day.html.j2, line {line}: asks for the unknown 'nmae'; did you mean 'name'?"
    )


def test_template_syntax_error_names_file_and_line() -> None:
    broken = "one\ntwo {% if %}\n"
    (problem,) = problems(TEXT, {**TEMPLATES, "women-day.txt.j2": broken})
    assert problem.message.startswith("women-day.txt.j2, line 2: is not a template")


def test_id_in_decomposed_characters_is_the_same_id() -> None:
    decomposed = TEXT.replace("first-parcel-free", "caf\u0065\u0301")
    templates = {name: text.replace("first-parcel-free", "caf\u00e9") for name, text in TEMPLATES.items()}
    assert read(decomposed, templates).offer("caf\u00e9")


def test_template_with_a_control_character_is_refused() -> None:
    (problem,) = problems(TEXT, {**TEMPLATES, "women-day.txt.j2": "a\0b"})
    assert problem.message == "contains a control character; remove it"


def test_template_cannot_reach_other_files() -> None:
    (problem,) = problems(TEXT, {**TEMPLATES, "women-day.txt.j2": "{% include 'secrets' %}"})
    assert "{% include %} is not available" in problem.message


def test_sms_may_be_a_registered_template_with_parameters() -> None:
    start, end = TEXT.index('    text: "{{ customer'), TEXT.index("  email:")
    text = TEXT[:start] + '    template: SMS_1\n    params: {name: "{{ customer.name }}"}\n' + TEXT[end:]
    sms = read(text).channels.sms
    assert sms is not None
    assert (sms.template, dict(sms.params)) == ("SMS_1", {"name": "{{ customer.name }}"})


def test_exclusion_may_name_an_offer_of_another_theme() -> None:
    known = Vocabulary(offers=frozenset({"spring/sale"}))
    text = edited(("tea-lights-3-for-2]", "spring/sale]"))
    assert read(text, known=known).excluded_from("women-20-off-100") == ("spring/sale",)
    assert read(text).excluded_from("women-20-off-100") == ("spring/sale",)  # what nobody knows is not checked
    assert tuple(offers_elsewhere(text)) == ("giftware-eu", {"spring/sale"})


def test_offer_of_this_theme_may_be_named_as_one_of_another_is_and_is_the_same() -> None:
    text = edited(("[women-20-off-100, tea", "[womens-day-2027/women-20-off-100, tea"))
    assert read(text) == read(TEXT)
    assert offers_elsewhere(text).offers == frozenset()


EXCLUDED_WRONGLY = [
    # no such offer elsewhere
    ("tea-lights-3-for-2]", "spring/sail]", "exclusions[0][1]", "did you mean 'spring/sale'?"),
    # a theme that is named and no offer
    ("tea-lights-3-for-2]", "spring/]", "exclusions[0][1]", "is empty"),
    # two slashes
    ("tea-lights-3-for-2]", "spring/sale/1]", "exclusions[0][1]", "contains a slash"),
    # nothing of this theme
    ("[women-20-off-100, tea-lights-3-for-2]", "[spring/sale, spring/other]", "exclusions[0]", "no offer of this"),
]


@pytest.mark.parametrize(("old", "new", "path", "said"), EXCLUDED_WRONGLY)
def test_exclusion_of_what_is_not_there_is_told_with_its_place(old: str, new: str, path: str, said: str) -> None:
    known = Vocabulary(offers=frozenset({"spring/sale", "spring/other"}))
    found = [problem.message for problem in problems(edited((old, new)), known=known) if problem.path == path]
    assert said in " ".join(found)


def test_ladder_that_falls_and_a_scope_that_would_have_no_effect_are_refused() -> None:
    falling = """tiers: [{at: "50", amount: "9"}, {at: "100", amount: "5"}]"""
    text = edited(('at: "100.00"', falling), ('    amount: "20.00"\n', ""))
    assert "steps rise" in {one.path: one.message for one in problems(text)}["coupons[0]"]
    given = "preset: buy_a_get_b\n    buy: {product: ['1']}\n    get: {product: ['2']}\n    percent: 50"
    text = edited(("preset: cheapest_free", given), ("    group: 3\n", ""))
    assert "stands in buy, get" in {one.path: one.message for one in problems(text)}["activities[0].scope"]


def test_what_is_not_known_outside_is_not_checked() -> None:
    text = edited(("author: ann", "author: zoe"), ("[ordered_once,", "[whoever,"), ("account: sms-main", "account: x"))
    assert read(text, known=Vocabulary()).author == "zoe"


def test_template_names_are_read_even_from_a_file_with_problems() -> None:
    assert template_names(edited(("title:", "titel:"))) == ("women-day.html.j2", "women-day.txt.j2")
    assert template_names("theme: a") == ()
