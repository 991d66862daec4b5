"""Going back inside a round, handing questions on, time: the corner cases beside tests/scenarios."""

from datetime import timedelta

import pytest

from approval.errors import (
    AdviceIsOut,
    HashChanged,
    LastSigner,
    LevelNotEarlier,
    LevelNotSigned,
    LevelUnknown,
    NoEarlierLevel,
    NothingToTakeBack,
    NotYoursToRemove,
    OverrideNotAllowed,
    PersonMayNotStandIn,
)
from approval.form import Answer
from approval.quorum import LevelOutcome
from approval.service.people import disable_person, set_manager
from approval.states import ChainState, LevelState, TaskState
from models.queries import approvals
from tests.integration.scene import KEY, Scene
from themes.lifecycle import ThemeState

CHEAPER = ('budget: "20000.00"', 'budget: "9000.00"')
COUPON, OTHER = "women-20-off-100", "first-parcel-free"
OPERATIONS = "{level: operations, approvers: [bob], quorum: any}"
FINANCE = "{level: finance, approvers: [carl, cyn], quorum: all}"
DIRECTOR = "{level: director, approvers: [dan], quorum: any}"


def in_review(scene: Scene, *levels: str, coupon: str = "none", more: str = "") -> None:
    theme = "[" + ", ".join(levels) + "]"
    scene.apply(f"policy: demo\nfallback: head-of-marketing\ntheme: {theme}\ncoupon: {coupon}\nactivity: none\n{more}")
    scene.draft()
    scene.submit()


# returning to a level


def test_a_return_to_the_previous_level_voids_what_was_decided_from_it_on_and_asks_afresh(scene: Scene) -> None:
    in_review(scene, OPERATIONS, FINANCE, DIRECTOR)
    scene.answer("bob")
    scene.answer("carl")
    decided = scene.answer("cyn", "return to previous level", "look at the dates again")
    assert decided.outcome is LevelOutcome.SENT_BACK
    assert scene.open_to() == ["bob"]
    assert scene.levels() == {
        "operations": LevelState.OPEN,
        "finance": LevelState.WAITING,
        "director": LevelState.WAITING,
    }
    assert [decision.voided_at is not None for decision in scene.decided()] == [True, True, False]
    for login in ("bob", "carl", "cyn", "dan"):
        scene.answer(login)
    assert scene.theme().state is ThemeState.APPROVED


def test_a_return_leads_only_to_an_earlier_level_that_was_signed(scene: Scene) -> None:
    skipped = "{level: finance, approvers: [carl, cyn], quorum: all, when: budget > 90000}"
    in_review(scene, OPERATIONS, skipped, DIRECTOR)
    with pytest.raises(NoEarlierLevel, match="or to the drafter"):
        scene.answer("bob", "return to previous level", "no")
    scene.answer("bob")
    question = scene.question_to("dan")

    def return_to(level: str) -> None:
        scene.tick()
        answer = Answer(
            decision="return to chosen level", login="dan", code=scene.code("dan"), comment="no", to_level=level
        )
        scene.decide(question, answer)

    with pytest.raises(LevelUnknown, match="did you mean 'operations'"):
        return_to("operation")
    with pytest.raises(LevelNotSigned, match="finance"):
        return_to("finance")
    with pytest.raises(LevelNotEarlier, match="director"):
        return_to("director")
    return_to("operations")
    assert scene.open_to() == ["bob"]


def test_a_reopened_level_has_fresh_due_times(scene: Scene) -> None:
    in_review(scene, "{level: operations, approvers: [bob], quorum: any, due: 24h}", DIRECTOR)
    scene.answer("bob")
    scene.tick(timedelta(hours=30))
    scene.answer("dan", "return to previous level", "again")
    with scene.begin() as session:
        task = approvals.task_by_id(session, scene.question_to("bob"))
    assert task.due_at == scene.now + timedelta(hours=24)


# taking back


def test_a_decision_taken_back_opens_its_level_again_and_cancels_the_next(scene: Scene) -> None:
    in_review(scene, "{level: operations, approvers: [bob, cora], quorum: any}", FINANCE)
    scene.answer("bob")
    assert scene.open_to() == ["carl", "cyn"]
    scene.act("take back", "bob", "too quick")
    assert scene.open_to() == ["bob", "cora"]
    assert scene.levels() == {"operations": LevelState.OPEN, "finance": LevelState.WAITING}
    scene.answer("cora")
    assert scene.open_to() == ["carl", "cyn"]


