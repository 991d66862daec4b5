"""A theme's way: submitted, withdrawn, scheduled, live, ended; and what stands against each step."""

import re
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from approval.errors import CodeWrong, PolicyUnknown
from approval.service.people import IdentityRules
from approval.service.signing import Signature
from approval.states import ChainState, LevelState, RoundState, TaskState
from models.queries import steps, themes
from tests.integration.scene import ENDS_AT, EXAMPLES, KEY, STARTS_AT, Scene, theme_text
from themes.errors import (
    NobodyToReach,
    NotAllowed,
    RecipientsLackVariables,
    StartOutsideWindow,
    ThemeUnknown,
    WindowOver,
)
from themes.lacking import Lacking
from themes.lifecycle import MoveRefused, ThemeState
from themes.revision import load
from themes.service import launch
from themes.service.launch import StartOutcome
from themes.service.preflight import sample_recipient

GRACE = timedelta(minutes=30)
EDIT = ('budget: "20000.00"', 'budget: "9000.00"')
RUN = UUID(int=1)


class Steering(Protocol):
    def __call__(
        self, session: Session, /, *, key: str, signature: Signature, rules: IdentityRules, now: datetime
    ) -> int: ...


def approved(asked: Scene) -> Scene:
    asked.approve_all()
    return asked


def scheduled(scene: Scene, run_id: UUID = RUN) -> Scene:
    approved(scene)
    assert schedule(scene, run_id)
    return scene


def schedule(scene: Scene, run_id: UUID = RUN) -> bool:
    with scene.begin() as session:
        wanted = launch.launch_to_schedule(session, scene.theme().id)
        assert wanted is not None
        return launch.schedule(session, launch=wanted, run_id=run_id, now=scene.tick())


def start(scene: Scene, now: datetime = STARTS_AT, revision_id: int | None = None) -> StartOutcome:
    theme = scene.theme()
    with scene.begin() as session:
        return launch.start(
            session,
            theme_id=theme.id,
            revision_id=revision_id or theme.revision_id or 0,
            grace=GRACE,
            now=now,
            flow_run_id=None,
        )


def steer(scene: Scene, verb: Steering, login: str = "ann", now: datetime | None = None) -> int:
    scene.now = now or scene.now
    signature = scene.sign(login)
    with scene.begin() as session:
        return verb(session, key=KEY, signature=signature, rules=scene.rules, now=scene.now)


def missed(scene: Scene) -> Scene:
    scheduled(scene)
    assert start(scene, STARTS_AT + timedelta(hours=1)) is StartOutcome.MISSED
    scene.now = STARTS_AT + timedelta(hours=1)
    return scene


# submitting


def test_submitting_twice_is_one_revision_and_one_round_and_uses_no_code(scene: Scene) -> None:
    scene.draft()
    first, again = scene.submit(), scene.submit()
    assert (first.already, again.already) == (False, True)
    assert (again.revision, again.hash, again.round) == (1, first.hash, 1)
    assert len(scene.audit("submit")) == 1
    scene.withdraw()


def test_submitted_revision_holds_the_content_its_hashes_and_its_placements(scene: Scene) -> None:
    saved = scene.draft()
    submitted = scene.submit()
    with scene.begin() as session:
        revision = themes.revision_by_number(session, submitted.theme_id, 1)
        assert revision is not None
        assert revision.hash == submitted.hash == saved.hash
        assert revision.content == scene.theme().draft
        assert set(revision.offer_hashes) == {"women-20-off-100", "first-parcel-free", "tea-lights-3-for-2"}
        places = [placement.place for placement in themes.placements(session, revision.id)]
    assert places == ["app.banner", "store.pos_after_payment"]


def test_unknown_theme_is_told_the_nearest_key(scene: Scene) -> None:
    scene.draft()
    with pytest.raises(ThemeUnknown, match="did you mean 'womens-day-2027'"):
        scene.submit("womans-day-2027")


