"""docs/policies.md is the whole reference, and the example that uses every key can be applied."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from approval.chain import Directory, check_people, resolve_chain, unknown_lines
from approval.condition import FACT_KINDS, Facts, Kind
from approval.errors import PolicyInvalid
from approval.policy import Level, Policy, Remind, parse_policy
from approval.states import ObjectKind

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")
STRICT = (ROOT / "examples" / "strict-policy.yaml").read_text(encoding="utf-8")
PEOPLE = Directory(
    enabled=dict.fromkeys(["ann", "bob", "bea", "carl", "cyn", "cora", "dan", "ada", "head-of-marketing"], True),
    roles={"operations": ["bob", "bea"], "administrators": ["ada"]},
)


def rows_of(section: str) -> dict[str, str]:
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", text, re.MULTILINE))


def blocks(language: str) -> list[str]:
    found: list[str] = re.findall(rf"```{language}\n(.*?)\n```", PAGE, re.DOTALL)
    return found


def test_every_key_of_a_policy_and_of_a_level_is_on_the_page_in_its_order_and_none_that_is_not_there() -> None:
    assert sorted(rows_of("Keys of a policy")) == sorted(Policy.model_fields)
    assert list(rows_of("Keys of a level")) == list(Level.model_fields)
    assert all(f"`{key}`" in rows_of("Keys of a level")["remind"] for key in Remind.model_fields)


def test_the_page_says_which_keys_are_required() -> None:
    for section, model in (("Keys of a policy", Policy), ("Keys of a level", Level)):
        required = {key for key, value in rows_of(section).items() if "required" in value}
        assert required == {key for key, field in model.model_fields.items() if field.is_required()}


def test_every_fact_is_on_the_page_with_its_kind() -> None:
    words = {Kind.NUMBER: "number", Kind.TEXT: "text", Kind.TEXTS: "texts"}
    assert rows_of("Conditions") == {fact: words[kind] for fact, kind in FACT_KINDS.items()}


def test_the_policies_on_the_page_are_read_and_the_broken_one_is_answered_as_the_page_says() -> None:
    *sound, broken = blocks("yaml")
    assert [parse_policy(text).policy for text in sound] == ["small"]
    with pytest.raises(PolicyInvalid) as refused:
        parse_policy(broken)
    assert blocks("text") == [str(refused.value)]


def test_the_strict_example_uses_every_key() -> None:
    written = yaml.safe_load(STRICT)
    assert written.keys() == Policy.model_fields.keys()
    assert {key for level in written["theme"] for key in level} == Level.model_fields.keys()


def test_the_strict_example_can_be_applied_and_fixes_a_chain_for_every_kind_of_object() -> None:
    policy = parse_policy(STRICT)
    check_people(policy, PEOPLE)
    assert unknown_lines(policy, ["giftware-eu", "giftware-uk"]) == []
    facts = Facts(budget=Decimal(900), worst_margin=Decimal("0.1"), deepest_discount=Decimal("0.5"), audience_size=9)
    chains = {kind: resolve_chain(policy, kind, facts, PEOPLE, {"ann"}) for kind in ObjectKind}
    assert {kind: [(level.name, level.approvers) for level in chain.asking] for kind, chain in chains.items()} == {
        ObjectKind.THEME: [("operations", ("bea", "bob")), ("director", ("dan",))],  # too cheap for finance
        ObjectKind.COUPON: [("finance", ("carl", "cyn", "cora"))],
        ObjectKind.ACTIVITY: [("operations", ("bea", "bob"))],
    }
