import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from approval.errors import PolicyInvalid
from approval.notation import parse_duration, write_duration
from approval.policy import parse_policy
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


@pytest.mark.parametrize("name", ["policy.yaml", "demo-policy.yaml", "strict-policy.yaml"])
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


@pytest.mark.parametrize(
    ("text", "pinned"),
    [
        (SOUND, "1b1a0f95efb164947792657f099d8554a1463d0fb274c8099f6e1aa6bc11c39a"),
        (
            SOUND + "dedupe: all\nstraight_back: true\ntakedown: [dan]\n",
            "d62a5a2160825e41931bab39d24586e9b60ab8f1dab263eba0530410cbeba18a",
        ),
    ],
)
def test_a_policy_that_uses_no_later_key_keeps_the_hash_that_it_had_before_they_came(text: str, pinned: str) -> None:
    assert parse_policy(text).hash == pinned


def test_later_keys_at_their_defaults_are_the_same_policy_as_without_them() -> None:
    defaults = "product_lines: []\nkeep_on_decrease: false\noverride: []\nrecall: []\n"
    spelt_out = SOUND.replace("quorum: all}", "quorum: all, in_turn: false, on_due: null}") + defaults
    assert parse_policy(spelt_out).hash == parse_policy(SOUND).hash


@pytest.mark.parametrize(
    "change",
    [
        ("quorum: all}", "quorum: all, in_turn: true}"),
        ("quorum: all}", "quorum: all, skip_when: budget < 5}"),
        ("quorum: all}", "quorum: all, escalate: 4h}"),
        ("fallback: bob", "fallback: bob\nproduct_lines: [giftware]"),
        ("fallback: bob", "fallback: bob\nkeep_on_decrease: true"),
        ("fallback: bob", "fallback: bob\noverride: [dan]"),
        ("fallback: bob", "fallback: bob\nrecall: [dan]"),
    ],
)
def test_every_later_key_in_use_changes_the_hash(change: tuple[str, str]) -> None:
    assert parse_policy(SOUND.replace(*change)).hash != parse_policy(SOUND).hash


def test_every_part_of_the_strict_example_is_kept() -> None:
    policy = parse_policy((EXAMPLES / "strict-policy.yaml").read_text())
    operations, finance, director = policy.theme
    assert (operations.in_turn, operations.on_due, operations.due) == (True, "return to drafter", timedelta(days=2))
    assert operations.escalate == timedelta(hours=24)
    assert finance.skip_when is not None
    assert finance.skip_when.text == "budget < 1000"
    assert director.on_due is None
    assert (policy.product_lines, policy.keep_on_decrease) == (("giftware-eu", "giftware-uk"), True)
    assert (policy.override, policy.recall) == (("role:administrators",), ("role:operations",))
    assert (policy.dedupe, policy.straight_back) == ("consecutive", True)


logins = st.text(st.characters(categories=["L", "N"], include_characters="_.-"), min_size=1, max_size=20)
names = st.lists(logins | logins.map("role:{}".format), max_size=4, unique=True)
durations = st.integers(1, 10_000_000).map(lambda seconds: f"{seconds}s")
conditions = st.sampled_from(["budget >= 10000", "'sms' in channels or len(channels) > 2", "not worst_margin > -0.5"])
quorums = st.one_of(
    st.sampled_from(["any", "all"]),
    st.just({"count": 1}),
    st.integers(1, 100).map(lambda percent: {"ratio": str(Decimal(percent) / 100)}),
)


@st.composite
def written_levels(draw: st.DrawFn) -> list[dict[str, Any]] | str:
    titles = draw(st.lists(logins, max_size=3, unique=True))
    return [draw(written_level(title)) for title in titles] or "none"


@st.composite
def written_level(draw: st.DrawFn, title: str) -> dict[str, Any]:
    approvers = draw(names.filter(bool))
    due = draw(st.integers(60, 1_000_000))
    sooner = st.integers(1, due - 1).map(lambda seconds: f"{seconds}s")
    level = {
        "level": title,
        "approvers": approvers,
        "quorum": draw(quorums),
        "veto": draw(st.lists(st.sampled_from(approvers), unique=True)),
        "in_turn": draw(st.booleans()),
        "due": f"{due}s",
        "on_due": draw(st.sampled_from(["approve", "reject", "return to drafter"])),
        "when": draw(conditions),
        "skip_when": draw(st.just("audience_size < 100")),
        "escalate": draw(sooner),
        "remind": {"every": draw(sooner), "times": draw(st.integers(1, 100))},
    }
    left_out = draw(st.sets(st.sampled_from(["veto", "in_turn", "on_due", "when", "skip_when", "escalate", "remind"])))
    return {key: value for key, value in level.items() if key not in left_out}


written_policies = st.fixed_dictionaries(
    {
        "policy": logins,
        "fallback": logins,
        "theme": written_levels(),
        "coupon": written_levels(),
        "activity": written_levels(),
    },
    optional={
        "dedupe": st.sampled_from(["none", "consecutive", "all"]),
        "straight_back": st.booleans(),
        "keep_on_decrease": st.booleans(),
        "product_lines": st.lists(logins, unique=True, max_size=3),
        **dict.fromkeys(["takedown", "recall", "override"], names),
    },
)


