"""Rounds, levels, quorums, reversals: who must say yes, and what a yes or a no brings about."""

from uuid import uuid4

import pytest

from approval.errors import (
    AlreadyDecided,
    AuthorMayNotDecide,
    CommentRequired,
    FallbackUnavailable,
    HashChanged,
    LevelSettled,
    NotAsked,
    PersonDisabled,
    PolicyInvalid,
    QuorumUnreachable,
    RoundClosed,
)
from approval.quorum import LevelOutcome
from approval.service.people import disable_person
from approval.service.policies import apply_policy
from approval.states import ChainState, LevelState, RoundState, TaskState
from tests.integration.scene import KEY, TEMPLATES, Scene, theme_text
from themes.errors import ThemeNotDraft
from themes.lifecycle import MoveRefused, ThemeState
from themes.service import launch

CHEAPER = ('budget: "20000.00"', 'budget: "9000.00"')
OPEN, DECIDED, CANCELLED, WAITING = TaskState.OPEN, TaskState.DECIDED, TaskState.CANCELLED, TaskState.WAITING


def policy(*levels: str, fallback: str = "dan", coupon: str = "none") -> str:
    """The demo's policy anew, with other levels for the theme."""
    theme = "[" + ", ".join(levels) + "]" if levels else "none"
    return f"policy: demo\nfallback: {fallback}\ntheme: {theme}\ncoupon: {coupon}\nactivity: none\n"


def in_review(scene: Scene, *levels: str, coupon: str = "none") -> None:
    scene.apply(policy(*levels, coupon=coupon))
    scene.draft()
    scene.submit()


# levels and quorums


def test_levels_ask_one_after_another(asked: Scene) -> None:
    assert asked.open_to() == ["bob"]
    assert asked.answer("bob").outcome is LevelOutcome.APPROVED
    assert asked.open_to() == ["carl", "cora", "cyn"]
    assert asked.levels() == {"operations": LevelState.APPROVED, "finance": LevelState.OPEN}
    assert asked.theme().state is ThemeState.IN_REVIEW


def test_the_last_approval_approves_the_theme_and_cancels_who_was_left_over(scene: Scene) -> None:
    scene.draft()
    submitted = scene.submit()
    scene.answer("bob")
    assert scene.answer("carl").outcome is LevelOutcome.OPEN
    assert scene.answer("cyn").outcome is LevelOutcome.APPROVED
    assert scene.tasks() == {"bob": DECIDED, "carl": DECIDED, "cyn": DECIDED, "cora": CANCELLED}
    assert scene.theme().state is ThemeState.APPROVED
    assert scene.round_state(1) is RoundState.APPROVED
    moved = scene.audit("approve")[-1]
    assert (moved.actor, moved.object_hash) == ("system:policy", submitted.hash)
    with pytest.raises(RoundClosed):
        scene.answer("cora")


def test_every_decision_names_round_level_hash_meaning_person_and_run(scene: Scene) -> None:
    scene.draft()
    submitted = scene.submit()
    scene.answer("bob", comment="fine by me")
    decision, row = scene.decided()[0], scene.audit("approve")[0]
    assert (decision.object_hash, decision.comment, decision.decided_at) == (submitted.hash, "fine by me", scene.now)
    assert decision.meaning == row.meaning == "I have read this content and approve it"
    assert (row.actor, row.theme_key, row.round_number, row.level) == ("bob", KEY, 1, "operations")
    assert (row.object_hash, row.comment, row.at) == (submitted.hash, "fine by me", scene.now)


def test_any_is_settled_by_the_first_approval(scene: Scene) -> None:
    in_review(scene, "{level: one, approvers: [bob, carl, cyn], quorum: any}")
    assert scene.answer("carl").outcome is LevelOutcome.APPROVED
    assert scene.tasks() == {"bob": CANCELLED, "carl": DECIDED, "cyn": CANCELLED}


