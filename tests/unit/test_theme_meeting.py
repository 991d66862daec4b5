"""Which offers meet, decided without a database."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offers.overlap import Reach
from offers.presets import standard_catalogue
from offers.scope import EVERYTHING, Items, Scope, shared
from themes.document import Vocabulary, parse_theme
from themes.lifecycle import ThemeState
from themes.meeting import Offered, Product, Window, meetings, window_of
from themes.offer_rule import effective_scope, scope_of, takes_off
from themes.theme import Offer
from themes.theme import Scope as ThemeScope

EXAMPLE = Path(__file__).parents[2] / "examples" / "womens-day"
TEXT = (EXAMPLE / "theme.yaml").read_text(encoding="utf-8")
THEME = parse_theme(TEXT, templates={path.name: "text" for path in EXAMPLE.glob("*.j2")}, known=Vocabulary())
REDUCTION, FREIGHT, LIGHTS = "women-20-off-100", "first-parcel-free", "tea-lights-3-for-2"


@dataclass(frozen=True)
class Goods:
    sku: str
    name: str = "N"
    shop: str | None = None
    category: str | None = None
    brand: str | None = None


names = st.frozensets(st.sampled_from("abc"), max_size=2)
items = st.builds(Items, sku=names, shop=names, category=names, brand=names)
scopes = st.builds(Scope, named=items, excluded=items)
some = st.sampled_from([*"abc", None])
goods = st.builds(Goods, sku=st.sampled_from("abcd"), shop=some, category=some, brand=some)


@given(st.lists(goods, max_size=8), scopes, scopes)
def test_reach_finds_the_first_product_that_both_scopes_cover(there: list[Goods], one: Scope, other: Scope) -> None:
    reach = Reach(there)
    assert reach.shared(one, other) == shared(one, other, there)
    assert reach.covers_any(one) == any(one.covers(each) for each in there)


NAMED = [
    # what: any of the lists
    ({"product": ["1"], "category": ["tea"]}, Goods("1"), True),
    ({"product": ["1"], "category": ["tea"]}, Goods("2", category="tea"), True),
    ({"product": ["1"], "brand": ["L"]}, Goods("2", category="tea", brand="M"), False),
    # where: the shop restricts, and alone names everything in it
    ({"category": ["tea"], "shop": ["s"]}, Goods("1", category="tea", shop="t"), False),
    ({"category": ["tea"], "shop": ["s"]}, Goods("1", category="tea", shop="s"), True),
    ({"shop": ["s"]}, Goods("1", shop="s"), True),
    # less what is excepted
    ({"all": True, "except": {"brand": ["L"]}}, Goods("1", brand="L"), False),
    ({"category": ["tea"], "except": {"product": ["1"], "shop": ["s"]}}, Goods("1", category="tea", shop="t"), True),
    # who has none is in no scope that asks for one
    ({"brand": ["L"]}, Goods("1"), False),
    ({"all": True}, Goods("1"), True),
]


@pytest.mark.parametrize(("written", "product", "covered"), NAMED)
def test_lists_of_a_theme_file_say_what_and_where_and_what_is_taken_away(
    written: dict[str, object], product: Goods, *, covered: bool
) -> None:
    assert scope_of(ThemeScope.model_validate(written)).covers(product) is covered


def test_window_of_an_offer_is_that_in_which_it_can_be_used() -> None:
    claim = THEME.offer(REDUCTION).claim
    assert claim is not None
    assert window_of(THEME.offer(REDUCTION)) == (claim.starts_at, claim.ends_at + timedelta(days=14))
    assert window_of(THEME.offer(FREIGHT)).ends_at == datetime(2027, 3, 31, 22, 59, tzinfo=UTC)
    assert window_of(THEME.offer(LIGHTS)) == (THEME.window.starts_at, THEME.window.ends_at)


def offered(offer: Offer, *, theme: str = THEME.key, scope: Scope = EVERYTHING, days: int = 0) -> Offered:
    start = THEME.window.starts_at + timedelta(days=days)
    window = Window(start, start + timedelta(days=1))
    return Offered(offer=offer, theme=theme, state=ThemeState.LIVE, scope=scope, window=window)


def test_pair_is_told_once_with_the_time_that_both_have_and_only_where_one_is_this_themes_own() -> None:
    own = [offered(THEME.offer(REDUCTION)), offered(THEME.offer(LIGHTS))]
    others = [offered(THEME.offer(FREIGHT), theme="a"), offered(THEME.offer(LIGHTS), theme="b", days=1)]
    reach = Reach[Product]([Goods("1")])
    found = list(meetings(own, others, reach, {(f"a/{FREIGHT}", LIGHTS)}))
    assert {(one.offer, one.other, one.excluded) for one in found} == {
        (REDUCTION, LIGHTS, False),
        (REDUCTION, f"a/{FREIGHT}", False),
        (LIGHTS, f"a/{FREIGHT}", True),
    }
    late = replace(others[1], window=Window(own[0].window.ends_at - timedelta(hours=1), THEME.window.ends_at))
    met = next(one for one in meetings(own, [late], reach, ()) if one.other.startswith("b/"))
    assert met.ends_at - met.starts_at == timedelta(hours=1)


def test_package_meets_nothing_and_buy_a_get_b_meets_what_gets_cheaper() -> None:
    catalogue = standard_catalogue()
    extra = """
  - {id: pack, preset: package, name: P, coupons: [women-20-off-100]}
"""
    bought = "preset: buy_a_get_b\n    buy: {product: ['1']}\n    get: {product: ['2']}\n    percent: 50"
    text = TEXT.replace("\nactivities:", f"{extra}\nactivities:").replace("preset: cheapest_free", bought)
    text = text.replace("    group: 3\n    scope: {category: [tea-light-holders]}\n", "")
    theme = parse_theme(text, templates={path.name: "text" for path in EXAMPLE.glob("*.j2")}, known=Vocabulary())
    assert not takes_off(theme.offer("pack"), catalogue)
    assert effective_scope(theme.offer(LIGHTS), catalogue) == Scope(named=Items(sku=frozenset({"2"})))
    assert effective_scope(theme.offer(REDUCTION), catalogue) == EVERYTHING
