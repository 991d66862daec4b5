from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approval.quorum import ALL, ANY, LevelOutcome, Quorum, QuorumKind, Vote, reachable, settle
from approval.states import OVERRIDES, DecisionKind

PEOPLE = ("a", "b", "c", "d", "e")
LETTERS = {
    "+": DecisionKind.APPROVE,
    "-": DecisionKind.REJECT,
    "<": DecisionKind.RETURN_TO_DRAFTER,
    "^": DecisionKind.RETURN_TO_PREVIOUS,
    "«": DecisionKind.RETURN_TO_LEVEL,
}


def count(number: int) -> Quorum:
    return Quorum(kind=QuorumKind.COUNT, count=number)


def ratio(share: str) -> Quorum:
    return Quorum(kind=QuorumKind.RATIO, ratio=Decimal(share))


def votes(text: str) -> list[Vote]:
    """`a+ b- !c+`: a approves, b rejects, c overrides; `<` returns to the drafter, `^` and `«` to an earlier level."""
    return [
        Vote(seat=vote[:-1].lstrip("!"), kind=LETTERS[vote[-1]], override=vote.startswith("!")) for vote in text.split()
    ]


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


@pytest.mark.parametrize("letter", ["^", "«"])
@pytest.mark.parametrize("quorum", [ANY, ALL, count(3), ratio("0.9")])
def test_a_return_to_an_earlier_level_acts_at_once_under_every_quorum(quorum: Quorum, letter: str) -> None:
    assert settle(quorum, PEOPLE, votes(f"a{letter} b+ c+")) is LevelOutcome.SENT_BACK
    assert settle(quorum, PEOPLE, votes(f"x{letter}")) is LevelOutcome.OPEN  # of somebody who was not asked


@pytest.mark.parametrize(
    ("quorum", "given_votes", "outcome"),
    [
        (ANY, "a+", "open"),  # the quorum is there, the added signer is not
        (ANY, "a+ x+", "approved"),
        (ANY, "x+ a+", "approved"),  # in either order
        (ANY, "x+", "open"),  # an added signer is none of those that the quorum counts
        (ANY, "a+ b- x+", "approved"),  # what came after the quorum was there changes nothing
        (ANY, "a- x+", "rejected"),
        (ALL, "a+ b+ x+", "open"),
        (ALL, "a+ b+ c+", "open"),
        (ALL, "a+ b+ c+ x+", "approved"),
        (count(2), "a+ x-", "rejected"),  # each added signer has a veto
        (count(2), "x-", "rejected"),
        (count(2), "a+ b+ x<", "returned"),
        (count(2), "x^", "sent back"),
        (ratio("0.6"), "a+ x+", "open"),  # one of three, not two of four
        (ratio("0.6"), "a+ x+ b+", "approved"),
    ],
)
def test_an_added_signer_has_to_agree_beside_the_quorum(quorum: Quorum, given_votes: str, outcome: str) -> None:
    assert settle(quorum, ["a", "b", "c"], votes(given_votes), required=["x"]) == outcome
    # the answer is the same where she is listed among those asked too
    assert settle(quorum, ["a", "b", "c", "x"], votes(given_votes), required=["x"]) == outcome


def test_every_one_of_several_added_signers_has_to_agree() -> None:
    assert settle(ANY, ["a"], votes("a+ x+"), required=["x", "y"]) is LevelOutcome.OPEN
    assert settle(ANY, ["a"], votes("a+ x+ y+"), required=["x", "y"]) is LevelOutcome.APPROVED


@pytest.mark.parametrize(
    ("given_votes", "outcome"),
    [("!z+", "approved"), ("!z-", "rejected"), ("!z<", "returned"), ("a+ !z-", "rejected"), ("a- !z+", "approved")],
)
def test_an_override_settles_at_once_without_a_seat(given_votes: str, outcome: str) -> None:
    assert settle(count(3), PEOPLE, votes(given_votes), required=["x"]) == outcome


def test_a_level_whose_seats_are_all_removed_stays_open_whoever_was_added_to_it() -> None:
    assert settle(ANY, [], votes("x+"), required=["x"]) is LevelOutcome.OPEN


@pytest.mark.parametrize(
    ("quorum", "seats", "can"),
    [(ANY, 0, False), (ANY, 1, True), (ALL, 0, False), (ALL, 2, True), (count(2), 1, False), (count(2), 2, True)],
)
def test_a_level_can_be_settled_by_as_many_as_its_quorum_needs(quorum: Quorum, seats: int, can: bool) -> None:  # noqa: FBT001 - the expectation
    assert reachable(quorum, seats) is can


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
        lambda kinds: [Vote(seat=seat, kind=kind) for seat, kind in zip(order, kinds, strict=False)]
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
    kinder[index] = Vote(seat=ballot[index].seat, kind=DecisionKind.APPROVE)
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


seats = st.sampled_from([*PEOPLE, "x", "y", "outsider"])
any_vote = st.builds(Vote, seat=seats, kind=st.sampled_from(DecisionKind))
any_ballot = st.lists(any_vote, max_size=10)
vetoes = st.sets(st.sampled_from(PEOPLE), max_size=2)
added = st.sets(st.sampled_from(["x", "y"]))


def first_of_each(ballot: list[Vote]) -> list[Vote]:
    return list({vote.seat: vote for vote in reversed(ballot)}.values())