def test_only_that_decision_is_void(scene: Scene) -> None:
    in_review(scene, FINANCE, DIRECTOR)
    scene.answer("carl")
    scene.answer("cyn")
    with pytest.raises(NothingToTakeBack, match="somebody else of the level has decided since"):
        scene.act("take back", "carl", "one figure was wrong")
    scene.act("take back", "cyn", "one figure was wrong")
    assert scene.open_to() == ["cyn"]
    scene.answer("cyn")
    assert scene.open_to() == ["dan"]


def test_nothing_is_taken_back_once_the_next_level_has_decided_or_by_somebody_else(scene: Scene) -> None:
    in_review(scene, OPERATIONS, FINANCE)
    with pytest.raises(NothingToTakeBack, match="none of hers"):
        scene.act("take back", "bob")
    scene.answer("bob")
    with pytest.raises(NothingToTakeBack, match="none of hers"):
        scene.act("take back", "dan")
    scene.answer("carl")
    with pytest.raises(NothingToTakeBack, match="'finance' has decided since"):
        scene.act("take back", "bob")


def test_a_rejection_of_an_offer_can_be_taken_back(scene: Scene) -> None:
    in_review(scene, OPERATIONS, coupon="[{level: desk, approvers: [dan], quorum: any}]")
    scene.answer("dan", "reject", "too dear", about=COUPON)
    assert scene.chains()[COUPON][0] is ChainState.REJECTED
    scene.act("take back", "dan", "misread", object_key=COUPON)
    assert scene.chains()[COUPON][0] is ChainState.OPEN
    scene.answer("dan", about=COUPON)
    assert scene.chains()[COUPON][0] is ChainState.APPROVED


# hands


def test_who_asked_for_advice_decides_when_it_is_there(scene: Scene) -> None:
    in_review(scene, OPERATIONS)
    asked = scene.question_to("bob")
    scene.act("delegate", "bob", "is the margin sound?", person="cyn")
    with pytest.raises(AdviceIsOut, match="cyn"):
        scene.answer("bob", task_id=asked)
    assert scene.answer("cyn", "reject", "it is thin").advice
    assert scene.theme().state is ThemeState.IN_REVIEW
    assert scene.answer("bob").outcome is LevelOutcome.APPROVED


def test_asking_for_advice_can_be_called_off(scene: Scene) -> None:
    in_review(scene, OPERATIONS)
    scene.act("delegate", "bob", "is it sound?", person="cyn")
    scene.act("take back", "bob", "no time")
    assert scene.open_to() == ["bob"]


def test_a_chain_of_transfers_keeps_the_first_owner(scene: Scene) -> None:
    in_review(scene, "{level: operations, approvers: [bob, cora], quorum: all, veto: [bob]}")
    scene.act("transfer", "bob", "on leave", person="cyn")
    scene.act("transfer", "cyn", "not mine", person="dan")
    with pytest.raises(PersonMayNotStandIn, match="asked at this level already"):
        scene.act("transfer", "cora", "busy", person="dan")
    scene.answer("cora")
    scene.answer("dan")
    assert scene.theme().state is ThemeState.APPROVED
    assert [row.on_behalf_of for row in scene.audit("approve")][:2] == [None, "bob"]


@pytest.mark.parametrize(("where", "first", "then"), [("before", "cyn", "bob"), ("after", "bob", "cyn")])
def test_an_added_signer_has_to_agree_too(scene: Scene, where: str, first: str, then: str) -> None:
    in_review(scene, OPERATIONS)
    scene.act(f"add signer {where}", "bob", "she knows", person="cyn")
    assert scene.open_to() == [first]
    assert scene.answer(first).outcome is LevelOutcome.OPEN
    assert scene.open_to() == [then]
    assert scene.answer(then).outcome is LevelOutcome.APPROVED


def test_a_signer_is_removed_by_who_added_her_and_the_last_stays(scene: Scene) -> None:
    in_review(scene, OPERATIONS, more="override: [dan]\n")
    scene.act("add signer after", "bob", "she knows", person="cyn")
    with pytest.raises(NotYoursToRemove):
        scene.act("remove signer", "cyn", "not me", person="bob")
    with pytest.raises(LastSigner):
        scene.act("remove signer", "dan", "away", person="bob")
    scene.act("remove signer", "bob", "no need", person="cyn")
    assert scene.answer("bob").outcome is LevelOutcome.APPROVED