def test_only_author_or_editor_may_submit(scene: Scene) -> None:
    scene.draft()
    with pytest.raises(NotAllowed, match="bob may not submit"):
        scene.submit(login="bob")
    scene.draft(theme_text(EDIT), login="dan")
    scene.submit(login="dan")


def test_submitting_with_a_wrong_code_writes_nothing_but_the_count(scene: Scene) -> None:
    scene.draft()
    scene.secrets["ann"] = scene.secrets["bob"]
    with pytest.raises(CodeWrong):
        scene.submit()
    assert scene.theme().state is ThemeState.DRAFT
    assert scene.person("ann").wrong_codes == 1
    with scene.begin() as session:
        assert themes.revisions(session, scene.theme().id) == []


def test_policy_that_is_gone_is_refused_at_submit_and_leaves_the_code_unused(scene: Scene) -> None:
    scene.draft()
    scene.run("DELETE FROM policies WHERE key = 'demo'")
    with pytest.raises(PolicyUnknown, match="standard"):
        scene.submit()
    assert scene.theme().state is ThemeState.DRAFT
    scene.run("UPDATE policies SET key = 'demo'")
    scene.now -= timedelta(seconds=30)
    scene.submit()  # in the same half minute: the code has signed nothing


def test_window_that_is_over_is_refused(scene: Scene) -> None:
    scene.draft()
    scene.now = ENDS_AT
    with pytest.raises(WindowOver):
        scene.submit()


def test_recipients_without_a_name_are_named_for_each_channel_that_uses_it(scene: Scene) -> None:
    scene.draft()
    scene.run("UPDATE customers SET name = NULL WHERE external_id IN ('c02', 'c20')")  # c20 never ordered
    scene.run("UPDATE customers SET name = '  ' WHERE external_id = 'c05'")
    scene.run("UPDATE consents SET granted = false WHERE channel = 'email' AND customer_id = 5")
    with pytest.raises(RecipientsLackVariables) as refused:
        scene.submit()
    assert refused.value.lacking == {
        "sms": {"customer.name": Lacking(count=2, names=["c02", "c05"])},
        "email": {"customer.name": Lacking(count=1, names=["c02"])},
    }
    assert "sms: customer.name is missing for 2 recipients: c02, c05" in str(refused.value)
    assert scene.theme().state is ThemeState.DRAFT


def test_only_those_count_who_can_be_reached(scene: Scene) -> None:
    scene.run("UPDATE consents SET granted = false WHERE channel = 'sms' AND customer_id = 1")
    scene.run("UPDATE addresses SET valid = false WHERE channel = 'sms' AND customer_id = 2")
    scene.run("UPDATE addresses SET address = 'same' WHERE channel = 'sms' AND customer_id IN (3, 4)")
    scene.run(
        "INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)"
        " SELECT 1, channel, address, 'unsubscribed', 'test', now() FROM addresses"
        " WHERE channel = 'sms' AND customer_id = 5"
    )
    scene.draft()
    scene.submit()
    assert scene.round(1).reach == {"audience": 14, "sms": 10, "email": 14, "push": 14, "mini_program": 14}


def test_theme_that_reaches_nobody_is_refused(scene: Scene) -> None:
    scene.run("UPDATE consents SET granted = false")
    scene.draft()
    with pytest.raises(NobodyToReach):
        scene.submit()


def test_preview_is_of_a_real_recipient_where_there_is_one(scene: Scene) -> None:
    scene.draft()
    assert _sampled_name(scene) == "Gift Shop 1"
    scene.run("UPDATE consents SET granted = false")
    assert _sampled_name(scene) == "A customer"


def _sampled_name(scene: Scene) -> str:
    theme = scene.theme()
    with scene.begin() as session:
        found = sample_recipient(session, theme, load(theme.draft), public_url="https://go.example.com", now=scene.now)
    return str(found["customer"]["name"])


