"""Who speaks: codes that are wrong, used, or too many."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from approval.errors import (
    CodeReused,
    CodeWrong,
    CommentRequired,
    NotEnrolled,
    PersonDisabled,
    PersonExists,
    PersonLocked,
    PersonUnknown,
)
from approval.form import Answer
from approval.service.people import (
    add_person,
    directory,
    disable_person,
    enable_person,
    enrol_person,
    identify,
)
from models.queries import people
from tests.integration.scene import KEY, STEP, Scene, theme_text
from themes.service import review


def test_wrong_code_decides_nothing_and_is_counted_though_its_transaction_was_rolled_back(asked: Scene) -> None:
    with pytest.raises(CodeWrong):
        asked.answer("bob", code=asked.wrong_code("bob"))
    assert asked.decided() == []
    assert asked.person("bob").wrong_codes == 1


def test_five_wrong_codes_lock_a_person_and_raise_an_alert(asked: Scene) -> None:
    for _ in range(5):
        with pytest.raises(CodeWrong):
            asked.answer("bob", code=asked.wrong_code("bob"))
    (alert,) = asked.alerts()
    assert alert.subject == "person locked"
    assert "bob" in alert.text
    (row,) = asked.audit("lock_person")
    assert (row.actor, row.object_key) == ("system:identity", "bob")
    with pytest.raises(PersonLocked):
        asked.answer("bob")
    asked.tick(timedelta(minutes=16))
    asked.answer("bob")
    assert asked.person("bob").locked_until is None
    assert asked.verify().sound


def test_right_code_ends_the_count_of_wrong_ones(asked: Scene) -> None:
    for _ in range(4):
        with pytest.raises(CodeWrong):
            asked.answer("bob", code=asked.wrong_code("bob"))
    asked.answer("bob")
    assert asked.person("bob").wrong_codes == 0


def test_wrong_code_that_was_under_way_when_the_lock_fell_does_not_lift_it(asked: Scene) -> None:
    for _ in range(4):
        with pytest.raises(CodeWrong):
            asked.answer("bob", code=asked.wrong_code("bob"))
    code = asked.wrong_code("bob")
    with asked.begin() as late:
        seen = people.person_by_login(late, "bob")
        with asked.begin() as other, pytest.raises(CodeWrong):
            identify(other, login="bob", code=code, rules=asked.rules, now=asked.now)
        assert asked.person("bob").locked_until is not None
        assert seen is not None
        assert seen.locked_until is None
        with pytest.raises(PersonLocked):
            identify(late, login="bob", code=code, rules=asked.rules, now=asked.now)
    assert asked.person("bob").locked_until is not None


def test_code_signs_one_thing_only(asked: Scene) -> None:
    other = "other"
    asked.draft(theme_text(("theme: womens-day-2027", f"theme: {other}")))
    asked.submit(other)
    asked.answer("bob")
    with pytest.raises(CodeReused):
        asked.decide(asked.question_to("bob", other), Answer(decision="approve", login="bob", code=asked.code("bob")))
    assert asked.person("bob").wrong_codes == 0
    asked.answer("bob", key=other)


def test_code_of_a_refused_answer_can_still_be_used(asked: Scene) -> None:
    asked.tick()
    code = asked.code("bob")
    with pytest.raises(CommentRequired):
        asked.decide(asked.question_to("bob"), Answer(decision="reject", login="bob", code=code))
    asked.decide(asked.question_to("bob"), Answer(decision="reject", login="bob", code=code, comment="too dear"))


def test_code_is_good_a_step_early_or_late_and_no_longer(asked: Scene) -> None:
    code = asked.code("bob")
    with asked.begin() as session, pytest.raises(CodeWrong):
        identify(session, login="bob", code=code, rules=asked.rules, now=asked.now + 2 * STEP)
    with asked.begin() as session:
        identify(session, login="bob", code=code, rules=asked.rules, now=asked.now + STEP)


def test_new_enrolment_makes_the_old_secret_worthless_and_lifts_a_lock(asked: Scene) -> None:
    for _ in range(5):
        with pytest.raises(CodeWrong):
            asked.answer("bob", code=asked.wrong_code("bob"))
    with asked.begin() as session:
        enrolment = enrol_person(session, login="bob", by="root", cipher=asked.rules.cipher, now=asked.now)
    with pytest.raises(CodeWrong):
        asked.answer("bob")
    asked.secrets["bob"] = enrolment.secret
    asked.answer("bob")


def test_person_without_an_authenticator_cannot_sign(asked: Scene) -> None:
    asked.run("UPDATE people SET totp_secret = NULL WHERE login = 'bob'")
    with pytest.raises(NotEnrolled):
        asked.answer("bob")


def test_secret_is_stored_encrypted(scene: Scene) -> None:
    stored = scene.person("bob").totp_secret
    assert stored is not None
    assert scene.secrets["bob"].encode() not in stored
    assert all(scene.secrets["bob"] not in str(row.details) for row in scene.audit())


def test_login_is_taken_once(scene: Scene) -> None:
    with scene.begin() as session, pytest.raises(PersonExists):
        add_person(
            session,
            login="bob",
            name="Another Bob",
            email=None,
            phone=None,
            roles=(),
            locale="zh",
            by="root",
            cipher=scene.rules.cipher,
            now=scene.now,
        )


def test_unknown_login_is_told_the_nearest(asked: Scene) -> None:
    asked.secrets["bobb"] = asked.secrets["bob"]
    with pytest.raises(PersonUnknown, match="did you mean 'bob'"):
        asked.answer("bobb", task_id=asked.question_to("bob"))


def test_disabled_person_cannot_sign_until_enabled_again(scene: Scene) -> None:
    with scene.begin() as session:
        disable_person(session, login="ann", by="root", now=scene.now)
        assert directory(session).enabled["ann"] is False
    with scene.begin() as session, pytest.raises(PersonDisabled):
        identify(session, login="ann", code=scene.code("ann"), rules=scene.rules, now=scene.now)
    with pytest.raises(PersonDisabled):
        scene.draft()
    with scene.begin() as session:
        enable_person(session, login="ann", by="root", now=scene.now)
    scene.draft()
    assert [row.act for row in scene.audit()][-3:] == ["disable_person", "enable_person", "draft"]


def test_theme_can_be_submitted_while_one_of_its_approvers_is_being_changed(scene: Scene) -> None:
    # Each would wait for the other: here for the end of the audit, there for the row of the person.
    scene.draft()
    signature = scene.sign("ann")
    with scene.begin() as changing:
        people.person_by_login(changing, "carl", lock=True)
        with scene.begin() as session:
            session.execute(text("SET LOCAL lock_timeout = '2s'"))
            review.submit(session, key=KEY, signature=signature, rules=scene.rules, now=scene.now)
    assert scene.open_to() == ["bob"]
