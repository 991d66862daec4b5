"""Saving a draft: what is kept, who becomes an editor, and what stands against it."""

import pytest

from approval.errors import PersonUnknown
from models.product_line import ProductLine
from models.queries import themes
from tests.integration.scene import ENDS_AT, KEY, STARTS_AT, Scene, theme_text
from themes.document import ThemeInvalid
from themes.errors import NobodyToReach, ThemeNotDraft
from themes.lifecycle import ThemeState

EDIT = ('budget: "20000.00"', 'budget: "9000.00"')


def test_draft_is_kept_with_its_source_its_window_and_its_author(scene: Scene) -> None:
    saved = scene.draft()
    theme = scene.theme()
    assert saved.changed
    assert (theme.state, theme.title) == (ThemeState.DRAFT, "三八妇女节，逛吃逛喝我买单")
    assert (theme.starts_at, theme.ends_at, theme.timezone) == (STARTS_AT, ENDS_AT, "Europe/London")
    assert theme.draft_source == theme_text()
    (row,) = scene.audit("draft")
    assert (row.actor, row.object_key, row.object_hash) == ("ann", KEY, saved.hash)


def test_saving_without_a_change_changes_nothing_and_makes_nobody_an_editor(scene: Scene) -> None:
    first = scene.draft()
    again = scene.draft("# the same, written otherwise\n" + theme_text(), login="bob")
    assert (again.changed, again.hash, again.theme_id) == (False, first.hash, first.theme_id)
    with scene.begin() as session:
        assert themes.editors(session, first.theme_id) == {"ann"}
    assert len(scene.audit("draft")) == 1


def test_everybody_who_saves_is_an_editor_and_so_is_the_author_named_in_the_file(scene: Scene) -> None:
    scene.draft(login="bob")
    scene.draft(theme_text(EDIT, ("author: ann", "author: carl")), login="cyn")
    with scene.begin() as session:
        assert themes.editors(session, scene.theme().id) == {"ann", "bob", "carl", "cyn"}


def test_file_with_problems_saves_nothing(scene: Scene) -> None:
    with pytest.raises(ThemeInvalid, match="giftware-eu"):
        scene.draft(theme_text(("product_line: giftware-eu", "product_line: giftware-us")))
    with scene.begin() as session:
        assert themes.all_themes(session) == []


def test_unknown_policy_is_refused_in_the_file_with_the_nearest(scene: Scene) -> None:
    with pytest.raises(ThemeInvalid, match="did you mean 'standard'"):
        scene.draft(theme_text(policy="standart"))


def test_only_somebody_known_may_save(scene: Scene) -> None:
    with pytest.raises(PersonUnknown, match="did you mean 'ann'"):
        scene.draft(login="anne")


def test_theme_moved_to_another_product_line_reaches_that_lines_customers(scene: Scene) -> None:
    with scene.begin() as session:
        session.add(ProductLine(key="giftware-us", name="Giftware", currency="GBP"))
    scene.draft()
    scene.draft(theme_text(("product_line: giftware-eu", "product_line: giftware-us")))
    with pytest.raises(NobodyToReach):
        scene.submit()


NOT_DRAFTS = [
    ("approved", "recall it first"),
    ("scheduled", "recall it first"),
    ("live", "under another key"),
    ("rejected", "under another key"),
]


@pytest.mark.parametrize(("state", "remedy"), NOT_DRAFTS)
def test_only_a_draft_can_be_saved(scene: Scene, state: str, remedy: str) -> None:
    scene.draft()
    scene.run("UPDATE themes SET state = :state", state=state)
    with pytest.raises(ThemeNotDraft, match=remedy):
        scene.draft(theme_text(EDIT))