# withdrawing and recalling


def test_only_a_theme_in_review_can_be_withdrawn_and_only_by_its_author(scene: Scene) -> None:
    scene.draft()
    with pytest.raises(MoveRefused):
        scene.withdraw()
    scene.submit()
    with pytest.raises(NotAllowed):
        scene.withdraw(login="bob")
    scene.withdraw()
    with pytest.raises(MoveRefused):
        scene.withdraw()


def test_recall_of_a_scheduled_theme_voids_its_approval_and_names_the_run_to_cancel(asked: Scene) -> None:
    run = uuid4()
    scheduled(asked, run)
    assert asked.recall() == run
    theme = asked.theme()
    assert (theme.state, theme.revision_id, theme.launch_run_id) == (ThemeState.DRAFT, None, None)
    assert asked.round_state(1) is RoundState.RECALLED
    assert {state for state, _ in asked.chains().values()} == {ChainState.VOID}
    assert start(asked) is StartOutcome.NOT_SCHEDULED


def test_recall_of_an_approved_theme_has_no_run_to_cancel(asked: Scene) -> None:
    approved(asked)
    assert asked.recall(login="cyn") is None  # she signed the last level


def test_who_signed_an_earlier_level_may_not_recall_unless_the_policy_lets_her_take_down(scene: Scene) -> None:
    scene.apply((EXAMPLES / "demo-policy.yaml").read_text(encoding="utf-8").replace("takedown: [bob]", "takedown: []"))
    scene.draft()
    scene.submit()
    approved(scene)
    for login in ("bob", "cora", "dan"):
        with pytest.raises(NotAllowed):
            scene.recall(login=login)
    other = "by-standard"
    scene.draft(theme_text(("theme: womens-day-2027", f"theme: {other}"), policy="standard"))
    scene.submit(other)
    for login in ("bob", "carl", "cora", "dan"):
        scene.answer(login, key=other)
    for coupon in ("women-20-off-100", "first-parcel-free"):
        scene.answer("bob", key=other, about=coupon)
    scene.recall(other, "bob")  # role:operations may take down


def test_theme_approved_by_rule_can_be_recalled_by_its_author(scene: Scene) -> None:
    scene.apply("policy: demo\nfallback: dan\ntheme: none\ncoupon: none\nactivity: none\n")
    scene.draft()
    scene.submit()
    with pytest.raises(NotAllowed):
        scene.recall(login="bob")
    scene.recall()
    assert scene.theme().state is ThemeState.DRAFT


def test_live_theme_cannot_be_recalled(asked: Scene) -> None:
    scheduled(asked)
    start(asked)
    with pytest.raises(MoveRefused):
        asked.recall()


def test_content_approved_again_after_a_recall_asks_for_a_launch_run_of_its_own(asked: Scene) -> None:
    scheduled(asked)
    first = asked.theme().launch_attempt
    asked.recall()
    asked.submit()
    assert asked.levels(2) == {"operations": LevelState.OPEN, "finance": LevelState.WAITING}
    asked.approve_all()
    with asked.begin() as session:
        wanted = launch.launch_to_schedule(session, asked.theme().id)
    assert wanted is not None
    assert (wanted.revision, wanted.starts_at) == (1, STARTS_AT)
    assert wanted.attempt == first + 1


# launching


def test_approved_theme_wants_a_launch_until_it_has_its_run(asked: Scene) -> None:
    theme_id = asked.theme().id
    with asked.begin() as session:
        assert launch.launch_to_schedule(session, theme_id) is None
    asked.approve_all()
    with asked.begin() as session:
        wanted = launch.launch_to_schedule(session, theme_id)
    assert wanted is not None
    assert (wanted.key, wanted.revision, wanted.starts_at) == (KEY, 1, STARTS_AT)
    for _ in range(2):  # whoever comes second notes the same run again
        with asked.begin() as session:
            assert launch.schedule(session, launch=wanted, run_id=RUN, now=asked.tick())
    assert (asked.theme().state, asked.theme().launch_run_id) == (ThemeState.SCHEDULED, RUN)
    assert len(asked.audit("schedule")) == 1
    with asked.begin() as session:
        assert launch.launch_to_schedule(session, theme_id) is None


