from collections.abc import Collection
from decimal import Decimal

import pytest

from approval.chain import Chain, Directory, check_people, resolve_chain
from approval.condition import Facts
from approval.errors import ApproverUnknown, FallbackUnavailable, PolicyInvalid, QuorumUnreachable
from approval.policy import parse_policy
from approval.quorum import ANY
from approval.states import ObjectKind

POLICY = """
policy: standard
fallback: head
theme:
  - {level: operations, approvers: [role:operations], quorum: any, due: 24h, remind: {every: 4h, times: 3}}
  - {level: finance, approvers: [carl, cyn, cora], quorum: {count: 2}, veto: [carl]}
  - {level: director, approvers: [dan], quorum: any, when: "budget >= 10000 or worst_margin < 0.15"}
coupon:
  - {level: board, approvers: [dan], quorum: any, when: "deepest_discount > 0.5"}
activity: none
takedown: [role:operations, dan]
"""
EVERYBODY = dict.fromkeys(["ann", "bob", "bea", "carl", "cyn", "cora", "dan", "head"], True)
PEOPLE = Directory(enabled=EVERYBODY, roles={"operations": ["bob", "bea"]})
CHEAP = Facts(budget=Decimal(5000), worst_margin=Decimal("0.3"), deepest_discount=Decimal("0.2"))


def chain_of(
    kind: ObjectKind = ObjectKind.THEME,
    *,
    facts: Facts = CHEAP,
    people: Directory = PEOPLE,
    barred: Collection[str] = ("ann",),
    policy: str = POLICY,
) -> Chain:
    return resolve_chain(parse_policy(policy), kind, facts, people, set(barred))


def without(*disabled: str) -> Directory:
    return Directory(enabled=EVERYBODY | dict.fromkeys(disabled, False), roles=PEOPLE.roles)


def test_a_role_asks_everybody_who_has_it() -> None:
    operations = chain_of().levels[0]
    assert (operations.position, operations.name, operations.approvers) == (1, "operations", ("bea", "bob"))


def test_a_level_whose_condition_does_not_hold_is_skipped_with_the_reason_on_record() -> None:
    chain = chain_of()
    director = chain.levels[2]
    assert director.skipped_because == (
        "budget >= 10000 or worst_margin < 0.15 does not hold: budget = 5000, worst_margin = 0.3"
    )
    assert director.approvers == ()
    assert [level.name for level in chain.asking] == ["operations", "finance"]
    assert chain.by_rule is None


def test_a_level_whose_condition_holds_says_so() -> None:
    director = chain_of(facts=Facts(budget=Decimal(10_000), worst_margin=Decimal("0.3"))).levels[2]
    assert director.approvers == ("dan",)
    assert director.applies_because.endswith("holds: budget = 10000, worst_margin = 0.3")


def test_a_fact_that_is_not_available_makes_the_level_apply_and_says_so() -> None:
    director = chain_of(facts=Facts(budget=Decimal(1))).levels[2]
    assert director.approvers == ("dan",)
    assert director.applies_because.startswith("not available: worst_margin")


def test_no_approval_is_approved_by_rule_through_the_same_code() -> None:
    chain = chain_of(ObjectKind.ACTIVITY)
    assert chain.levels == chain.asking == ()
    assert chain.by_rule == "policy 'standard' asks nobody: activity is none"


def test_a_chain_whose_levels_are_all_skipped_is_approved_by_rule() -> None:
    chain = chain_of(ObjectKind.COUPON)
    assert chain.asking == ()
    assert chain.by_rule == "no level of policy 'standard' applies to this coupon"
    assert chain.levels[0].skipped_because == "deepest_discount > 0.5 does not hold: deepest_discount = 0.2"


def test_author_and_editors_are_not_asked() -> None:
    operations, finance, _ = chain_of(barred=["bob", "cora"]).levels
    assert (operations.approvers, operations.barred) == (("bea",), ("bob",))
    assert (finance.approvers, finance.barred) == (("carl", "cyn"), ("cora",))


