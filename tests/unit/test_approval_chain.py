from collections.abc import Collection, Mapping
from datetime import timedelta
from decimal import Decimal

import pytest

from approval.chain import Chain, Directory, check_people, fallback_of, resolve_chain, route, unknown_lines
from approval.condition import Facts
from approval.errors import ApproverUnknown, FallbackUnavailable, PolicyInvalid, QuorumUnreachable
from approval.policy import parse_policy
from approval.quorum import ANY
from approval.states import DecisionKind, ObjectKind

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
    carried: Mapping[str, str] | None = None,
) -> Chain:
    return resolve_chain(parse_policy(policy), kind, facts, people, set(barred), carried=carried or {})


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
        ("role:operations", "operations", "role:operations"),  # a role without its prefix
    ],
)
def test_an_unknown_approver_is_named_with_the_nearest(old: str, new: str, nearest: str) -> None:
    with pytest.raises(ApproverUnknown) as refused:
        chain_of(policy=POLICY.replace(old, new))
    assert (refused.value.name, refused.value.nearest) == (new, nearest)


def test_a_role_that_nobody_has_any_more_is_an_empty_level() -> None:
    operations = chain_of(policy=POLICY.replace("role:operations", "role:gone", 1)).levels[0]
    assert (operations.approvers, operations.fallback) == (("head",), True)


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


SKIPPING = POLICY.replace("{count: 2}, veto: [carl]", '{count: 2}, veto: [carl], skip_when: "budget < 1000"')
IN_ROUND_2 = "signed in round 2 on this hash"


def test_a_level_whose_skip_rule_holds_is_skipped_with_the_reason_on_record() -> None:
    finance = chain_of(policy=SKIPPING, facts=Facts(budget=Decimal(999), worst_margin=Decimal(1))).levels[1]
    assert finance.skipped_because == "budget < 1000 holds, which skips it: budget = 999"
    assert (finance.approvers, finance.carried) == ((), False)


def test_a_level_whose_skip_rule_does_not_hold_asks_and_says_why() -> None:
    finance = chain_of(policy=SKIPPING).levels[1]
    assert finance.approvers == ("carl", "cyn", "cora")
    assert finance.applies_because == "budget < 1000, which would skip it, does not hold: budget = 5000"


def test_a_fact_that_is_not_available_never_skips_a_level() -> None:
    finance = chain_of(policy=SKIPPING, facts=Facts(worst_margin=Decimal(1))).levels[1]
    assert finance.approvers == ("carl", "cyn", "cora")
    assert finance.applies_because == "not available: budget, so that budget < 1000 does not skip it"


def test_when_comes_before_skip_when_and_both_are_told_where_a_level_asks() -> None:
    both = POLICY.replace('worst_margin < 0.15"', 'worst_margin < 0.15", skip_when: "audience_size < 100"')
    cheap = chain_of(policy=both, facts=Facts(budget=Decimal(1), worst_margin=Decimal(1), audience_size=1)).levels[2]
    assert (cheap.skipped_because or "").startswith("budget >= 10000 or worst_margin < 0.15 does not hold")
    few = Facts(budget=Decimal(10_000), worst_margin=Decimal(1), audience_size=99)
    assert "audience_size < 100 holds, which skips it" in (
        chain_of(policy=both, facts=few).levels[2].skipped_because or ""
    )
    many = Facts(budget=Decimal(10_000), worst_margin=Decimal(1), audience_size=100)
    assert chain_of(policy=both, facts=many).levels[2].applies_because == (
        "budget >= 10000 or worst_margin < 0.15 holds: budget = 10000, worst_margin = 1; "
        "audience_size < 100, which would skip it, does not hold: audience_size = 100"
    )


def test_times_and_turns_of_the_policy_reach_the_chain() -> None:
    timed = POLICY.replace("due: 24h,", "due: 24h, escalate: 12h, on_due: return to drafter, in_turn: true,")
    operations, finance, _ = chain_of(policy=timed).levels
    assert (operations.due, operations.escalate) == (timedelta(hours=24), timedelta(hours=12))
    assert (operations.on_due, operations.in_turn) == (DecisionKind.RETURN_TO_DRAFTER, True)
    assert (finance.escalate, finance.on_due, finance.in_turn) == (None, None, False)


@pytest.mark.parametrize("kind", ["approve", "reject", "return to drafter"])
def test_every_due_action_that_a_policy_may_name_is_a_kind_of_decision(kind: str) -> None:
    timed = POLICY.replace("due: 24h,", f"due: 24h, on_due: {kind},")
    assert chain_of(policy=timed).levels[0].on_due == DecisionKind(kind)


def test_an_in_turn_level_asks_in_the_order_written_and_a_role_in_alphabetical_order() -> None:
    turns = POLICY.replace(
        "approvers: [carl, cyn, cora]", "in_turn: true, approvers: [dan, role:operations, carl, cyn]"
    )
    assert chain_of(policy=turns).levels[1].approvers == ("dan", "bea", "bob", "carl", "cyn")


