import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themes.canonical import NotCanonical, canonical_json, sha256_hex
from themes.document import Vocabulary, parse_theme
from themes.revision import Revision, RevisionUnreadable, freeze, load

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
TEXT = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLE.glob("*.j2")}


def frozen(*edits: tuple[str, str], templates: Mapping[str, str] = TEMPLATES) -> Revision:
    text = TEXT
    for old, new in edits:
        assert old in text, f"the example no longer has {old!r}"
        text = text.replace(old, new, 1)
    return freeze(parse_theme(text, templates=templates, known=Vocabulary()))


ORIGINAL = frozen()

SAME = [
    # other blanks
    [("currency: GBP", "currency:    GBP   # pounds")],
    # keys in another order
    [("author: ann\ncurrency: GBP", "currency: GBP\nauthor: ann")],
    # a time with seconds, or with its offset, or with a blank
    [('to: "2027-03-09T00:00"', 'to: "2027-03-09 00:00:00+00:00"')],
    # an amount with fewer decimals
    [('budget: "20000.00"', 'budget: "20000"')],
    # a percentage with a decimal
    [("percent: 100", "percent: 100.0")],
    # an exclusion the other way round, and twice
    [
        ("- [women-20-off-100, tea", "- [tea-lights-3-for-2, women-20-off-100]\n  - [women-20-off-100, tea"),
    ],
    # segments in another order
    [("[ordered_once, at_most_two_orders]", "[at_most_two_orders, ordered_once]")],
    # a default written out
    [("    group: 3", "    group: 3\n    free: 1\n    priority: 0\n    exclusive: false")],
    # the theme's window written out as the claim
    [("percent: 100", 'percent: 100\n    claim: {from: "2027-03-06T00:00", to: "2027-03-09T00:00"}')],
]


@pytest.mark.parametrize("edits", SAME)
def test_another_notation_of_the_same_content_has_the_same_hash(edits: list[tuple[str, str]]) -> None:
    assert frozen(*edits) == ORIGINAL


def test_decomposed_characters_are_the_same_text() -> None:
    composed = frozen(("name: 20 off from 100", "name: Café 20"))
    decomposed = frozen(("name: 20 off from 100", unicodedata.normalize("NFD", "name: Café 20")))
    assert composed == decomposed


def test_line_ends_of_windows_in_a_template_are_the_same_text() -> None:
    windows = {name: text.replace("\n", "\r\n") for name, text in TEMPLATES.items()}
    assert frozen(templates=windows) == ORIGINAL


THEME_ONLY = [
    # the title
    ("title: 三八妇女节", "title: 妇女节"),
    # the budget by one penny
    ('budget: "20000.00"', 'budget: "20000.01"'),
    # a goal
    ("claims: 400", "claims: 401"),
    # whom it is for
    ("[ordered_once, at_most_two_orders]", "[ordered_once]"),
    # a message
    ("title: Women's Day", "title: Women's Days"),
    # a field of the mini-program
    ("truncate_chars(20)", "truncate_chars(19)"),
    # where it shows
    ("place: app.banner", "place: app.top"),
    # who must approve
    ("policy: standard", "policy: strict"),
    # who wrote it
    ("author: ann", "author: bob"),
]


@pytest.mark.parametrize("edit", THEME_ONLY)
def test_change_of_the_theme_changes_its_hash_and_leaves_those_of_its_offers(edit: tuple[str, str]) -> None:
    changed = frozen(edit)
    assert changed.hash != ORIGINAL.hash
    assert changed.theme_hash != ORIGINAL.theme_hash
    assert changed.offer_hashes == ORIGINAL.offer_hashes


def test_change_of_a_template_changes_the_hash_of_the_theme() -> None:
    changed = frozen(templates={**TEMPLATES, "women-day.txt.j2": TEMPLATES["women-day.txt.j2"] + "PS\n"})
    assert changed.theme_hash != ORIGINAL.theme_hash
    assert changed.offer_hashes == ORIGINAL.offer_hashes