def test_an_override_settles_a_level_with_a_meaning_of_its_own(scene: Scene) -> None:
    in_review(scene, FINANCE, more="override: [dan]\n")
    with pytest.raises(OverrideNotAllowed, match="only dan"):
        scene.act("override: approve", "bob", "hurry")
    scene.act("override: approve", "dan", "the shop opens today")
    assert scene.theme().state is ThemeState.APPROVED
    assert scene.tasks()["carl"] is TaskState.CANCELLED
    [row] = scene.audit("override_approve")
    assert "over the heads" in row.meaning


# edits


def test_an_edit_in_review_voids_the_theme_and_the_offer_it_touched_and_nothing_else(scene: Scene) -> None:
    in_review(scene, OPERATIONS, DIRECTOR, coupon="[{level: desk, approvers: [dan], quorum: any}]")
    scene.answer("bob")
    scene.answer("dan", about=COUPON)
    about_other, about_theme = scene.question_to("dan", about=OTHER), scene.question_to("dan")
    scene.edit(CHEAPER)
    assert scene.chains(2)[COUPON][0] is ChainState.APPROVED
    assert scene.chains(2)[OTHER][0] is ChainState.OPEN
    assert scene.levels(2) == {"operations": LevelState.OPEN, "director": LevelState.WAITING}
    with pytest.raises(HashChanged):
        scene.answer("dan", task_id=about_theme)
    scene.answer("dan", task_id=about_other)
    scene.answer("bob")
    scene.answer("dan")
    assert scene.theme().state is ThemeState.APPROVED


def test_an_answer_about_an_older_revision_is_refused_with_both_hashes(scene: Scene) -> None:
    in_review(scene, OPERATIONS)
    first = scene.theme().revision_id
    question = scene.question_to("bob")
    scene.edit(CHEAPER)
    assert scene.theme().revision_id != first
    with pytest.raises(HashChanged) as refused:
        scene.answer("bob", task_id=question)
    assert refused.value.asked_hash in str(refused.value)
    assert refused.value.current_hash in str(refused.value)


# time


def test_reminders_are_counted_and_end(scene: Scene) -> None:
    in_review(scene, "{level: operations, approvers: [bob], quorum: any, remind: {every: 4h, times: 2}}")
    for _ in range(4):
        scene.sweep(timedelta(hours=5))
    assert len(scene.audit("remind")) == 2


def test_escalation_adds_the_manager_and_the_first_answer_counts_for_the_seat(scene: Scene) -> None:
    in_review(scene, "{level: operations, approvers: [bob, cora], quorum: all, escalate: 8h}")
    with scene.begin() as session:
        set_manager(session, login="bob", manager="dan", by="root", now=scene.now)
        set_manager(session, login="cora", manager="cyn", by="root", now=scene.now)
    scene.sweep(timedelta(hours=9))
    assert scene.open_to() == ["bob", "cora", "cyn", "dan"]
    scene.answer("dan")
    assert scene.open_to() == ["cora", "cyn"]
    assert scene.answer("cora").outcome is LevelOutcome.APPROVED


def test_time_decides_where_the_policy_says_so(scene: Scene) -> None:
    in_review(scene, "{level: operations, approvers: [bob], quorum: any, due: 8h, on_due: approve}", DIRECTOR)
    scene.sweep(timedelta(hours=7))
    assert scene.open_to() == ["bob"]
    scene.sweep(timedelta(hours=2))
    assert scene.open_to() == ["dan"]
    assert [row.actor for row in scene.audit("timeout_approve")] == ["system:timeout"]
    with pytest.raises(NoEarlierLevel):
        scene.answer("dan", "return to previous level", "again")


def test_a_level_that_lost_its_people_goes_to_the_fallback_with_an_alert(scene: Scene) -> None:
    in_review(scene, FINANCE)
    with scene.begin() as session:
        for login in ("carl", "cyn"):
            disable_person(session, login=login, by="root", now=scene.now)
    scene.sweep()
    assert scene.open_to() == ["head-of-marketing"]
    assert [alert.subject for alert in scene.alerts()] == ["a level fell to the fallback approver"]
    scene.answer("head-of-marketing")
    assert scene.theme(KEY).state is ThemeState.APPROVED
    assert scene.verify().sound
