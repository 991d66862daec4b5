"""The record: whole after everything that can happen, and false where somebody has touched it."""

from datetime import timedelta, timezone
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from approval.audit import AuditReport, Head
from approval.errors import AuditValueInvalid
from approval.service.record import Act, export_audit, verify_audit, write_down
from models.queries import audit
from tests.integration.scene import ENDS_AT, KEY, MORNING, STARTS_AT, Scene, theme_text
from themes.service import launch


@pytest.fixture
def story(scene: Scene) -> Scene:
    """Returned, withdrawn, approved, recalled, approved again, live, ended; and a second theme that was rejected."""
    scene.draft()
    scene.submit()
    scene.answer("bob", "return to drafter", '不行：预算 ‘20k’ 太高 🙅 \\ " |')
    scene.draft(theme_text(('budget: "20000.00"', 'budget: "9000.00"')), login="dan")
    scene.submit()
    scene.answer("bob")
    scene.withdraw()
    scene.submit()
    scene.approve_all()
    scene.recall()
    scene.submit()
    scene.approve_all()
    with scene.begin() as session:
        wanted = launch.launch_to_schedule(session, scene.theme().id)
        assert wanted is not None
        launch.schedule(session, launch=wanted, run_id=uuid4(), now=scene.tick())
        launch.start(
            session,
            theme_id=wanted.theme_id,
            revision_id=wanted.revision_id,
            grace=timedelta(),
            now=STARTS_AT,
            flow_run_id=uuid4(),
        )
        launch.end_themes_that_are_over(session, now=ENDS_AT)
    other = "第二_Theme"
    scene.draft(theme_text(("theme: womens-day-2027", f"theme: {other}")))
    scene.submit(other)
    scene.answer("bob", "reject", "never", key=other)
    return scene


def tampered(scene: Scene, statement: str, head: Head | None = None) -> AuditReport:
    """What the check says after a change behind the back of the trigger, which is undone again."""
    with scene.begin() as session:
        session.execute(text("ALTER TABLE audit DISABLE TRIGGER audit_only_grows"))
        assert session.execute(text(f"{statement} RETURNING seq")).all()
        report = verify_audit(session, head=head)
        session.rollback()
    return report


def test_record_of_a_long_story_is_sound_and_tells_it_in_order(story: Scene) -> None:
    report = story.verify()
    assert report.sound
    assert report.head is not None
    assert report.rows == report.head.seq == len(story.audit())
    moves = [
        row.act
        for row in story.audit()
        if row.theme_key == KEY and (row.details.get("from") or row.act in {"draft", "return_to_drafter"})
    ]
    assert moves == [
        *("draft", "submit", "return_to_drafter", "return", "draft", "submit", "withdraw", "submit", "approve"),
        *("recall", "submit", "approve", "schedule", "start", "end"),
    ]


def test_every_signature_has_name_time_meaning_and_hash(story: Scene) -> None:
    signed = [row for row in story.audit() if row.meaning]
    assert len(signed) == 1 + 1 + 3 + 3 + 1
    for row in signed:
        assert row.actor in {"bob", "carl", "cyn"}
        assert len(row.object_hash or "") == 64
        assert row.at.utcoffset() == timedelta()
        assert row.round_number


ALTERED = [
    "comment = 'fine by me'",
    "actor = 'carl'",
    "at = at + interval '1 microsecond'",
    "details = '{\"x\": 1}'",
    "object_hash = NULL",
    "on_behalf_of = 'dan'",
    "flow_run_id = gen_random_uuid()",
    "meaning = ''",
    "level = 'finance'",
    "round_number = 2",
    "theme_key = NULL",
    "hash = repeat('0', 64)",
    "prev_hash = repeat('0', 64)",
]


def test_altered_row_is_named_whatever_was_altered_in_it(story: Scene) -> None:
    (row,) = story.audit("return_to_drafter")
    for change in ALTERED:
        report = tampered(story, f"UPDATE audit SET {change} WHERE seq = {row.seq}")  # noqa: S608 - tampering
        assert (report.sound, report.broken_seq, report.rows) == (False, row.seq, row.seq - 1), change
    assert story.verify().sound


def test_removed_row_is_named(story: Scene) -> None:
    (row,) = story.audit("return_to_drafter")
    report = tampered(story, "DELETE FROM audit WHERE act = 'return_to_drafter'")
    assert (report.broken_seq, report.problem) == (row.seq, f"row {row.seq} was removed")


def test_cut_tail_shows_against_an_exported_head(story: Scene) -> None:
    head = story.verify().head
    assert head is not None
    cut = f"DELETE FROM audit WHERE seq > {head.seq - 2}"  # noqa: S608 - tampering
    assert tampered(story, cut).sound
    report = tampered(story, cut, head)
    assert (report.sound, report.broken_seq) == (False, head.seq - 1)


def test_record_that_has_grown_since_the_export_is_sound(scene: Scene) -> None:
    head = scene.verify().head
    scene.draft()
    with scene.begin() as session:
        assert verify_audit(session, head=head).sound
        assert not verify_audit(session, head=Head(seq=1, hash="f" * 64)).sound


@pytest.mark.parametrize("statement", ["UPDATE audit SET comment = ''", "DELETE FROM audit", "TRUNCATE audit"])
def test_database_refuses_to_change_the_record(scene: Scene, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="only grows"):
        scene.run(statement)


def test_export_yields_every_row_as_it_was_hashed(story: Scene) -> None:
    with story.begin() as session:
        exported = list(export_audit(session))
    assert [row.hash for row in exported] == [row.hash for row in story.audit()]
    with story.begin() as session:
        assert {row.theme_key for row in audit.audit_of_theme(session, KEY)} == {KEY}


def test_act_that_is_rolled_back_leaves_no_gap(scene: Scene) -> None:
    act = Act(act="try", actor="ann", object_kind="theme", object_key=KEY)
    before = len(scene.audit())
    with scene.begin() as session:
        write_down(session, act, now=MORNING)
        session.rollback()
    with scene.begin() as session:
        write_down(session, act, now=MORNING)
    assert len(scene.audit()) == before + 1
    assert scene.verify().sound


def test_time_is_kept_as_an_instant_whatever_its_zone(scene: Scene) -> None:
    shanghai = MORNING.astimezone(timezone(timedelta(hours=8))).replace(microsecond=123_456)
    details = {"nested": {"list": [1, True, None, "三"]}, "b": 2, "a": 10**15}
    act = Act(act="try", actor="ann", object_kind="theme", object_key=KEY, details=details, flow_run_id=uuid4())
    with scene.begin() as session:
        write_down(session, act, now=shanghai)
    row = scene.audit("try")[0]
    assert (row.at, row.details) == (shanghai, details)
    assert scene.verify().sound


def test_value_with_more_than_one_notation_is_refused_before_it_is_written(scene: Scene) -> None:
    act = Act(act="try", actor="ann", object_kind="theme", object_key=KEY, details={"share": 0.1})
    with scene.begin() as session, pytest.raises(AuditValueInvalid, match=r"details\.share"):
        write_down(session, act, now=MORNING)
    assert scene.audit("try") == []