def test_launch_of_a_theme_that_was_recalled_meanwhile_is_not_noted(asked: Scene) -> None:
    approved(asked)
    with asked.begin() as session:
        wanted = launch.launch_to_schedule(session, asked.theme().id)
    assert wanted is not None
    asked.recall()
    with asked.begin() as session:
        assert not launch.schedule(session, launch=wanted, run_id=RUN, now=asked.tick())
    asked.submit()
    asked.approve_all()
    with asked.begin() as session:
        assert not launch.schedule(session, launch=wanted, run_id=RUN, now=asked.tick())
    assert asked.theme().state is ThemeState.APPROVED


def test_lost_launch_run_is_replaced_once(asked: Scene) -> None:
    scheduled(asked)
    theme_id = asked.theme().id
    with asked.begin() as session:
        assert not launch.forget_launch_run(session, theme_id=theme_id, run_id=uuid4())
        assert launch.forget_launch_run(session, theme_id=theme_id, run_id=RUN)
        assert not launch.forget_launch_run(session, theme_id=theme_id, run_id=RUN)
    assert schedule(asked, UUID(int=2))
    assert asked.theme().launch_run_id == UUID(int=2)


def test_theme_starts_at_its_time_and_once(asked: Scene) -> None:
    scheduled(asked)
    assert start(asked, STARTS_AT - timedelta(seconds=1)) is StartOutcome.NOT_DUE
    assert start(asked, STARTS_AT) is StartOutcome.STARTED
    assert start(asked, STARTS_AT) is StartOutcome.ALREADY_LIVE
    assert asked.theme().state is ThemeState.LIVE
    assert [row.actor for row in asked.audit("start")] == ["system:launch"]


def test_run_of_another_revision_starts_nothing(asked: Scene) -> None:
    scheduled(asked)
    assert start(asked, revision_id=999) is StartOutcome.NOT_SCHEDULED
    assert asked.theme().state is ThemeState.SCHEDULED


def test_start_within_the_grace_period_is_no_miss(asked: Scene) -> None:
    scheduled(asked)
    assert start(asked, STARTS_AT + GRACE) is StartOutcome.STARTED


def test_start_beyond_the_grace_period_asks_a_person(asked: Scene) -> None:
    scheduled(asked)
    assert start(asked, STARTS_AT + GRACE + timedelta(seconds=1)) is StartOutcome.MISSED
    assert asked.theme().state is ThemeState.MISSED
    (alert,) = asked.alerts()
    assert (alert.subject, alert.theme_key) == ("a launch was missed", KEY)


def test_start_that_nothing_came_for_is_missed_by_the_sweep_once(asked: Scene) -> None:
    scheduled(asked)
    with asked.begin() as session:
        assert launch.miss_late_starts(session, grace=GRACE, now=STARTS_AT + GRACE) == []
        late = STARTS_AT + GRACE + timedelta(seconds=1)
        assert launch.miss_late_starts(session, grace=GRACE, now=late) == [KEY]
        assert launch.miss_late_starts(session, grace=GRACE, now=late) == []
    assert asked.theme().state is ThemeState.MISSED


def test_theme_ends_at_its_end_even_while_paused(asked: Scene) -> None:
    scheduled(asked)
    start(asked)
    steer(asked, launch.pause, now=STARTS_AT)
    with asked.begin() as session:
        assert launch.end_themes_that_are_over(session, now=ENDS_AT - timedelta(seconds=1)) == []
        assert launch.end_themes_that_are_over(session, now=ENDS_AT) == [asked.theme().id]
        assert launch.end_themes_that_are_over(session, now=ENDS_AT) == []
    assert asked.theme().state is ThemeState.ENDED