def test_any_is_settled_by_the_first_rejection(scene: Scene) -> None:
    in_review(scene, "{level: one, approvers: [bob, carl, cyn], quorum: any}")
    assert scene.answer("cyn", "reject", "too dear").outcome is LevelOutcome.REJECTED
    assert scene.tasks() == {"bob": CANCELLED, "carl": CANCELLED, "cyn": DECIDED}


def test_all_waits_for_everybody(scene: Scene) -> None:
    in_review(scene, "{level: one, approvers: [bob, carl, cyn], quorum: all}")
    outcomes = [scene.answer(login).outcome for login in ("cyn", "bob", "carl")]
    assert outcomes == [LevelOutcome.OPEN, LevelOutcome.OPEN, LevelOutcome.APPROVED]
    assert scene.theme().state is ThemeState.APPROVED


def test_all_is_settled_by_one_rejection(scene: Scene) -> None:
    in_review(scene, "{level: one, approvers: [bob, carl, cyn], quorum: all}")
    scene.answer("bob")
    assert scene.answer("carl", "reject", "no").outcome is LevelOutcome.REJECTED
    assert scene.tasks() == {"bob": DECIDED, "carl": DECIDED, "cyn": CANCELLED}


def test_count_bears_one_rejection_and_is_settled_once_it_cannot_be_reached(scene: Scene) -> None:
    in_review(scene, "{level: one, approvers: [bob, carl, cyn, cora], quorum: {count: 3}}")
    assert scene.answer("bob", "reject", "no").outcome is LevelOutcome.OPEN
    assert scene.answer("carl").outcome is LevelOutcome.OPEN
    assert scene.answer("cyn", "reject", "no").outcome is LevelOutcome.REJECTED
    assert scene.tasks()["cora"] is CANCELLED
    assert scene.levels() == {"one": LevelState.REJECTED}


def test_a_veto_ends_a_level_that_could_still_be_reached(scene: Scene) -> None:
    in_review(scene, "{level: one, approvers: [bob, carl, cyn, cora], quorum: {count: 2}, veto: [carl]}")
    assert scene.answer("cyn", "reject", "no").outcome is LevelOutcome.OPEN
    assert scene.answer("carl", "reject", "never").outcome is LevelOutcome.REJECTED
    assert scene.theme().state is ThemeState.REJECTED


# who may not


def test_who_decided_cannot_decide_again(asked: Scene) -> None:
    asked.answer("bob")
    with pytest.raises(AlreadyDecided):
        asked.answer("bob", "reject", "on second thoughts")
    assert len(asked.decided()) == 1


def test_only_the_person_asked_may_answer(asked: Scene) -> None:
    with pytest.raises(NotAsked):
        asked.answer("carl", task_id=asked.question_to("bob"))


def test_a_level_that_is_not_open_yet_takes_no_answer(asked: Scene) -> None:
    asked.run("UPDATE tasks SET opened_at = now()")
    with pytest.raises(LevelSettled):
        asked.answer("carl")


def test_somebody_disabled_since_she_was_asked_may_not_decide(asked: Scene) -> None:
    with asked.begin() as session:
        disable_person(session, login="bob", by="root", now=asked.tick())
    with pytest.raises(PersonDisabled):
        asked.answer("bob")


def test_everything_but_approve_needs_a_comment(asked: Scene) -> None:
    for decision in ("reject", "return to drafter"):
        with pytest.raises(CommentRequired):
            asked.answer("bob", decision, "  ")
    assert asked.open_to() == ["bob"]


def test_author_is_not_asked_and_may_not_approve(scene: Scene) -> None:
    in_review(scene, "{level: one, approvers: [ann, bob], quorum: all}")
    assert scene.tasks() == {"bob": OPEN}
    scene.run("UPDATE tasks SET person_id = (SELECT id FROM people WHERE login = 'ann')")
    with pytest.raises(AuthorMayNotDecide):
        scene.answer("ann")


def test_editor_cannot_approve_after_somebody_else_saves_again(scene: Scene) -> None:
    scene.draft()
    scene.draft(theme_text(CHEAPER), login="carl")
    scene.draft(theme_text(), login="ann")
    scene.submit()
    assert scene.tasks() == {"bob": OPEN, "cyn": WAITING, "cora": WAITING}
    scene.run("UPDATE tasks SET person_id = (SELECT id FROM people WHERE login = 'carl') WHERE state = 'open'")
    with pytest.raises(AuthorMayNotDecide):
        scene.answer("carl")