ONE_OFFER = [
    # what it takes off
    (('amount: "20.00"', 'amount: "20.01"'), {"women-20-off-100"}),
    # how many there are
    (("total: 300", "total: 301"), {"first-parcel-free"}),
    # what it applies to
    (("category: [tea-light-holders]", "category: [bags]"), {"tea-lights-3-for-2"}),
    # an exclusion concerns both sides
    (
        ("- [women-20-off-100, tea-lights-3-for-2]", "- [women-20-off-100, first-parcel-free]"),
        {"women-20-off-100", "first-parcel-free", "tea-lights-3-for-2"},
    ),
    # the window concerns those that have no times of their own
    (('to: "2027-03-09T00:00"}', 'to: "2027-03-10T00:00"}'), {"first-parcel-free", "tea-lights-3-for-2"}),
]


@pytest.mark.parametrize(("edit", "changed"), ONE_OFFER)
def test_change_of_an_offer_changes_its_hash_alone(edit: tuple[str, str], changed: set[str]) -> None:
    hashes = frozen(edit).offer_hashes
    assert {offer for offer in hashes if hashes[offer] != ORIGINAL.offer_hashes[offer]} == changed


def test_currency_is_part_of_every_offer_that_names_an_amount() -> None:
    hashes = frozen(("currency: GBP", "currency: EUR")).offer_hashes
    assert hashes["women-20-off-100"] != ORIGINAL.offer_hashes["women-20-off-100"]


def test_frozen_theme_comes_back_as_it_was_even_through_json() -> None:
    theme = parse_theme(TEXT, templates=TEMPLATES, known=Vocabulary())
    content = json.loads(json.dumps(freeze(theme).content))
    assert load(content) == theme
    assert freeze(load(content)) == ORIGINAL


def test_content_holds_no_float() -> None:
    json.loads(ORIGINAL.canonical(), parse_float=pytest.fail)


UNREADABLE: list[Any] = [
    # nothing
    {},
    # of a later version
    {**ORIGINAL.content, "format": 99},
    # a part is missing
    {"format": 1, "theme": ORIGINAL.content["theme"]},
    # a key that nobody knows
    {**ORIGINAL.content, "theme": {**ORIGINAL.content["theme"], "extra": 1}},
]


@pytest.mark.parametrize("content", UNREADABLE)
def test_content_that_is_no_revision_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(RevisionUnreadable):
        load(content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcé中", max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_canonical_json_read_back_is_the_same_canonical_json(value: object) -> None:
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text("abcdefg", max_size=5), json_values, max_size=6), st.randoms())
def test_order_of_keys_makes_no_difference(values: dict[str, Any], random: Any) -> None:
    shuffled = list(values.items())
    random.shuffle(shuffled)
    assert sha256_hex(dict(shuffled)) == sha256_hex(values)


@given(st.integers(0, 7_000_000_000), st.integers(-14 * 60, 14 * 60))
def test_zone_in_which_a_time_is_written_makes_no_difference(seconds: int, minutes: int) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    elsewhere = at.astimezone(timezone(timedelta(minutes=minutes)))
    assert canonical_json([elsewhere]) == canonical_json([at])


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9))
def test_trailing_zeros_of_a_decimal_make_no_difference(value: Decimal) -> None:
    assert canonical_json(value) == canonical_json(value * Decimal("1.000"))


REFUSED: list[tuple[Any, str]] = [
    # a binary fraction
    ({"a": [1.5]}, r"a\[0\]: a float"),
    # a time that means no instant
    ({"a": datetime(2027, 3, 6)}, "a: a time without a zone"),  # noqa: DTZ001 - that is the point
    # a key that is no text
    ({"a": {1: 2}}, "a: the key 1"),
    # one key in two notations
    ({"é": 1, "e\u0301": 2}, "in two notations"),
    # half a character
    ({"a": "\ud800"}, "a: contains half a character"),
    # no number
    ({"a": Decimal("NaN")}, "a: a Decimal"),
]


@pytest.mark.parametrize(("value", "said"), REFUSED)
def test_value_without_one_form_is_refused_with_its_place(value: object, said: str) -> None:
    with pytest.raises(NotCanonical, match=said):
        canonical_json(value)