def test_owner_pauses_and_resumes_a_live_theme_and_others_may_not(asked: Scene) -> None:
    scheduled(asked)
    with pytest.raises(MoveRefused):
        steer(asked, launch.pause)
    start(asked)
    with pytest.raises(NotAllowed):
        steer(asked, launch.pause, "carl")
    steer(asked, launch.pause)
    assert asked.theme().state is ThemeState.PAUSED
    steer(asked, launch.resume)
    assert asked.theme().state is ThemeState.LIVE
    assert [(row.actor, row.comment) for row in asked.audit("pause")] == [("ann", "because")]


def test_missed_theme_can_be_dropped(asked: Scene) -> None:
    missed(asked)
    steer(asked, launch.drop)
    assert asked.theme().state is ThemeState.DROPPED


def test_missed_theme_can_be_launched_now_while_its_window_lasts(asked: Scene) -> None:
    missed(asked)
    with pytest.raises(WindowOver):
        steer(asked, launch.launch_now, now=ENDS_AT)
    steer(asked, launch.launch_now, now=STARTS_AT + timedelta(hours=2))
    assert asked.theme().state is ThemeState.LIVE
    assert start(asked, STARTS_AT + timedelta(hours=2)) is StartOutcome.ALREADY_LIVE


def test_missed_theme_can_be_given_a_new_start_within_its_window(asked: Scene) -> None:
    missed(asked)
    later = STARTS_AT + timedelta(hours=5)
    for wrong in (STARTS_AT, ENDS_AT):
        signature = asked.sign("ann")
        with asked.begin() as session, pytest.raises(StartOutsideWindow):
            launch.move_start(session, key=KEY, starts_at=wrong, signature=signature, rules=asked.rules, now=asked.now)
    signature = asked.sign("ann")
    with asked.begin() as session:
        launch.move_start(session, key=KEY, starts_at=later, signature=signature, rules=asked.rules, now=asked.now)
    assert (asked.theme().state, asked.theme().starts_at) == (ThemeState.SCHEDULED, later)
    assert schedule(asked, UUID(int=2))
    assert start(asked, later - timedelta(seconds=1)) is StartOutcome.NOT_DUE
    assert start(asked, later) is StartOutcome.STARTED


def test_start_that_was_moved_does_not_outlive_a_recall(asked: Scene) -> None:
    missed(asked)
    signature = asked.sign("ann")
    with asked.begin() as session:
        later = STARTS_AT + timedelta(hours=5)
        launch.move_start(session, key=KEY, starts_at=later, signature=signature, rules=asked.rules, now=asked.now)
    asked.recall()
    asked.submit()
    assert asked.theme().starts_at == STARTS_AT


# the timeline


def test_timeline_tells_every_step_with_its_start_end_and_outcome(asked: Scene) -> None:
    scheduled(asked)
    start(asked)
    with asked.begin() as session:
        launch.end_themes_that_are_over(session, now=ENDS_AT)
        told = [(re.sub(r" · \d+$", "", step.name), step.outcome) for step in steps.timeline(session, asked.theme().id)]
    assert told == [
        ("draft", "in_review"),
        ("in_review", "approved"),
        ("round 1 · operations", "approved"),
        ("round 1 · finance", "approved"),
        ("approved", "scheduled"),
        ("scheduled", "live"),
        ("live", "ended"),
        ("ended", "the end"),
    ]


def test_timeline_of_a_return_ends_the_levels_of_its_round(asked: Scene) -> None:
    asked.answer("bob")
    asked.answer("carl", "return to drafter", "no")
    with asked.begin() as session:
        told = {re.sub(r" · \d+$", "", step.name): step.outcome for step in steps.timeline(session, asked.theme().id)}
    assert told["round 1 · finance"] == "returned"
    assert asked.tasks()["cyn"] is TaskState.CANCELLED
