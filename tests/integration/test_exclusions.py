"""Offers that meet, and pairs that may not take effect together: within a theme and between themes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.exclusion import OfferExclusion
from models.product import Product
from models.queries import catalogue, themes
from models.queries.product_lines import all_of_them
from offers.scope import Items, Scope, shared
from offers.service import exclusions
from offers.service.exclusions import Suggestions
from tests.integration.command_line import CommandLine
from tests.integration.scene import EXAMPLES, KEY, LINE, TEMPLATES, Scene, theme_text
from themes.document import ThemeInvalid
from themes.lifecycle import ThemeState
from themes.service.finding import require_theme
from themes.service.saving import save_draft

SPRING = "spring-sale"
REDUCTION, FREIGHT, LIGHTS = "women-20-off-100", "first-parcel-free", "tea-lights-3-for-2"
IN_SPRING = ("theme: womens-day-2027", f"theme: {SPRING}")
PAIR = f"- [{REDUCTION}, {LIGHTS}]"


def with_pair(own: str, elsewhere: str) -> tuple[str, str]:
    return (PAIR, f"{PAIR}\n  - [{own}, {elsewhere}]")


def suggested(scene: Scene, key: str = KEY) -> Suggestions:
    with scene.begin() as session:
        return exclusions.suggest(session, require_theme(session, key))


def pairs(found: Suggestions) -> dict[tuple[str, str], bool]:
    """Own and other offer -> whether they exclude each other."""
    return {(one.offer, one.other): one.excluded for one in found.meetings}


def excluded_from(scene: Scene, key: str, offer: str) -> list[str]:
    found: list[str] = scene.theme(key).draft["offers"][offer].get("excluded_from", [])
    return found


def offer_hash(scene: Scene, key: str, offer: str) -> str:
    with scene.begin() as session:
        revision = themes.revisions(session, scene.theme(key).id)[-1]
        return str(revision.offer_hashes[offer])


def rows(scene: Scene) -> list[tuple[str, str, bool, bool]]:
    with scene.begin() as session:
        found = session.scalars(select(OfferExclusion))
        return [(one.one_offer, one.other_offer, one.by_one, one.by_other) for one in found]


OWN = {(FREIGHT, REDUCTION): False, (FREIGHT, LIGHTS): False, (LIGHTS, REDUCTION): True}


def own_pairs(found: Suggestions) -> dict[tuple[str, str], bool]:
    return {(min(pair), max(pair)): ticked for pair, ticked in pairs(found).items() if "/" not in pair[1]}


def test_offers_of_a_theme_are_shown_with_what_they_meet_in_it_and_which_pairs_are_ticked(scene: Scene) -> None:
    scene.draft()
    found = suggested(scene)
    assert own_pairs(found) == OWN
    assert len(found.meetings) == 3
    (lights,) = [one for one in found.meetings if {one.offer, one.other} == {REDUCTION, LIGHTS}]
    assert (lights.sku, lights.product, lights.state) == ("1", "HOLDER", ThemeState.DRAFT)
    assert lights.starts_at == datetime(2027, 3, 6, tzinfo=UTC)
    assert lights.ends_at == datetime(2027, 3, 9, tzinfo=UTC)
    assert len(found.open) == 2


def test_offers_of_another_theme_are_shown_from_review_on_and_not_before(scene: Scene) -> None:
    scene.draft()
    scene.draft(theme_text(IN_SPRING))
    assert not [one for one in pairs(suggested(scene)) if "/" in one[1]]
    scene.submit(SPRING)
    found = [one for one in suggested(scene).meetings if "/" in one.other]
    assert {one.other for one in found} == {f"{SPRING}/{offer}" for offer in (REDUCTION, FREIGHT, LIGHTS)}
    assert {one.state for one in found} == {ThemeState.IN_REVIEW}
    assert len(found) == 9
    scene.withdraw(SPRING)
    assert not [one for one in pairs(suggested(scene)) if "/" in one[1]]


RUNNING = {"in_review", "approved", "scheduled", "live", "paused"}


@pytest.mark.parametrize("state", ThemeState)
def test_what_runs_or_is_under_review_is_shown_and_nothing_else(scene: Scene, state: ThemeState) -> None:
    scene.draft()
    scene.draft(theme_text(IN_SPRING))
    scene.run("UPDATE themes SET state = :state WHERE key = :key", state=state.value, key=SPRING)
    assert bool([one for one in pairs(suggested(scene)) if "/" in one[1]]) == (state.value in RUNNING)


def test_offers_whose_windows_do_not_meet_are_not_shown(scene: Scene) -> None:
    scene.draft()
    later = (
        ('window: {from: "2027-03-06T00:00", to: "2027-03-09T00:00"}',
         'window: {from: "2027-03-31T23:59", to: "2027-04-09T00:00"}'),
        ('claim: {from: "2027-03-06T00:00", to: "2027-03-08T23:59"}',
         'claim: {from: "2027-04-01T00:00", to: "2027-04-02T00:00"}'),
        ('valid: {from: "2027-03-06T00:00", to: "2027-03-31T23:59"}',
         'valid: {from: "2027-03-31T23:59", to: "2027-04-30T00:00"}'),
        ('place: app.banner, from: "2027-03-05T00:00"', "place: app.banner"),
    )  # fmt: skip
    scene.draft(theme_text(IN_SPRING, *later))
    scene.submit(SPRING)
    # the freight voucher of March ends at the minute in which April's begins; the coupon can be used for 14 days
    assert not [one for one in suggested(scene).meetings if "/" in one.other]
    sooner = (('"2027-03-31T23:59", to: "2027-04-09', '"2027-03-22T00:00", to: "2027-04-09'),)
    scene.edit(IN_SPRING, *later, *sooner)
    found = {(one.offer, one.other) for one in suggested(scene).meetings if "/" in one.other}
    assert found == {(REDUCTION, f"{SPRING}/{LIGHTS}"), (FREIGHT, f"{SPRING}/{LIGHTS}")}


def test_scopes_meet_in_a_product_that_there_is_and_nowhere_else(scene: Scene) -> None:
    scene.run(
        "INSERT INTO products (product_line_id, sku, name, category, unit_price_minor, brand)"
        " SELECT id, '2', 'BAG', 'bags', 100, 'Lyons' FROM product_lines"
    )
    by_brand = ("scope: {all: true}", "scope: {brand: [Lyons]}")
    scene.draft(theme_text(by_brand))
    found = suggested(scene)
    assert (LIGHTS, REDUCTION) not in own_pairs(found)
    assert "2" in {one.sku for one in found.meetings}
    scene.draft(theme_text(("scope: {all: true}", "scope: {brand: [Nobody], shop: [s1]}")))
    found = suggested(scene)
    assert (found.uncovered, own_pairs(found)) == ([REDUCTION], {(FREIGHT, LIGHTS): False})
    scene.run("UPDATE products SET brand = 'Nobody', shop = 's1' WHERE sku = '1'")
    assert suggested(scene).uncovered == []
    assert (LIGHTS, REDUCTION) in own_pairs(suggested(scene))


def test_pair_that_one_side_names_is_stored_once_and_part_of_the_hash_of_both(scene: Scene) -> None:
    scene.draft(theme_text(IN_SPRING))
    scene.submit(SPRING)
    before = offer_hash(scene, SPRING, FREIGHT)
    scene.draft(theme_text(with_pair(REDUCTION, f"{SPRING}/{FREIGHT}")))
    assert excluded_from(scene, KEY, REDUCTION) == [f"{SPRING}/{FREIGHT}", LIGHTS]
    assert len(rows(scene)) == 1
    assert pairs(suggested(scene))[REDUCTION, f"{SPRING}/{FREIGHT}"] is True
    scene.submit()
    assert pairs(suggested(scene, SPRING))[FREIGHT, f"{KEY}/{REDUCTION}"] is True
    # what is under review keeps its content until it is edited or submitted anew
    assert excluded_from(scene, SPRING, FREIGHT) == []
    scene.withdraw(SPRING)
    scene.submit(SPRING)
    assert excluded_from(scene, SPRING, FREIGHT) == [f"{KEY}/{REDUCTION}"]
    assert offer_hash(scene, SPRING, FREIGHT) != before
    assert scene.submit(SPRING).already


def test_pair_is_kept_when_either_side_is_edited_until_neither_names_it(scene: Scene) -> None:
    scene.draft(theme_text(IN_SPRING))
    scene.draft(theme_text(with_pair(REDUCTION, f"{SPRING}/{FREIGHT}")))
    other = ("total: 300", "total: 299")
    scene.draft(theme_text(IN_SPRING, other))  # whose file does not name it
    assert excluded_from(scene, SPRING, FREIGHT) == [f"{KEY}/{REDUCTION}"]
    scene.draft(theme_text(IN_SPRING, with_pair(FREIGHT, f"{KEY}/{REDUCTION}")))  # now both do
    assert [row[2:] for row in rows(scene)] == [(True, True)]
    scene.draft(theme_text(("total: 500", "total: 499")))
    assert excluded_from(scene, KEY, REDUCTION) == [f"{SPRING}/{FREIGHT}", LIGHTS]
    assert len(rows(scene)) == 1
    scene.draft(theme_text(IN_SPRING))
    assert rows(scene) == []
    scene.draft()
    assert excluded_from(scene, KEY, REDUCTION) == [LIGHTS]
    assert excluded_from(scene, SPRING, FREIGHT) == []


@pytest.mark.parametrize("elsewhere", [f"{SPRING}/gone", "nowhere/x"])
def test_pair_with_an_offer_that_there_is_not_is_refused(scene: Scene, elsewhere: str) -> None:
    scene.draft(theme_text(IN_SPRING))
    with pytest.raises(ThemeInvalid, match="is not a known offer"):
        scene.draft(theme_text(with_pair(REDUCTION, elsewhere)))


def test_offer_of_another_product_line_is_none_that_could_be_excluded(scene: Scene) -> None:
    scene.run("INSERT INTO product_lines (key, name, currency) VALUES ('giftware-us', 'US', 'GBP')")
    scene.draft(theme_text(IN_SPRING, ("product_line: giftware-eu", "product_line: giftware-us")))
    with pytest.raises(ThemeInvalid, match="is not a known offer"):
        scene.draft(theme_text(with_pair(REDUCTION, f"{SPRING}/{FREIGHT}")))


def test_verb_shows_what_meets_and_the_reports_of_a_draft_say_it_in_a_line(cli: CommandLine, scene: Scene) -> None:
    saved = scene.draft()
    told = f"pairs of offers that can take effect together: 2 (themeline exclusions suggest {KEY})"
    assert saved.meets == told
    scene.draft(theme_text(IN_SPRING))
    scene.submit(SPRING)
    assert "together: 11, with other themes: 9" in scene.draft(theme_text(("total: 300", "total: 299"))).meets
    file = str(EXAMPLES / "womens-day" / "theme.yaml")
    line = "pairs of offers that can take effect together: 11, with other themes: 9"
    line += f" (themeline exclusions suggest {KEY})"
    assert cli.json("theme", "validate", file)["meets"] == line
    assert line in cli.run("theme", "validate", file).stdout
    nowhere = "postgresql://a:b@127.0.0.1:1/none"
    assert cli.json("theme", "validate", file, THEMELINE_DATABASE_URL=nowhere)["meets"] == ""
    found = cli.json("exclusions", "suggest", KEY)
    assert (found["theme"], found["uncovered"], len(found["meetings"])) == (KEY, [], 12)
    told = cli.run("exclusions", "suggest", KEY, "--offer", LIGHTS).stdout
    assert f"{SPRING}/{REDUCTION}" in told
    assert FREIGHT not in [line.split()[0] for line in told.splitlines() if REDUCTION in line]
    assert "there is no theme 'womens-day'" in cli.refusal("exclusions", "suggest", "womens-day")


def test_both_sides_may_name_a_pair_or_drop_it_at_the_same_time(scene: Scene) -> None:
    scene.draft()
    scene.draft(theme_text(IN_SPRING))
    here = with_pair(REDUCTION, f"{SPRING}/{FREIGHT}"), with_pair(FREIGHT, f"{KEY}/{REDUCTION}")
    for turn in range(3):
        budget = ('budget: "20000.00"', f'budget: "{20_001 + turn}.00"')
        together(scene, theme_text(here[0], budget), theme_text(IN_SPRING, here[1], budget))
        assert rows(scene) in ([(REDUCTION, FREIGHT, True, True)], [(FREIGHT, REDUCTION, True, True)])
        together(scene, theme_text(), theme_text(IN_SPRING))
        assert rows(scene) == []


def together(scene: Scene, *texts: str) -> None:
    start = Barrier(len(texts))

    def save(text_: str) -> None:
        with scene.begin() as session:
            start.wait()
            save_draft(session, text=text_, templates=TEMPLATES, login="ann", now=scene.now)

    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(save, texts))


def test_few_products_stand_for_a_whole_catalogue(session: Session) -> None:
    line = all_of_them(session)
    assert not line
    session.execute(text("INSERT INTO product_lines (key, name, currency) VALUES (:key, 'G', 'GBP')"), {"key": LINE})
    (line_id,) = [one.id for one in all_of_them(session)]
    shops, brands = ["s1", "s2", None], ["b1", None]
    session.add_all(
        Product(
            product_line_id=line_id, sku=f"{at:03}", name=f"P{at}", category=f"c{at % 4}", unit_price_minor=1,
            shop=shops[at % 3], brand=brands[at % 2],
        )
        for at in range(120)
    )  # fmt: skip
    session.flush()
    few = catalogue.representatives(session, product_line_id=line_id, named=["017", "018", "999"])
    assert len(few) == 12 + 2
    everything = catalogue.representatives(session, product_line_id=line_id, named=[f"{at:03}" for at in range(120)])
    assert len(everything) == 120
    but = (Items(), Items(sku=frozenset({"017"})), Items(shop=frozenset({"s2"})), Items(brand=frozenset({"b1"})))
    scopes = [
        Scope(named=Items(**{name: frozenset(values)}), excluded=excluded)
        for name, values in (("sku", ["017", "018"]), ("shop", ["s1"]), ("brand", ["b1"]), ("category", ["c1", "c2"]))
        for excluded in but
    ]
    for one in scopes:
        for other in scopes:
            assert (shared(one, other, few) is None) == (shared(one, other, everything) is None)
