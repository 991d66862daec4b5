"""The record: whole after everything that can happen, and false where somebody has touched it."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from approval.audit import AuditReport, Head
from approval.errors import AuditValueInvalid
from approval.service.record import Act, export_audit, verify_audit, write_down
from models.queries import audit
from tests.integration.command_line import CommandLine, command_line_over
from tests.integration.scene import ENDS_AT, KEY, MORNING, STARTS_AT, Scene, copied, theme_text
from themes.service import launch


@pytest.fixture(scope="module")
def told(scene_of_module: Scene) -> Scene:
    """Returned, withdrawn, approved, recalled, approved again, live, ended; and a second theme that was rejected."""
    scene = scene_of_module
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


@pytest.fixture
def story(postgres: str, told: Scene) -> Iterator[Scene]:
    with copied(postgres, told) as scene:
        yield scene


@pytest.fixture
def cli(story: Scene, tmp_path: Path) -> Iterator[CommandLine]:
    with command_line_over(story.database, tmp_path) as cli:
        yield cli


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


# what leaves the database


def exported(cli: CommandLine, file: Path, *words: str) -> list[str]:
    outcome = cli.run("audit", "export", *words)
    assert outcome.exit_code == 0, outcome.stderr
    file.write_text(outcome.stdout, encoding="utf-8")
    return outcome.stdout.splitlines()


def test_export_is_verified_where_there_is_no_database(story: Scene, cli: CommandLine, tmp_path: Path) -> None:
    file, head = tmp_path / "audit.jsonl", tmp_path / "head.json"
    lines = exported(cli, file)
    assert [json.loads(line)["hash"] for line in lines] == [row.hash for row in story.audit()]
    head.write_text(cli.run("audit", "head").stdout, encoding="utf-8")
    offline = {"THEMELINE_DATABASE_URL": None}
    told = cli.json("audit", "verify", "--file", str(file), "--head", str(head), **offline)
    assert (told["sound"], told["rows"]) == (True, len(lines))
    file.write_text("\n".join(lines[:-2]) + "\n", encoding="utf-8")
    assert cli.json("audit", "verify", "--file", str(file), **offline)["sound"]
    cut = cli.run("audit", "verify", "--file", str(file), "--head", str(head), **offline)
    assert (cut.exit_code, f"broken at row {len(lines) - 1}" in cut.stderr) == (1, True)
    file.write_text(
        "\n".join([*lines[:3], lines[3].replace('"comment":"', '"comment":"!'), *lines[4:]]), encoding="utf-8"
    )
    assert cli.run("audit", "verify", "--file", str(file), **offline).exit_code == 1


def test_export_of_a_theme_is_verified_as_a_part(story: Scene, cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "theme.jsonl"
    lines = exported(cli, file, "--theme", KEY)
    with story.begin() as session:
        assert [json.loads(line)["seq"] for line in lines] == [row.seq for row in audit.audit_of_theme(session, KEY)]
    assert cli.run("audit", "verify", "--file", str(file)).exit_code == 1
    assert cli.json("audit", "verify", "--file", str(file), "--part")["rows"] == len(lines)


def test_export_since_a_time_begins_there(story: Scene, cli: CommandLine, tmp_path: Path) -> None:
    since = story.audit("return_to_drafter")[0].at
    lines = exported(cli, tmp_path / "late.jsonl", "--since", since.isoformat())
    assert [json.loads(line)["seq"] for line in lines] == [row.seq for row in story.audit() if row.at >= since]
    assert len(lines) < len(story.audit())


def test_signatures_are_printed_with_the_name_of_then_in_the_zone_of_the_theme(story: Scene, cli: CommandLine) -> None:
    story.run(
        "UPDATE people SET name = 'Somebody Else' WHERE login = 'bob'", "UPDATE themes SET timezone = 'Asia/Shanghai'"
    )
    signed = cli.json("audit", "export", "--signatures", "--theme", KEY)
    rows = [row for row in story.audit() if row.meaning and row.theme_key == KEY]
    assert [(one["seq"], one["row_hash"], one["object_hash"]) for one in signed] == [
        (row.seq, row.hash, row.object_hash) for row in rows
    ]
    assert {one["name"] for one in signed} == {"Bob", "Carl", "Cyn"}
    assert [datetime.fromisoformat(one["signed_at"]) for one in signed] == [row.at for row in rows]
    assert all(one["signed_at"].endswith("+08:00") for one in signed)
    shown = cli.run("audit", "export", "--signatures", "--theme", KEY).stdout.splitlines()
    assert len(shown) == len(signed)
    assert "Bob (bob)" in shown[0]


def test_whole_export_is_one_json_document_if_asked(story: Scene, cli: CommandLine) -> None:
    assert [row["seq"] for row in cli.json("audit", "export")] == [row.seq for row in story.audit()]
    assert cli.json("audit", "export", "--since", "2099-01-01T00:00+00:00") == []


REFUSED_EXPORTS = [
    (["export", "--theme", "womens-day-2072"], "no theme"),
    (["export", "--since", "yesterday"], "is no time"),
    (["export", "--since", "2027-03-06T09:00"], "has no zone"),
    (["verify", "--file", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
    (["verify", "--part"], "name it with --file"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED_EXPORTS, ids=[row[1] for row in REFUSED_EXPORTS])
def test_export_or_check_of_what_is_not_there_is_refused(cli: CommandLine, words: list[str], message: str) -> None:
    assert message in cli.refusal("audit", *words)


def test_line_with_half_a_character_is_told_as_an_unreadable_file(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "latin.jsonl"
    file.write_bytes(b"\xe9\n")
    assert "cannot be read" in cli.refusal("audit", "verify", "--file", str(file))
