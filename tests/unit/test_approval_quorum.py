from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approval.quorum import ALL, ANY, LevelOutcome, Quorum, QuorumKind, Vote, settle
from approval.states import DecisionKind

PEOPLE = ("a", "b", "c", "d", "e")
LETTERS = {"+": DecisionKind.APPROVE, "-": DecisionKind.REJECT, "<": DecisionKind.RETURN_TO_DRAFTER}


def count(number: int) -> Quorum:
    return Quorum(kind=QuorumKind.COUNT, count=number)


def ratio(share: str) -> Quorum:
    return Quorum(kind=QuorumKind.RATIO, ratio=Decimal(share))


def votes(text: str) -> list[Vote]:
    """`a+ b-`: a approves, then b rejects; `<` returns to the drafter."""
    return [Vote(login=vote[:-1], kind=LETTERS[vote[-1]]) for vote in text.split()]


@pytest.mark.parametrize(
    ("quorum", "asked", "given_votes", "outcome"),
    [
        (ANY, "abc", "", "open"),
        (ANY, "abc", "b+", "approved"),
        (ANY, "abc", "b-", "rejected"),
        (ANY, "abc", "b- a+", "rejected"),  # the first settles, either way
        (ALL, "abc", "a+ b+", "open"),
        (ALL, "abc", "a+ b+ c+", "approved"),
        (ALL, "abc", "a-", "rejected"),  # the first reject settles
        (count(2), "abc", "a+", "open"),
        (count(2), "abc", "a+ c+", "approved"),  # early: b is not waited for
        (count(2), "abc", "a-", "open"),  # two others can still agree
        (count(2), "abc", "a- b-", "rejected"),  # two have become impossible
        (count(2), "abc", "a- b+ c+", "approved"),
        (ratio("0.5"), "abcd", "a+ b+", "approved"),
        (ratio("0.5"), "abcd", "a- b-", "open"),  # half rejecting is not more than half
        (ratio("0.5"), "abcd", "a- b- c-", "rejected"),
        (ratio("0.6"), "abcde", "a+ b+ c+", "approved"),  # exactly 3 of 5
        (ratio("0.6"), "abcde", "a- b-", "open"),
        (ratio("0.6"), "abcde", "a- b- c-", "rejected"),
        (ratio("1"), "abc", "a-", "rejected"),
        (count(2), "abc", "a+ a+", "open"),  # one person has one vote
        (count(2), "abc", "a- a+ b+", "open"),  # and cannot change it
        (count(2), "abc", "x+ y+", "open"),  # outsiders count for nothing
        (ALL, "ab", "a+ c- b+", "approved"),  # nor does somebody removed
        (ALL, "", "", "open"),  # nobody asked: it never passes by itself
        (ratio("0.5"), "", "a+", "open"),
    ],
)
def test_a_level_is_settled_as_soon_as_it_can_be(quorum: Quorum, asked: str, given_votes: str, outcome: str) -> None:
    assert settle(quorum, tuple(asked), votes(given_votes)) == outcome


@pytest.mark.parametrize("quorum", [ANY, ALL, count(3), ratio("0.9")])
def test_a_return_to_the_drafter_acts_at_once_under_every_quorum(quorum: Quorum) -> None:
    before = "" if quorum is ANY else "b+ "
    assert settle(quorum, PEOPLE, votes(before + "a<")) is LevelOutcome.RETURNED


@pytest.mark.parametrize("quorum", [ANY, ALL, count(1), count(5), ratio("0.2")])
def test_a_rejection_with_veto_ends_the_level(quorum: Quorum) -> None:
    assert settle(quorum, PEOPLE, votes("c-"), veto=["c"]) is LevelOutcome.REJECTED


def test_a_veto_does_not_make_its_holder_be_waited_for() -> None:
    assert settle(count(2), PEOPLE, votes("a+ b+"), veto=["c"]) is LevelOutcome.APPROVED


def test_removing_a_signer_can_complete_the_others() -> None:
    assert settle(ALL, ["a", "b"], votes("a+")) is LevelOutcome.OPEN
    assert settle(ALL, ["a"], votes("a+")) is LevelOutcome.APPROVED


quorums = st.one_of(
    st.just(ANY),
    st.just(ALL),
    st.integers(1, 5).map(count),
    st.integers(1, 100).map(lambda percent: ratio(str(Decimal(percent) / 100))),
)
ballots = st.permutations(PEOPLE).flatmap(
    lambda order: st.lists(st.sampled_from([DecisionKind.APPROVE, DecisionKind.REJECT]), max_size=5).map(
        lambda kinds: [Vote(login=login, kind=kind) for login, kind in zip(order, kinds, strict=False)]
    )
)


@given(quorums, ballots)
def test_once_settled_no_later_vote_changes_it(quorum: Quorum, ballot: list[Vote]) -> None:
    outcomes = [settle(quorum, PEOPLE, ballot[:length]) for length in range(len(ballot) + 1)]
    settled = [outcome for outcome in outcomes if outcome is not LevelOutcome.OPEN]
    assert outcomes == [LevelOutcome.OPEN] * (len(outcomes) - len(settled)) + settled
    assert len(set(settled)) <= 1


@given(quorums, ballots, st.integers(0, 4))
def test_turning_a_rejection_into_an_approval_never_turns_approved_into_rejected(
    quorum: Quorum, ballot: list[Vote], index: int
) -> None:
    if index >= len(ballot):
        return
    kinder = [*ballot]
    kinder[index] = Vote(login=ballot[index].login, kind=DecisionKind.APPROVE)
    rank = [LevelOutcome.REJECTED, LevelOutcome.OPEN, LevelOutcome.APPROVED]
    if quorum.kind is not QuorumKind.ANY or index == 0:
        assert rank.index(settle(quorum, PEOPLE, kinder)) >= rank.index(settle(quorum, PEOPLE, ballot))


@given(quorums, ballots)
def test_everybody_having_voted_leaves_nothing_open(quorum: Quorum, ballot: list[Vote]) -> None:
    if len(ballot) == len(PEOPLE):
        assert settle(quorum, PEOPLE, ballot) is not LevelOutcome.OPEN


@given(st.integers(1, 100), ballots)
def test_a_ratio_settles_as_its_definition_says(percent: int, ballot: list[Vote]) -> None:
    share = Decimal(percent) / 100
    approvals = sum(vote.kind is DecisionKind.APPROVE for vote in ballot)
    rejections = len(ballot) - approvals
    everybody = len(PEOPLE)
    outcome = settle(ratio(str(share)), PEOPLE, ballot)
    assert (outcome is LevelOutcome.APPROVED) == (approvals >= share * everybody)
    assert (outcome is LevelOutcome.REJECTED) == (rejections > (1 - share) * everybody)