def test_a_level_signed_before_on_this_content_is_not_asked_again() -> None:
    chain = chain_of(carried={"operations": IN_ROUND_2})
    operations, finance, _ = chain.levels
    assert (operations.skipped_because, operations.carried, operations.approvers) == (IN_ROUND_2, True, ())
    assert (finance.carried, [level.name for level in chain.asking], chain.by_rule) == (False, ["finance"], None)


def test_a_carried_level_looks_for_nobody_so_that_its_people_may_have_gone() -> None:
    gone = without("carl", "cyn", "cora", "head")
    assert chain_of(carried={"finance": IN_ROUND_2}, people=gone).levels[1].carried


def test_a_level_that_the_policy_skips_is_not_said_to_be_signed() -> None:
    director = chain_of(carried={"director": IN_ROUND_2}).levels[2]
    assert (director.carried, (director.skipped_because or "").startswith("budget >= 10000")) == (False, True)


def test_a_carried_level_keeps_on_record_why_it_would_have_asked() -> None:
    dear = Facts(budget=Decimal(10_000), worst_margin=Decimal(1))
    director = chain_of(carried={"director": IN_ROUND_2}, facts=dear).levels[2]
    assert director.carried
    assert director.applies_because.endswith("holds: budget = 10000, worst_margin = 1")


def test_a_chain_with_nothing_left_to_ask_says_which_levels_were_signed_and_does_not_call_it_a_rule() -> None:
    signed = chain_of(carried={"operations": IN_ROUND_2, "finance": "signed in round 1 on this hash"})
    assert signed.asking == ()
    assert signed.by_rule == (
        "no level of policy 'standard' is left to ask about this theme: "
        "'operations' signed in round 2 on this hash, 'finance' signed in round 1 on this hash"
    )


def test_a_name_that_no_level_has_carries_nothing() -> None:
    assert chain_of(carried={"legal": IN_ROUND_2}) == chain_of()


def test_the_route_follows_from_policy_and_facts_whoever_the_people_are() -> None:
    policy = parse_policy(POLICY)
    assert route(policy, ObjectKind.THEME, CHEAP) == (("operations", True), ("finance", True), ("director", False))
    dear = Facts(budget=Decimal(10_000), worst_margin=Decimal(1))
    assert route(policy, ObjectKind.THEME, dear) == (("operations", True), ("finance", True), ("director", True))
    assert route(policy, ObjectKind.COUPON, CHEAP) == (("board", False),)
    assert route(policy, ObjectKind.ACTIVITY, CHEAP) == ()


def test_the_route_is_the_same_for_two_values_in_one_band_and_another_across_it() -> None:
    policy = parse_policy(POLICY)
    routes = [
        route(policy, ObjectKind.THEME, Facts(budget=Decimal(budget), worst_margin=Decimal(1)))
        for budget in (1, 9_999, 10_000)
    ]
    assert routes[0] == routes[1] != routes[2]


def test_the_route_says_of_every_level_what_the_chain_does() -> None:
    policy = parse_policy(SKIPPING)
    for facts in (CHEAP, Facts(), Facts(budget=Decimal(1)), Facts(budget=Decimal(20_000), worst_margin=Decimal(0))):
        levels = chain_of(policy=SKIPPING, facts=facts).levels
        asks = tuple((level.name, level.skipped_because is None) for level in levels)
        assert route(policy, ObjectKind.THEME, facts) == asks


def test_the_fallback_is_who_of_it_may_decide() -> None:
    policy = parse_policy(POLICY.replace("fallback: head", "fallback: role:operations"))
    assert fallback_of(policy, "finance", PEOPLE, {"ann"}) == ("bea", "bob")
    assert fallback_of(policy, "finance", without("bea"), {"ann"}) == ("bob",)
    with pytest.raises(FallbackUnavailable) as refused:
        fallback_of(policy, "finance", without("bea"), {"bob"})
    assert (refused.value.level, refused.value.fallback, refused.value.barred) == (
        "finance",
        "role:operations",
        ("bea", "bob"),
    )


@pytest.mark.parametrize("key", ["takedown", "recall", "override"])
def test_an_unknown_name_among_those_who_may_act_is_refused_when_a_policy_is_applied(key: str) -> None:
    acting = POLICY.replace("takedown: [role:operations, dan]", f"{key}: [role:operations, dann]")
    with pytest.raises(PolicyInvalid) as refused:
        check_people(parse_policy(acting), PEOPLE)
    (problem,) = refused.value.problems
    assert (problem.path, problem.nearest) == (key, "dan")


def test_a_product_line_that_nobody_knows_is_told_with_the_nearest() -> None:
    policy = parse_policy(POLICY + "product_lines: [giftware-eu, giftwear-uk]\n")
    (problem,) = unknown_lines(policy, ["giftware-eu", "giftware-uk"])
    assert (problem.path, problem.nearest) == ("product_lines[1]", "giftware-uk")
    assert problem.allowed == "a product line that there is: giftware-eu, giftware-uk"
    assert unknown_lines(policy, ["giftware-eu", "giftwear-uk"]) == []
    assert [problem.allowed for problem in unknown_lines(policy, [])] == ["a product line that there is: none yet"] * 2


def test_a_policy_without_product_lines_is_for_all_and_nothing_of_it_is_unknown() -> None:
    assert unknown_lines(parse_policy(POLICY), []) == []