def approvals_before_end(ballot: list[Vote], among: set[str]) -> set[str]:
    return {vote.seat for vote in first_of_each(ballot) if vote.kind is DecisionKind.APPROVE} & among


@given(quorums, any_ballot, vetoes, added)
def test_whatever_is_voted_settled_stays_settled(
    quorum: Quorum, ballot: list[Vote], veto: set[str], required: set[str]
) -> None:
    outcomes = [settle(quorum, PEOPLE, ballot[:length], veto, required) for length in range(len(ballot) + 1)]
    settled = [outcome for outcome in outcomes if outcome is not LevelOutcome.OPEN]
    assert outcomes == [LevelOutcome.OPEN] * (len(outcomes) - len(settled)) + settled
    assert len(set(settled)) <= 1


@given(quorums, any_ballot, vetoes, added)
def test_a_level_is_never_approved_below_its_quorum_nor_without_an_added_signer(
    quorum: Quorum, ballot: list[Vote], veto: set[str], required: set[str]
) -> None:
    if settle(quorum, PEOPLE, ballot, veto, required) is LevelOutcome.APPROVED:
        assert len(approvals_before_end(ballot, set(PEOPLE))) >= quorum.needed(len(PEOPLE)) > 0
        assert approvals_before_end(ballot, required) == required


@given(quorums, any_ballot, vetoes, added)
def test_outsiders_change_nothing_whatever_they_vote(
    quorum: Quorum, ballot: list[Vote], veto: set[str], required: set[str]
) -> None:
    insiders = [vote for vote in ballot if vote.seat in {*PEOPLE, *required}]
    assert settle(quorum, PEOPLE, ballot, veto, required) is settle(quorum, PEOPLE, insiders, veto, required)


@given(quorums, any_ballot, vetoes, added)
def test_second_votes_of_a_seat_change_nothing(
    quorum: Quorum, ballot: list[Vote], veto: set[str], required: set[str]
) -> None:
    once = [vote for index, vote in enumerate(ballot) if vote.seat not in {earlier.seat for earlier in ballot[:index]}]
    assert settle(quorum, PEOPLE, ballot, veto, required) is settle(quorum, PEOPLE, once, veto, required)


@given(quorums, st.permutations(PEOPLE), st.integers(0, 5), st.sampled_from(["+", "-"]), added)
def test_the_order_of_equal_votes_does_not_matter(
    quorum: Quorum, order: list[str], voted: int, letter: str, required: set[str]
) -> None:
    one = votes(" ".join(f"{seat}{letter}" for seat in PEOPLE[:voted]))
    other = [Vote(seat=seat, kind=LETTERS[letter]) for seat in order if seat in PEOPLE[:voted]]
    assert settle(quorum, PEOPLE, one, (), required) is settle(quorum, PEOPLE, other, (), required)


@given(quorums, any_ballot, vetoes, added, st.sampled_from(OVERRIDES))
def test_an_override_settles_what_was_open_and_nothing_that_was_settled(
    quorum: Quorum, ballot: list[Vote], veto: set[str], required: set[str], kind: DecisionKind
) -> None:
    before = settle(quorum, PEOPLE, ballot, veto, required)
    after = settle(quorum, PEOPLE, [*ballot, Vote(seat="outsider", kind=kind, override=True)], veto, required)
    said = {
        DecisionKind.APPROVE: LevelOutcome.APPROVED,
        DecisionKind.REJECT: LevelOutcome.REJECTED,
        DecisionKind.RETURN_TO_DRAFTER: LevelOutcome.RETURNED,
    }[kind]
    assert after is (said if before is LevelOutcome.OPEN else before)


@given(quorums, any_ballot, added)
def test_a_rejection_by_whoever_has_a_veto_leaves_no_way_to_an_approval(
    quorum: Quorum, ballot: list[Vote], required: set[str]
) -> None:
    first = Vote(seat="a", kind=DecisionKind.REJECT)
    assert settle(quorum, PEOPLE, [first, *ballot], {"a"}, required) is LevelOutcome.REJECTED


@given(quorums, st.permutations(PEOPLE), st.integers(0, 5), st.integers(0, 5))
def test_a_level_is_rejected_only_when_those_left_can_no_longer_reach_the_quorum(
    quorum: Quorum, order: list[str], against: int, agree: int
) -> None:
    rejecting, approving = order[:against], order[against : against + agree]
    ballot = votes(" ".join([*(f"{seat}+" for seat in approving), *(f"{seat}-" for seat in rejecting)]))
    outcome = settle(quorum, PEOPLE, ballot)
    if outcome is LevelOutcome.REJECTED and quorum.kind is not QuorumKind.ANY:
        assert len(PEOPLE) - len(rejecting) < quorum.needed(len(PEOPLE))
    elif outcome is LevelOutcome.OPEN:
        assert len(PEOPLE) - len(rejecting) >= quorum.needed(len(PEOPLE)) > len(approving)


@given(quorums, st.integers(0, 8))
def test_unanimity_settles_a_level_exactly_where_its_quorum_is_reachable(quorum: Quorum, seated: int) -> None:
    everybody = [str(number) for number in range(seated)]
    ballot = [Vote(seat=seat, kind=DecisionKind.APPROVE) for seat in everybody]
    assert (settle(quorum, everybody, ballot) is LevelOutcome.APPROVED) == reachable(quorum, seated)