def test_who_edited_before_a_return_stays_barred_in_the_next_round(scene: Scene) -> None:
    scene.draft()
    scene.draft(theme_text(CHEAPER), login="cyn")
    scene.submit()
    scene.answer("bob", "return to drafter", "too cheap")
    scene.draft(theme_text(), login="ann")
    scene.submit()
    assert set(scene.tasks(2)) == {"bob", "carl", "cora"}


# reversals


def test_return_voids_the_approvals_and_a_resubmission_starts_at_level_1_with_fresh_questions(asked: Scene) -> None:
    asked.answer("bob")
    asked.answer("carl")
    assert asked.answer("cyn", "return to drafter", "the budget!").outcome is LevelOutcome.RETURNED
    assert asked.theme().state is ThemeState.DRAFT
    assert asked.theme().revision_id is None
    assert asked.round_state(1) is RoundState.RETURNED
    assert {state for state, _ in asked.chains().values()} == {ChainState.VOID}
    assert asked.levels()["finance"] is LevelState.VOID
    assert asked.tasks()["cora"] is CANCELLED
    first = {login: asked.question_to(login) for login in ("bob", "carl", "cyn")}
    asked.draft(theme_text(CHEAPER))
    submitted = asked.submit()
    assert (submitted.revision, submitted.round) == (2, 2)
    assert asked.open_to() == ["bob"]
    assert asked.question_to("bob") != first["bob"]
    asked.approve_all()
    assert asked.theme().state is ThemeState.APPROVED
    assert asked.round_state(1) is RoundState.RETURNED


def test_resubmission_of_the_same_content_is_a_new_round_of_the_same_revision(scene: Scene) -> None:
    scene.draft()
    first = scene.submit()
    scene.answer("bob", "return to drafter", "are you sure?")
    second = scene.submit()
    assert (second.revision, second.hash, second.round) == (first.revision, first.hash, 2)


def test_answer_to_a_question_of_a_returned_round_is_refused(scene: Scene) -> None:
    in_review(scene, "{level: one, approvers: [bob, carl], quorum: all}")
    old = scene.question_to("carl")
    scene.answer("bob", "return to drafter", "again please")
    scene.submit()
    with pytest.raises(RoundClosed):
        scene.answer("carl", task_id=old)
    assert scene.tasks(2) == {"bob": OPEN, "carl": OPEN}


def test_decision_for_an_old_revision_is_refused_with_both_hashes(scene: Scene) -> None:
    scene.draft()
    first = scene.submit()
    scene.withdraw()
    scene.draft(theme_text(CHEAPER))
    second = scene.submit()
    question = scene.question_to("bob")
    # as if an edit had got past the round: the theme stands on another revision than the one that was asked about
    scene.run("UPDATE themes SET revision_id = (SELECT min(id) FROM revisions)")
    with pytest.raises(HashChanged) as refused:
        scene.answer("bob", task_id=question)
    assert (refused.value.asked_hash, refused.value.current_hash) == (second.hash, first.hash)
    assert first.hash in str(refused.value)
    assert second.hash in str(refused.value)
    assert scene.decided() == []


def test_reject_ends_the_theme(asked: Scene) -> None:
    asked.answer("bob")
    asked.answer("carl", "reject", "no")
    asked.answer("cyn", "reject", "no")
    assert asked.theme().state is ThemeState.REJECTED
    assert asked.round_state(1) is RoundState.REJECTED
    assert asked.chains()[KEY][0] is ChainState.REJECTED
    assert asked.open_to() == []
    with pytest.raises(MoveRefused):
        asked.submit()
    with pytest.raises(ThemeNotDraft):
        asked.draft(theme_text(CHEAPER))