@settings(max_examples=40, deadline=None)
@given(written_policies)
def test_any_policy_reads_back_to_itself_with_every_key_kept(written: dict[str, Any]) -> None:
    policy = parse_policy(yaml.safe_dump(written, allow_unicode=True))
    again = parse_policy(policy.canonical())
    assert (again, again.canonical(), again.hash) == (policy, policy.canonical(), policy.hash)
    plain = policy.to_plain()
    assert {key for key, value in written.items() if value not in ([], False)} <= plain.keys()
    for kind in ObjectKind:
        for level, given_level in zip(policy.levels(kind), written[kind], strict=False):
            assert (level.level, level.approvers) == (given_level["level"], tuple(given_level["approvers"]))
            unsaid = {key for key, value in given_level.items() if value is False}
            assert given_level.keys() - unsaid - {"veto"} == level.to_plain().keys() - {"veto"}


@settings(max_examples=20, deadline=None)
@given(written_policies, st.randoms())
def test_the_order_in_which_keys_are_written_does_not_change_the_hash(written: dict[str, Any], random: Any) -> None:
    keys = list(written)
    random.shuffle(keys)
    shuffled = {key: written[key] for key in keys}
    one, other = (yaml.safe_dump(text, sort_keys=False, allow_unicode=True) for text in (written, shuffled))
    assert parse_policy(one).hash == parse_policy(other).hash


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
        (("quorum: all", "quorum: all, in_turn: yes please"), "theme[0].in_turn", "true or false"),
        (("quorum: all", "quorum: all, in_trun: true"), "theme[0].in_trun", "did you mean 'in_turn'?"),
        (("quorum: all", "quorum: all, veto: ['role: ']"), "theme[0].veto", "role:<name of the role>"),
        (("quorum: all", "quorum: all, skip_when: 'bugdet < 5'"), "theme[0].skip_when", "did you mean 'budget'?"),
        (("quorum: all", "quorum: all, skip_when: '1 < 2'"), "theme[0].skip_when", "which asks for no fact"),
        (
            ("quorum: all", "quorum: all, when: 'budget < 5', skip_when: 'budget  < 5'"),
            "theme[0].skip_when",
            "another condition than that of when",
        ),
        (("quorum: all", "quorum: all, escalate: soon"), "theme[0].escalate", "a duration such as"),
        (("quorum: all", "quorum: all, on_due: approve"), "theme[0].on_due", "found 'approve' without a due time"),
        (("quorum: all", "quorum: all, due: 1d, on_due: aprove"), "theme[0].on_due", "did you mean 'approve'?"),
        (  # a return that only a person can make
            ("quorum: all", "quorum: all, due: 1d, on_due: return to previous level"),
            "theme[0].on_due",
            "'approve', 'reject' or 'return to drafter'",
        ),
        (  # nobody would be left to escalate for
            ("quorum: all", "quorum: all, due: 24h, on_due: reject, escalate: 1d"),
            "theme[0].escalate",
            "found 1d; allowed: less than the time due, when on_due acts (1d)",
        ),
        (  # nor to remind
            ("quorum: all", "quorum: all, due: 4h, on_due: reject, remind: {every: 5h, times: 1}"),
            "theme[0].remind.every",
            "found 5h; allowed: less than the time due",
        ),
        (("fallback: bob", "fallback: bob\nproduct_lines: giftware"), "product_lines", "a list"),
        (("fallback: bob", "fallback: bob\nproduct_lines: [a, b, a]"), "product_lines", "a more than once"),
        (("fallback: bob", "fallback: bob\nproduct_line: [a]"), "product_line", "did you mean 'product_lines'?"),
        (("fallback: bob", "fallback: bob\nkeep_on_decrease: maybe"), "keep_on_decrease", "true or false"),
        (("fallback: bob", "fallback: bob\noverride: [dan, dan]"), "override", "dan more than once"),
        (("fallback: bob", "fallback: bob\nrecall: ['role:']"), "recall", "role:<name of the role>"),
        (("fallback: bob", "fallback: bob\nrecal: [dan]"), "recal", "did you mean 'recall'?"),
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


@given(st.integers(1, 3650 * 24 * 3600))
def test_every_duration_that_can_be_read_can_be_written_and_read_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    days, rest = divmod(seconds, 24 * 3600)
    assert parse_duration(f"{days}d{rest}s") == duration
    assert parse_duration(write_duration(duration)) == duration


@pytest.mark.parametrize("written", ["3651d", "999999999d", "3650d1s", "1d1d1d1d1d", "9999999999s", "1.5h", "-1h", " "])
def test_a_duration_that_no_timer_should_have_is_refused(written: str) -> None:
    assert (
        "at most 3650d" in problems_of(SOUND.replace("quorum: all", f"quorum: all, due: '{written}'"))["theme[0].due"]
    )


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