def test_disabled_people_are_not_asked() -> None:
    assert chain_of(people=without("bea")).levels[0].approvers == ("bob",)


def test_a_barred_vetoer_has_no_veto() -> None:
    assert chain_of().levels[1].veto == ("carl",)
    assert chain_of(barred=["carl"]).levels[1].veto == ()


def test_a_quorum_that_the_eligible_cannot_reach_is_refused_and_not_filled_up_by_outsiders() -> None:
    with pytest.raises(QuorumUnreachable) as refused:
        chain_of(barred=["carl", "cyn"])
    assert (refused.value.level, refused.value.needed) == ("finance", 2)
    assert (refused.value.eligible, refused.value.barred) == (("cora",), ("carl", "cyn"))


@pytest.mark.parametrize("people", [without("bob", "bea"), Directory(enabled=EVERYBODY, roles={"operations": []})])
def test_an_empty_level_goes_to_the_fallback_with_an_alert(people: Directory) -> None:
    operations = chain_of(people=people).levels[0]
    assert (operations.approvers, operations.fallback) == (("head",), True)


def test_a_fully_conflicted_level_goes_to_the_fallback_who_decides_alone() -> None:
    finance = chain_of(barred=["carl", "cyn", "cora"]).levels[1]
    assert (finance.approvers, finance.quorum, finance.veto, finance.fallback) == (("head",), ANY, (), True)
    assert finance.barred == ("carl", "cyn", "cora")


@pytest.mark.parametrize("barred", [["bob", "bea", "head"]])
def test_a_level_never_passes_by_itself_when_the_fallback_may_not_decide_either(barred: list[str]) -> None:
    with pytest.raises(FallbackUnavailable) as refused:
        chain_of(barred=barred)
    assert (refused.value.level, refused.value.fallback) == ("operations", "head")


@pytest.mark.parametrize(
    ("old", "new", "nearest"),
    [
        ("cyn", "cin", "cyn"),
        ("role:operations", "role:opperations", "role:operations"),
        ("role:operations", "operations", "role:operations"),  # a role without its prefix
    ],
)
def test_an_unknown_approver_is_named_with_the_nearest(old: str, new: str, nearest: str) -> None:
    with pytest.raises(ApproverUnknown) as refused:
        chain_of(policy=POLICY.replace(old, new))
    assert (refused.value.name, refused.value.nearest) == (new, nearest)


def test_a_policy_that_the_people_can_fulfil_is_applied() -> None:
    check_people(parse_policy(POLICY), PEOPLE)


def test_everything_the_people_cannot_fulfil_is_told_at_once_when_a_policy_is_applied() -> None:
    broken = POLICY.replace('[dan], quorum: any, when: "b', '[dana], quorum: any, when: "b').replace(
        "[role:operations, dan]", "[role:ops]"
    )
    with pytest.raises(PolicyInvalid) as refused:
        check_people(parse_policy(broken), without("cora", "cyn"))
    assert [problem.path for problem in refused.value.problems] == ["theme[1].quorum", "theme[2].approvers", "takedown"]
    assert "2 approvals needed, 1 enabled approvers (carl)" in str(refused.value)
    assert "did you mean 'dan'?" in str(refused.value)


def test_a_fallback_that_nobody_can_be_is_refused_when_a_policy_is_applied() -> None:
    with pytest.raises(PolicyInvalid, match="fallback: found 'head', which stands for nobody enabled"):
        check_people(parse_policy(POLICY), without("head"))


def test_a_veto_outside_a_role_is_refused_when_a_policy_is_applied() -> None:
    outsider = POLICY.replace("quorum: any, due", "quorum: any, veto: [dan], due")
    with pytest.raises(PolicyInvalid, match=r"theme\[0\].veto: found 'dan'"):
        check_people(parse_policy(outsider), PEOPLE)