def test_withdraw_closes_every_question(scene: Scene) -> None:
    in_review(
        scene,
        "{level: one, approvers: [bob, carl], quorum: all}",
        coupon="[{level: details, approvers: [cyn], quorum: any}]",
    )
    assert scene.open_to() == ["bob", "carl", "cyn", "cyn"]
    scene.answer("bob")
    scene.withdraw()
    assert scene.open_to() == []
    assert scene.tasks() == {"bob": DECIDED, "carl": CANCELLED}
    assert scene.theme().state is ThemeState.DRAFT
    assert scene.round_state(1) is RoundState.WITHDRAWN
    assert {state for state, _ in scene.chains().values()} == {ChainState.VOID}
    with pytest.raises(RoundClosed):
        scene.answer("carl")


# chains of offers


def test_theme_waits_for_the_chain_of_every_offer(scene: Scene) -> None:
    scene.draft(theme_text(policy="standard"))
    scene.submit()
    assert scene.open_to() == ["bob", "bob", "bob"]
    for coupon in ("women-20-off-100", "first-parcel-free"):
        scene.answer("bob", about=coupon)
    for login in ("bob", "carl", "cora"):
        scene.answer(login)
    assert scene.theme().state is ThemeState.IN_REVIEW
    scene.answer("dan")
    assert scene.theme().state is ThemeState.APPROVED
    assert {state for state, _ in scene.chains().values()} == {ChainState.APPROVED}


def test_rejected_coupon_holds_the_theme_up_until_it_is_edited(scene: Scene) -> None:
    in_review(scene, coupon="[{level: details, approvers: [cyn], quorum: any}]")
    assert scene.answer("cyn", "reject", "too much", about="women-20-off-100").outcome is LevelOutcome.REJECTED
    scene.answer("cyn", about="first-parcel-free")
    assert scene.theme().state is ThemeState.IN_REVIEW
    assert scene.chains()["women-20-off-100"][0] is ChainState.REJECTED
    scene.withdraw()
    scene.draft(theme_text(('amount: "20.00"', 'amount: "10.00"')))
    scene.submit()
    scene.answer("cyn", about="women-20-off-100")
    scene.answer("cyn", about="first-parcel-free")
    assert scene.theme().state is ThemeState.APPROVED


# rules that ask nobody


def test_policy_that_asks_nobody_approves_by_rule_and_says_so_on_record(scene: Scene) -> None:
    in_review(scene)
    assert scene.theme().state is ThemeState.APPROVED
    assert scene.chains()[KEY] == (ChainState.APPROVED, "policy 'demo' asks nobody: theme is none")
    rows = {row.object_key: (row.actor, row.comment) for row in scene.audit("approve_chain")}
    assert rows[KEY] == ("system:policy", "policy 'demo' asks nobody: theme is none")
    assert rows["tea-lights-3-for-2"] == ("system:policy", "policy 'demo' asks nobody: activity is none")
    assert scene.decided() == []


def test_level_whose_condition_does_not_hold_is_skipped_and_on_record(scene: Scene) -> None:
    in_review(
        scene,
        "{level: director, approvers: [dan], quorum: any, when: 'budget >= 50000'}",
        "{level: operations, approvers: [bob], quorum: any, when: 'budget >= 10000'}",
    )
    assert scene.levels() == {"director": LevelState.SKIPPED, "operations": LevelState.OPEN}
    (skipped,) = scene.audit("skip_level")
    assert (skipped.actor, skipped.level, skipped.object_key) == ("system:policy", "director", KEY)
    assert skipped.comment == "budget >= 50000 does not hold: budget = 20000.00"
    scene.answer("bob")
    assert scene.theme().state is ThemeState.APPROVED


def test_condition_on_a_fact_that_is_not_known_counts_as_holding(scene: Scene) -> None:
    in_review(scene, "{level: director, approvers: [dan], quorum: any, when: 'worst_margin < 0.15'}")
    assert scene.levels() == {"director": LevelState.OPEN}


def test_condition_asks_for_the_audience_as_counted_at_submit(scene: Scene) -> None:
    in_review(
        scene,
        "{level: small, approvers: [dan], quorum: any, when: 'audience_size == 14'}",
        "{level: large, approvers: [bob], quorum: any, when: 'audience_size > 14'}",
    )
    assert scene.levels() == {"small": LevelState.OPEN, "large": LevelState.SKIPPED}


