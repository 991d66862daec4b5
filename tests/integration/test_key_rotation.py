"""A new key beside the old one, everything put under it, and the old one dropped."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary

from approval.errors import SecretUnreadable
from approval.secrecy import Cipher, new_key
from approval.service.people import enrol_person, identify
from approval.service.rotation import Rotated, rotate_batch
from models import tables
from models.queries import provider_accounts
from models.queries.secrets import Secrets
from tests.integration.command_line import CommandLine, command_line_over
from tests.integration.scene import PEOPLE, Scene

OLD, NEW = new_key(), new_key()
BOTH = Cipher([NEW, OLD])


@pytest.fixture
def old(scene: Scene) -> Scene:
    """Everything is under the old key."""
    cipher = Cipher([OLD])
    with scene.begin() as session:
        for login in PEOPLE:
            enrolment = enrol_person(session, login=login, by="root", cipher=cipher, now=scene.now)
            scene.secrets[login] = enrolment.secret
        for account in provider_accounts.accounts(session):
            account.secrets = cipher.encrypt(json.dumps({"word": account.key}))
    scene.rules = replace(scene.rules, cipher=cipher)
    return scene


@pytest.fixture
def cli(scene: Scene, tmp_path: Path) -> Iterator[CommandLine]:
    with command_line_over(scene.database, tmp_path, THEMELINE_SECRET_KEY=f"{NEW},{OLD}") as cli:
        yield cli


def rotate(scene: Scene, kept: Secrets, *, after_id: int = 0, limit: int = 100, cipher: Cipher = BOTH) -> Rotated:
    with scene.begin() as session:
        return rotate_batch(session, kept=kept, cipher=cipher, after_id=after_id, limit=limit, by="root", now=scene.now)


def signs(scene: Scene, key: str, login: str) -> None:
    rules = replace(scene.rules, cipher=Cipher([key]))
    with scene.begin() as session:
        identify(session, login=login, code=scene.code(login), rules=rules, now=scene.now)
        session.rollback()


def words(scene: Scene, key: str) -> list[str]:
    cipher = Cipher([key])
    with scene.begin() as session:
        kept = provider_accounts.accounts(session)
        return [json.loads(cipher.decrypt(account.secrets or b""))["word"] for account in kept]


def test_old_key_can_be_dropped_after_the_verb_and_not_before(old: Scene, cli: CommandLine) -> None:
    with pytest.raises(SecretUnreadable):
        signs(old, NEW, "bob")
    told = cli.json("people", "rotate-key", "--batch", "3")
    assert told == {
        "people": {"rewritten": len(PEOPLE), "current": 0, "unreadable": []},
        "provider_accounts": {"rewritten": 4, "current": 0, "unreadable": []},
        "callback_endpoints": {"rewritten": 0, "current": 0, "unreadable": []},
    }
    for login in PEOPLE:
        signs(old, NEW, login)
    assert words(old, NEW) == ["mail-main", "push-main", "sms-main", "wechat-main"]
    with pytest.raises(SecretUnreadable):
        signs(old, OLD, "bob")


def test_second_rotation_finds_nothing_to_do_and_writes_nothing(old: Scene, cli: CommandLine) -> None:
    cli.json("people", "rotate-key")
    before, audit = old.person("bob").totp_secret, len(old.audit())
    again = cli.json("people", "rotate-key")
    assert again["people"] == {"rewritten": 0, "current": len(PEOPLE), "unreadable": []}
    assert (old.person("bob").totp_secret, len(old.audit())) == (before, audit)


def test_rotation_that_was_killed_goes_on_where_it_was(old: Scene, cli: CommandLine) -> None:
    first = rotate(old, Secrets.PEOPLE, limit=3)
    assert (first.rewritten, first.last_id is not None) == (3, True)
    with old.begin() as session:  # killed inside its second batch
        rotate_batch(
            session, kept=Secrets.PEOPLE, cipher=BOTH, after_id=first.last_id or 0, limit=3, by="root", now=old.now
        )
        session.rollback()
    told = cli.json("people", "rotate-key", "--batch", "3")
    assert told["people"] == {"rewritten": len(PEOPLE) - 3, "current": 3, "unreadable": []}
    for login in PEOPLE:
        signs(old, NEW, login)


def test_each_batch_is_on_record_with_its_figure_and_without_any_secret(old: Scene, cli: CommandLine) -> None:
    cli.json("people", "rotate-key", "--batch", "5")
    rows = old.audit("rotate_key")
    assert [(row.object_key, row.details) for row in rows] == [
        ("people", {"rewritten": 5}),
        ("people", {"rewritten": 2}),
        ("provider_accounts", {"rewritten": 4}),
    ]
    assert all(row.actor.startswith("console:") for row in rows)
    assert old.verify().sound


def test_secret_that_no_key_opens_is_named_left_alone_and_keeps_the_others_from_nothing(
    old: Scene, cli: CommandLine
) -> None:
    with old.begin() as session:
        enrol_person(session, login="dan", by="root", cipher=Cipher([new_key()]), now=old.now)
    before = old.person("dan").totp_secret
    outcome = cli.run("people", "rotate-key")
    assert outcome.exit_code == 1
    assert "no key opens the secrets of dan" in outcome.stderr
    assert old.person("dan").totp_secret == before
    signs(old, NEW, "bob")


def test_person_without_a_secret_is_passed_over(old: Scene) -> None:
    old.run("UPDATE people SET totp_secret = NULL WHERE login = 'bob'")
    assert rotate(old, Secrets.PEOPLE).rewritten == len(PEOPLE) - 1


def test_rotation_without_a_key_is_refused(cli: CommandLine) -> None:
    assert "THEMELINE_SECRET_KEY" in cli.refusal("people", "rotate-key", THEMELINE_SECRET_KEY=None)


def test_every_encrypted_column_is_among_those_that_are_rotated() -> None:
    encrypted = {
        (table.name, column.name)
        for table in tables.Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert encrypted == {
        ("people", "totp_secret"),
        ("provider_accounts", "secrets"),
        ("callback_endpoints", "secret"),
    }
