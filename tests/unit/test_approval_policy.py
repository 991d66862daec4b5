import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from approval.errors import PolicyInvalid
from approval.policy import parse_policy, write_duration
from approval.quorum import ALL, ANY, Quorum, QuorumKind
from approval.states import ObjectKind

EXAMPLES = Path(__file__).parents[2] / "examples"

SOUND = """
policy: p
fallback: bob
theme:
  - {level: finance, approvers: [carl, cyn], quorum: all}
coupon: none
activity: none
"""


def problems_of(text: str) -> dict[str, str]:
    with pytest.raises(PolicyInvalid) as refused:
        parse_policy(text)
    return {problem.path: str(problem) for problem in refused.value.problems}


def test_every_part_of_the_example_file_is_kept() -> None:
    policy = parse_policy((EXAMPLES / "policy.yaml").read_text())
    operations, finance, director = policy.theme
    assert (policy.policy, policy.fallback) == ("standard", "head-of-marketing")
    assert operations.approvers == ("role:operations",)
    assert operations.quorum == ANY
    assert operations.due == timedelta(hours=24)
    assert operations.remind is not None
    assert (operations.remind.every, operations.remind.times) == (timedelta(hours=4), 3)
    assert (finance.quorum, finance.veto) == (Quorum(kind=QuorumKind.COUNT, count=2), ("carl",))
    assert director.when is not None
    assert director.when.facts == ("budget", "worst_margin")
    assert policy.levels(ObjectKind.COUPON)[0].level == "operations"
    assert policy.levels(ObjectKind.ACTIVITY) == ()
    assert (policy.dedupe, policy.straight_back, policy.takedown) == ("none", False, ("role:operations", "dan"))


def test_the_demo_policy_asks_operations_and_then_two_of_finance() -> None:
    policy = parse_policy((EXAMPLES / "demo-policy.yaml").read_text())
    assert [(level.level, level.approvers) for level in policy.theme] == [
        ("operations", ("bob",)),
        ("finance", ("carl", "cyn", "cora")),
    ]
    assert policy.coupon == policy.activity == ()


@pytest.mark.parametrize("name", ["policy.yaml", "demo-policy.yaml"])
def test_canonical_json_reads_back_to_the_same_policy(name: str) -> None:
    policy = parse_policy((EXAMPLES / name).read_text())
    again = parse_policy(policy.canonical())
    assert again == policy
    assert (again.canonical(), again.hash) == (policy.canonical(), policy.hash)


def test_canonical_json_keeps_ratio_condition_and_times() -> None:
    text = SOUND.replace(
        "quorum: all}", "quorum: {ratio: 0.60}, when: 'budget  >= 5', due: 36h, remind: {every: 90m, times: 2}}"
    )
    level = json.loads(parse_policy(text).canonical())["theme"][0]
    assert level["quorum"] == {"ratio": "0.6"}
    assert level["when"] == "budget >= 5"
    assert (level["due"], level["remind"]) == ("36h", {"every": "90m", "times": 2})


def test_layout_and_comments_do_not_change_the_hash() -> None:
    assert parse_policy(SOUND).hash == parse_policy("# other\n" + SOUND.replace("[carl, cyn]", "[ carl,  cyn ]")).hash
    assert parse_policy(SOUND).hash != parse_policy(SOUND.replace("quorum: all", "quorum: any")).hash