# fallback


def test_level_of_which_nobody_may_decide_goes_to_the_fallback_with_an_alert(scene: Scene) -> None:
    in_review(
        scene, "{level: one, approvers: [ann], quorum: any}", coupon="[{level: two, approvers: [ann], quorum: any}]"
    )
    assert scene.open_to() == ["dan", "dan", "dan"]
    alerts = scene.alerts()
    assert [alert.theme_key for alert in alerts] == [KEY] * 3
    assert len({alert.key for alert in alerts}) == 3
    assert "ann" in alerts[0].text
    assert "dan" in alerts[0].text
    scene.answer("dan")
    assert scene.levels() == {"one": LevelState.APPROVED}


def test_submission_without_any_fallback_left_writes_nothing(scene: Scene) -> None:
    scene.apply(policy("{level: one, approvers: [ann], quorum: any}"))
    scene.draft()
    scene.draft(theme_text(CHEAPER), login="dan")
    with pytest.raises(FallbackUnavailable):
        scene.submit()
    assert scene.theme().state is ThemeState.DRAFT
    assert scene.audit("submit") == []
    assert scene.alerts() == []


def test_quorum_that_too_few_are_left_for_is_refused_at_submit(scene: Scene) -> None:
    scene.draft()
    for login, budget in (("carl", "1.00"), ("cyn", "2.00")):
        scene.draft(theme_text(('budget: "20000.00"', f'budget: "{budget}"')), login=login)
    with pytest.raises(QuorumUnreachable, match="cora"):
        scene.submit()
    assert scene.theme().state is ThemeState.DRAFT


# policies


def test_policy_applied_again_unchanged_is_no_new_version(scene: Scene) -> None:
    text = policy("{level: one, approvers: [bob], quorum: any}")
    with scene.begin() as session:
        versions = [
            apply_policy(session, text=one, by="root", now=scene.tick()).version
            for one in (text, text.replace("level: one", "level:   'one'"), text.replace("any", "all"))
        ]
    assert versions == [2, 2, 3]


def test_policy_with_unknown_people_is_refused_with_all_of_them(scene: Scene) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        scene.apply(policy("{level: one, approvers: [bobb, role:nobody], quorum: any}", fallback="danny"))
    assert len(refused.value.problems) == 3


def test_round_under_way_keeps_the_chain_it_was_opened_with(asked: Scene) -> None:
    asked.apply(policy("{level: other, approvers: [dan], quorum: any}"))
    asked.approve_all()
    assert asked.theme().state is ThemeState.APPROVED


# keys

KEYS = ("三八妇女节-2027", "WOMENS_DAY_2027", "Émile's 100 % {day} #1?", "主" * 200, "in_review", "k" * 200)


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_theme_of_any_key_goes_its_whole_way(scene: Scene, key: str) -> None:
    scene.draft(theme_text(("theme: womens-day-2027", f'theme: "{key}"')), templates=TEMPLATES)
    scene.submit(key)
    scene.approve_all(key)
    assert scene.theme(key).state is ThemeState.APPROVED
    with scene.begin() as session:
        wanted = launch.launch_to_schedule(session, scene.theme(key).id)
        assert wanted is not None
        assert launch.schedule(session, launch=wanted, run_id=uuid4(), now=scene.tick())
    scene.recall(key)
    assert scene.theme(key).state is ThemeState.DRAFT
    assert scene.verify().sound


def test_two_themes_in_review_do_not_touch_each_other(scene: Scene) -> None:
    other = "other_theme"
    scene.draft()
    scene.draft(theme_text(("theme: womens-day-2027", f"theme: {other}")))
    scene.submit()
    scene.submit(other)
    scene.answer("bob")
    scene.withdraw()
    assert scene.theme(other).state is ThemeState.IN_REVIEW
    scene.approve_all(other)
    assert scene.theme(other).state is ThemeState.APPROVED
    assert scene.theme().state is ThemeState.DRAFT
