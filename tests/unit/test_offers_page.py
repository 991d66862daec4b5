"""docs/offers.md says what the catalogue has, and its examples can be used."""

import re
from pathlib import Path

import pytest

from offers.effect import EFFECTS
from offers.preset import Claiming, ClaimWay, OfferKind, Parameter, ParameterType, Preset
from offers.preset_checks import CLAIM_KEYS, EFFECT_KEYS
from offers.presets import read_presets, standard_catalogue
from themes.document import offers_elsewhere
from themes.theme import Scope

PAGE = (Path(__file__).parents[2] / "docs" / "offers.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    found = [line.strip("|").split("|") for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in found]


def blocks() -> list[str]:
    found: list[str] = re.findall(r"```yaml\n(.*?)\n```", PAGE, re.DOTALL)
    return found


def rows_of(preset: Preset) -> list[list[str]]:
    head = [f"`{preset.preset}`", f"{preset.title.en} · {preset.title.zh}", " · ".join(sorted(preset.kinds))]
    given = [", ".join(f"`{name}`" for name in rule.given) for rule in preset.rules]
    words = [[given[at], rule.reads.en, rule.reads.zh] for at, rule in enumerate(preset.rules)]
    return [[*(head if at == 0 else ["", "", ""]), *row] for at, row in enumerate(words)]


def test_every_preset_is_on_the_page_with_its_words_and_none_that_is_not_there() -> None:
    table = [row for row in section("Rule presets").splitlines() if row.startswith("|")][2:]
    there = [f"| {' | '.join(row)} |" for preset in standard_catalogue().presets.values() for row in rows_of(preset)]
    assert table == there


def test_every_effect_and_each_of_its_keys_is_on_the_page() -> None:
    told = {re.findall("`([a-z_]+)`", row[0])[0]: row[1] for row in rows("A preset of your own") if "`" in row[0]}
    assert EFFECTS.keys() == EFFECT_KEYS.keys()
    for effect, keys in EFFECT_KEYS.items():
        assert [key for key in keys if f"`{key}`" not in told[effect]] == [], effect


def test_every_way_of_claiming_and_its_parameter_is_on_the_page() -> None:
    told = {row[0].strip("`"): row[1] for row in rows("A preset of your own")}
    assert ClaimWay.ASKING not in CLAIM_KEYS
    for way in ClaimWay:
        assert way is ClaimWay.ASKING or f"`{CLAIM_KEYS[way][0]}`" in told[way], way


def test_every_key_of_a_preset_and_every_type_of_parameter_is_on_the_page() -> None:
    page = section("A preset of your own")
    names = [*Preset.model_fields, *Parameter.model_fields, *Claiming.model_fields, *ParameterType, *OfferKind]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_example_of_a_preset_can_be_applied() -> None:
    (preset,) = read_presets(blocks()[0], where="the page")
    assert (preset.preset, preset.version) == ("crown", 1)


def test_example_of_exclusions_names_an_offer_elsewhere() -> None:
    assert offers_elsewhere(blocks()[1]).offers == {"spring-sale-2027/tea-10-off"}


@pytest.mark.parametrize("key", [info.alias or name for name, info in Scope.model_fields.items()])
def test_every_key_of_a_scope_is_on_the_page(key: str) -> None:
    assert re.search(rf"`{key}[:`]", section("Scopes"))
