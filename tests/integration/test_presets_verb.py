"""`themeline presets`: shown, applied whole or not at all, and never changed once they are there."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy.exc import IntegrityError

from offers.errors import PresetVersionTaken
from offers.presets import standard_catalogue
from offers.service.presets import apply_presets, catalogue_of
from tests.integration.command_line import CommandLine
from tests.integration.scene import KEY, MORNING, Scene, theme_text
from themes.document import ThemeInvalid
from themes.offer_rule import rules_of, words_of
from themes.revision import load

CROWN = """
presets:
  - preset: crown
    version: 1
    title: {en: dearest piece cheaper, zh: 最贵一件优惠}
    kinds: [activity]
    parameters:
      beside: {type: count, min: 2, about: pieces in the cart}
      percent: {type: percent, about: taken off the dearest}
    rules:
      - condition: {min_qty: $beside}
        effect: {type: cheapest, group: $beside, bp: $percent, target: dearest, most: 1}
        reads: {en: "the dearest of {beside} pieces {percent} off", zh: "满 {beside} 件最贵一件打 {percent|fold} 折"}
"""
SECOND = CROWN.replace("version: 1", "version: 2").replace("the dearest of", "of").replace("most: 1", "most: 2")
USED = (("preset: cheapest_free", "preset: crown"), ("    group: 3\n", "    beside: 3\n    percent: 50\n"))
#: The example's letter names what the preset that is replaced has.
TEMPLATES = {"women-day.html.j2": "<p>{{ customer.name }}</p>", "women-day.txt.j2": "{{ customer.name }}"}


@pytest.fixture
def crown(tmp_path: Path) -> Path:
    file = tmp_path / "crown.yaml"
    file.write_text(CROWN, encoding="utf-8")
    return file


def test_catalogue_of_the_project_is_listed_and_shown_without_anything_applied(cli: CommandLine) -> None:
    found = {one["preset"]: one for one in cli.json("presets", "list")}
    assert found.keys() == standard_catalogue().presets.keys()
    assert found["gift"]["title"] == {"en": "gift", "zh": "赠品"}
    assert (found["gift"]["applied_by"], found["gift"]["version"]) == (None, 1)
    told = cli.run("presets", "show", "full_reduction").stdout
    assert "full_reduction, version 1: full reduction · 满减" in told
    assert "either at and amount, or tiers" in told
    assert "{amount} off for every {at} spent[, at most {max_times} times]" in told
    shown = cli.json("presets", "show", "full_reduction")
    assert shown["schema"]["$schema"].endswith("2020-12/schema")
    assert list(shown["content"]["parameters"]) == ["at", "amount", "every", "max_times", "tiers"]
    assert "claimed by points\n" in cli.run("presets", "show", "points_exchange").stdout
    assert "claimed by asking, by newcomers alone\n" in cli.run("presets", "show", "newcomer").stdout
    assert "claimed by" not in cli.run("presets", "show", "gift").stdout
    assert "did you mean 'gift'?" in cli.refusal("presets", "show", "gifts")
    assert "no version 9 of preset 'gift'" in cli.refusal("presets", "show", "gift", "--version", "9")


def test_applied_preset_is_there_with_who_and_when_and_applying_it_again_changes_nothing(
    cli: CommandLine, scene: Scene, crown: Path
) -> None:
    (first,), (again,) = cli.json("presets", "apply", str(crown)), cli.json("presets", "apply", str(crown))
    assert (first["preset"], first["version"], first["changed"]) == ("crown", 1, True)
    assert again == {**first, "changed": False}
    assert "as before" in cli.run("presets", "apply", str(crown)).stdout
    shown = cli.json("presets", "show", "crown")
    assert shown["applied_by"].startswith("console:")
    assert list(shown["content"]["parameters"]) == ["beside", "percent"]
    assert "最贵一件优惠" in cli.run("presets", "list").stdout
    (row,) = scene.audit("apply_preset")
    assert (row.object_key, row.object_hash, row.details) == ("crown", first["hash"], {"version": 1})


def test_version_that_is_there_is_never_changed_and_what_differs_is_named(cli: CommandLine, crown: Path) -> None:
    cli.json("presets", "apply", str(crown))
    crown.write_text(CROWN.replace("most: 1", "most: 2").replace("min: 2", "min: 3"), encoding="utf-8")
    said = cli.refusal("presets", "apply", str(crown))
    assert "version 1 of preset 'crown' is there already and says otherwise" in said
    assert "(parameters.beside.min, rules[0].effect.most): give the changed preset version 2" in said
    crown.write_text(CROWN.replace("preset: crown", "preset: gift"), encoding="utf-8")
    assert "version 1 of preset 'gift' is there already" in cli.refusal("presets", "apply", str(crown))


def test_file_with_one_wrong_preset_is_refused_whole(cli: CommandLine, crown: Path) -> None:
    broken = SECOND.partition("presets:\n")[2].replace("$beside", "$besides", 1)
    crown.write_text(CROWN + broken, encoding="utf-8")
    said = cli.refusal("presets", "apply", str(crown))
    assert said.startswith(f"{crown} cannot be used as it is:")
    assert "presets[1].rules[0].condition.min_qty (line 22): names the unknown parameter 'besides'" in said
    assert "crown" not in {one["preset"] for one in cli.json("presets", "list")}
    crown.write_text(
        CROWN + broken.replace("$besides", "$beside").replace("version: 2", "version: 1"), encoding="utf-8"
    )
    assert "stands there twice" in cli.refusal("presets", "apply", str(crown))


def test_the_database_itself_keeps_a_version_as_it_is(scene: Scene) -> None:
    with scene.begin() as session:
        apply_presets(session, text=CROWN, where="crown.yaml", by="root", now=MORNING)
    for statement in ("UPDATE rule_presets SET content = '{}'", "DELETE FROM rule_presets"):
        with pytest.raises(IntegrityError, match="version 1 of preset crown stays as it is"):
            scene.run(statement)


def test_of_two_who_apply_a_version_at_the_same_time_one_is_first_and_the_other_may_not_say_otherwise(
    scene: Scene,
) -> None:
    start = Barrier(2)

    def apply(text: str) -> str:
        start.wait()
        try:
            with scene.begin() as session:
                (one,) = apply_presets(session, text=text, where="crown.yaml", by="root", now=MORNING)
        except PresetVersionTaken:
            return "refused"
        return "changed" if one.changed else "as before"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(apply, [CROWN, CROWN])) == ["as before", "changed"]
        assert sorted(pool.map(apply, [SECOND, SECOND.replace("most: 2", "most: 3")])) == ["changed", "refused"]


def test_draft_may_use_an_applied_preset_and_keeps_its_version_when_a_higher_one_comes(scene: Scene) -> None:
    with pytest.raises(ThemeInvalid, match="is not a known preset"):
        scene.draft(theme_text(*USED), templates=TEMPLATES)
    with scene.begin() as session:
        apply_presets(session, text=CROWN, where="crown.yaml", by="root", now=MORNING)
    scene.draft(theme_text(*USED), templates=TEMPLATES)
    scene.submit()
    with scene.begin() as session:
        apply_presets(session, text=SECOND, where="crown.yaml", by="root", now=MORNING)
    with scene.begin() as session:
        catalogue, value = catalogue_of(session), load(scene.theme().draft)
        assert catalogue.presets["crown"].version == 2
        (crown,) = value.activities
        assert crown.preset_version == 1
        assert words_of(crown, catalogue, currency="GBP") == "the dearest of 3 pieces 50 % off"
        rules = {rule.id: rule for rule in rules_of(value, catalogue)}
        assert getattr(rules[f"{KEY}/{crown.id}"].effect, "most", None) == 1