def test_all_problems_are_told_at_once_with_place_and_remedy() -> None:
    found = problems_of("""
policy: p
falback: bob
theme:
  - {level: a, approvers: [carl], quorum: most, due: 24}
  - {level: b, aprovers: [carl], quorum: {count: 0}, when: "bugdet > 3"}
coupon: nothing
activity: none
straight_back: maybe
dedupe: consecutiv
takedown: dan
""")
    assert set(found) == {
        "falback",
        "fallback",
        "theme[0].quorum",
        "theme[0].due",
        "theme[1].aprovers",
        "theme[1].approvers",
        "theme[1].quorum",
        "theme[1].when",
        "coupon",
        "straight_back",
        "dedupe",
        "takedown",
    }
    assert "did you mean 'fallback'?" in found["falback"]
    assert "did you mean 'approvers'?" in found["theme[1].aprovers"]
    assert "any, all, {count: N}" in found["theme[0].quorum"]
    assert "found 24; allowed: a duration" in found["theme[0].due"]
    assert "unknown name 'bugdet' at column 1" in found["theme[1].when"]
    assert "did you mean 'budget'?" in found["theme[1].when"]
    assert "did you mean 'consecutive'?" in found["dedupe"]
    assert "required" in found["fallback"]


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        (("quorum: all", "quorum: {count: 3}"), "theme[0].quorum", "at most 2"),  # more than are named
        (("quorum: all", "quorum: {ratio: 1.5}"), "theme[0].quorum", "{ratio: p}"),  # more than everybody
        (("quorum: all", "quorum: {ratio: .nan}"), "theme[0].quorum", "{ratio: p}"),
        (("quorum: all", "quorum: {count: true}"), "theme[0].quorum", "{count: N}"),  # true is no number
        (("quorum: all", "quorum: {count: 1, ratio: 1}"), "theme[0].quorum", "{count: N}"),  # not both
        (("quorum: all", "quorum: al"), "theme[0].quorum", "did you mean 'all'?"),
        (("quorum: all", "quorum: all, veto: [karl]"), "theme[0].veto", "did you mean 'carl'?"),
        (("[carl, cyn]", "[carl, carl]"), "theme[0].approvers", "carl more than once"),
        (("[carl, cyn]", "[]"), "theme[0].approvers", "one entry or more"),
        (("[carl, cyn]", "[carl, no]"), "theme[0].approvers[1]", "found false; allowed: text"),  # YAML's no
        (("[carl, cyn]", "['role:']"), "theme[0].approvers", "role:<name of the role>"),
        (("quorum: all", "quorum: all, due: 0h"), "theme[0].due", "a duration such as"),
        (("quorum: all", "quorum: all, remind: {evry: 4h, times: 3}"), "theme[0].remind.evry", "did you mean 'every'?"),
        (("quorum: all", "quorum: all, when: budget"), "theme[0].when", "a comparison"),
        (("coupon: none", "coupon: []"), "coupon", "none for 'approved by rule'"),
        (("coupon: none", "coupon: non"), "coupon", "did you mean 'none'?"),
        (("coupon: none", "coupon:"), "coupon", "found nothing"),
        (("fallback: bob", "fallback: ''"), "fallback", "not empty"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(change: tuple[str, str], path: str, words: str) -> None:
    assert words in problems_of(SOUND.replace(*change))[path]


def test_two_levels_of_one_chain_may_not_share_a_name() -> None:
    level = "  - {level: finance, approvers: [carl, cyn], quorum: all}\n"
    assert "a name of its own" in problems_of(SOUND.replace(level, level * 2))["theme[1].level"]


def test_a_key_given_twice_is_refused_and_not_silently_overwritten() -> None:
    found = problems_of(SOUND + "coupon: none\n")
    assert "'coupon' 2 times" in found["mapping that starts at line 2"]


@pytest.mark.parametrize("text", ["theme: [unclosed", "a: b: c", "x: !!python/object:os.system {}", "\tx: 1"])
def test_broken_yaml_is_told_with_its_line(text: str) -> None:
    (place,) = problems_of(text)
    assert place.startswith("line 1")


@pytest.mark.parametrize("text", ["", "just words", "- a list"])
def test_a_file_that_holds_no_policy_is_refused(text: str) -> None:
    assert "keys and values" in problems_of(text)["policy file"]


@pytest.mark.parametrize(
    ("duration", "written"),
    [
        (timedelta(hours=24), "1d"),
        (timedelta(hours=36), "36h"),
        (timedelta(minutes=90), "90m"),
        (timedelta(seconds=61), "61s"),
    ],
)
def test_a_duration_is_written_in_one_way(duration: timedelta, written: str) -> None:
    assert write_duration(duration) == written


def test_chinese_and_long_names_are_taken() -> None:
    long_name = "审" * 200
    policy = parse_policy(SOUND.replace("finance", long_name).replace("carl", "陈_Carl"))
    assert (policy.theme[0].level, policy.theme[0].approvers[0]) == (long_name, "陈_Carl")


def test_quorums_survive_the_database_column() -> None:
    for quorum in (
        ANY,
        ALL,
        Quorum(kind=QuorumKind.COUNT, count=2),
        Quorum(kind=QuorumKind.RATIO, ratio=Decimal("0.6")),
    ):
        assert Quorum.from_record(json.loads(json.dumps(quorum.to_record()))) == quorum


def test_a_policy_cannot_be_changed_after_parsing() -> None:
    policy = parse_policy(SOUND)
    with pytest.raises(ValueError, match="frozen"):
        setattr(policy, "fallback", "eve")  # noqa: B010 - mypy knows already, the run time is asked here
