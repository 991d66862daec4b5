"""`themeline people`: what each verb does, what it writes down, and what it refuses."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy.orm import Session

from approval.people_errors import (
    LimitUnknown,
    ManagerInvalid,
    SubstituteDisabled,
    SubstituteIsOneself,
    SubstitutionMissing,
    SubstitutionOverlaps,
    SubstitutionPeriodInvalid,
)
from approval.service import people as service
from models.queries import people as queries
from tests.integration.command_line import CommandLine
from tests.integration.scene import LINE, Scene

DAY = timedelta(days=1)


@pytest.fixture
def soon() -> datetime:
    """The command line goes by the real clock."""
    return datetime.now(UTC).replace(microsecond=0) + DAY


def listed(cli: CommandLine, login: str) -> Any:
    return next(row for row in cli.json("people", "list") if row["login"] == login)


def test_person_is_added_with_everything_at_once(scene: Scene, cli: CommandLine) -> None:
    words = ["--name", " 陈思远 ", "--email", "Chen@Example.COM", "--phone", "+44 7700 900123", "--role", "finance"]
    told = cli.json("people", "add", "陈_Siyuan", *words, "--locale", "zh", "--manager", "dan", "--product-line", LINE)
    assert told["enrolment_link"].startswith("otpauth://totp/")
    row = listed(cli, "陈_Siyuan")
    assert (row["name"], row["roles"], row["locale"]) == ("陈思远", ["finance"], "zh")
    assert (row["manager"], row["product_lines"], row["substitutes"]) == ("dan", [LINE], [])
    person = scene.person("陈_Siyuan")
    assert (person.email, person.phone) == ("chen@example.com", "+447700900123")
    acts = [row for row in scene.audit() if row.object_key == "陈_Siyuan"]
    assert [row.act for row in acts] == ["add_person", "set_manager", "limit_person"]
    assert all(row.actor.startswith("console:") for row in acts)


REFUSED_ADDITIONS = [
    # what is wrong, and the words of the message
    (["--email", "nobody"], "the @ is missing"),
    (["--phone", "07700 900123"], "a phone number starts with +"),
    (["--locale", "fr"], "no language 'fr'; there is: en, zh"),
    (["--role", "role:x"], "'role:x' is no name of a role"),
    (["--manager", "dann"], "did you mean 'dan'"),
    (["--product-line", "giftware"], "did you mean 'giftware-eu'"),
    (["--name", " "], "a name is not empty"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED_ADDITIONS, ids=[row[1] for row in REFUSED_ADDITIONS])
def test_person_who_cannot_be_so_is_not_added(scene: Scene, cli: CommandLine, words: list[str], message: str) -> None:
    before = len(scene.audit())
    assert message in cli.refusal("people", "add", "eve", "--name", "Eve", *words)
    assert (len(scene.audit()), len(cli.json("people", "list"))) == (before, 7)


@pytest.mark.parametrize("login", ["system:timeout", "console:root", "role:finance", "two words", ""])
def test_login_that_the_record_could_take_for_something_else_is_refused(cli: CommandLine, login: str) -> None:
    assert "a login is one word" in cli.refusal("people", "add", login, "--name", "Eve")


def test_particulars_are_changed_and_the_record_says_which_but_not_what_they_were(
    scene: Scene, cli: CommandLine
) -> None:
    told = cli.json("people", "change", "bob", "--name", "Bob B.", "--email", "b@example.com", "--locale", "zh")
    assert told == {"login": "bob", "changed": ["email", "locale", "name"]}
    assert cli.json("people", "change", "bob", "--email", "")["changed"] == ["email"]
    assert cli.json("people", "change", "bob", "--name", "Bob B.")["changed"] == []
    assert scene.person("bob").email is None
    assert [row.details for row in scene.audit("change_person")] == [
        {"changed": ["email", "locale", "name"]},
        {"changed": ["email"]},
    ]
    assert "nothing to change" in cli.refusal("people", "change", "bob")


def test_roles_are_granted_and_revoked(scene: Scene, cli: CommandLine) -> None:
    assert cli.json("people", "grant", "bob", "finance")["granted"]
    assert not cli.json("people", "grant", "bob", "finance")["granted"]
    assert listed(cli, "bob")["roles"] == ["finance", "operations"]
    assert "did you mean 'operations'" in cli.refusal("people", "revoke", "bob", "operation")
    cli.json("people", "revoke", "bob", "operations")
    assert listed(cli, "bob")["roles"] == ["finance"]
    assert [(row.act, row.details["role"]) for row in scene.audit() if "role" in row.details] == [
        ("grant_role", "finance"),
        ("revoke_role", "operations"),
    ]


def test_nobody_comes_to_be_above_herself(scene: Scene, cli: CommandLine) -> None:
    cli.json("people", "manager", "bob", "carl")
    cli.json("people", "manager", "carl", "dan")
    assert "bob → bob" not in cli.refusal("people", "manager", "bob", "bob")
    assert "dan → bob → carl → dan" in cli.refusal("people", "manager", "dan", "bob")
    cli.json("people", "manager", "carl", "--none")
    assert listed(cli, "carl")["manager"] is None
    cli.json("people", "manager", "dan", "bob")
    assert [row.details["manager"] for row in scene.audit("set_manager")] == ["carl", "dan", None, "bob"]


@pytest.mark.parametrize("words", [[], ["carl", "--none"]])
def test_manager_is_named_or_taken_away_not_both(cli: CommandLine, words: list[str]) -> None:
    assert "give --none" in cli.refusal("people", "manager", "bob", *words)


def make_each_other_managers(scene: Scene) -> list[str]:
    together = Barrier(2)

    def above(login: str, manager: str) -> str:
        together.wait(20)
        try:
            with scene.begin() as session:
                service.set_manager(session, login=login, manager=manager, by="root", now=scene.now)
        except ManagerInvalid:
            return "refused"
        return "set"

    with ThreadPoolExecutor(2) as pool:
        return sorted(pool.map(above, ("bob", "carl"), ("carl", "bob")))


def test_two_changes_at_once_close_no_circle(scene: Scene) -> None:
    assert make_each_other_managers(scene) == ["refused", "set"]


def test_two_changes_at_once_close_a_circle_without_the_lock(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    read, meeting = queries.managers, Barrier(2)

    def read_and_meet(session: Session) -> dict[int, int]:
        found = read(session)
        meeting.wait(20)
        return found

    monkeypatch.setattr(queries, "lock_managers", lambda _: None)
    monkeypatch.setattr(queries, "managers", read_and_meet)
    assert make_each_other_managers(scene) == ["set", "set"]


def test_limits_are_set_and_lifted(scene: Scene, cli: CommandLine) -> None:
    cli.json("people", "limit", "bob", LINE)
    cli.json("people", "limit", "bob", LINE)
    assert listed(cli, "bob")["product_lines"] == [LINE]
    cli.json("people", "limit", "bob")
    assert listed(cli, "bob")["product_lines"] == []
    assert [row.details for row in scene.audit("limit_person")] == [{"product_lines": [LINE]}, {"product_lines": []}]
    with scene.begin() as session, pytest.raises(LimitUnknown, match="did you mean 'giftware-eu'"):
        service.limit_to_lines(session, login="bob", product_lines=["giftware"], by="root", now=scene.now)


def test_substitute_is_set_shown_and_ended(scene: Scene, cli: CommandLine, soon: datetime) -> None:
    period = ["--from", soon.isoformat(), "--until", (soon + DAY).isoformat()]
    cli.json("people", "substitute", "bob", "carl", *period)
    later = ["--from", (soon + DAY).isoformat(), "--until", (soon + 2 * DAY).isoformat()]
    cli.json("people", "substitute", "bob", "cyn", *later)
    shown = listed(cli, "bob")["substitutes"]
    assert [(one["login"], one["from"]) for one in shown] == [
        ("carl", soon.isoformat()),
        ("cyn", (soon + DAY).isoformat()),
    ]
    assert "carl stands in for bob already" in cli.refusal("people", "substitute", "bob", "dan", *period)
    assert cli.json("people", "end-substitute", "bob", "carl")["ended"] == ["carl"]
    assert cli.json("people", "end-substitute", "bob")["ended"] == ["cyn"]
    assert "nothing to end" in cli.refusal("people", "end-substitute", "bob")
    acts = [(row.act, row.details["substitute"]) for row in scene.audit() if "substitute" in row.details]
    assert acts == [
        ("set_substitute", "carl"),
        ("set_substitute", "cyn"),
        *(("end_substitute", x) for x in ("carl", "cyn")),
    ]


def substitute(scene: Scene, login: str, by: str, starts: timedelta, ends: timedelta) -> None:
    with scene.begin() as session:
        service.set_substitute(
            session,
            login=login,
            substitute=by,
            starts_at=scene.now + starts,
            ends_at=scene.now + ends,
            by="root",
            now=scene.now,
        )


def test_substitute_who_cannot_be_is_refused_with_the_reason(scene: Scene) -> None:
    with scene.begin() as session:
        service.disable_person(session, login="dan", by="root", now=scene.now)
    before = len(scene.audit())
    for by, starts, ends, refusal in (
        ("bob", 0 * DAY, DAY, SubstituteIsOneself),
        ("dan", 0 * DAY, DAY, SubstituteDisabled),
        ("carl", DAY, DAY, SubstitutionPeriodInvalid),
        ("carl", 2 * DAY, DAY, SubstitutionPeriodInvalid),
        ("carl", -2 * DAY, -DAY, SubstitutionPeriodInvalid),
        ("carl", -DAY, 0 * DAY, SubstitutionPeriodInvalid),
    ):
        with pytest.raises(refusal):
            substitute(scene, "bob", by, starts, ends)
    assert len(scene.audit()) == before


def test_substitutions_that_touch_do_not_overlap(scene: Scene) -> None:
    substitute(scene, "bob", "carl", DAY, 2 * DAY)
    substitute(scene, "bob", "cyn", 2 * DAY, 3 * DAY)
    substitute(scene, "bob", "cyn", timedelta(), DAY)
    substitute(scene, "carl", "bob", DAY, 2 * DAY)  # somebody else's: two persons may stand in for each other
    with pytest.raises(SubstitutionOverlaps, match="carl stands in for bob"):
        substitute(scene, "bob", "cora", DAY + timedelta(hours=1), DAY + timedelta(hours=2))
    with pytest.raises(SubstitutionOverlaps):
        substitute(scene, "bob", "cora", timedelta(), 9 * DAY)


def test_substitute_stands_in_within_the_time_only_and_until_it_is_ended(scene: Scene) -> None:
    substitute(scene, "bob", "carl", DAY, 3 * DAY)
    bob = scene.person("bob").id

    def stands_in(after: timedelta) -> str | None:
        with scene.begin() as session:
            found = queries.substitute_of(session, bob, now=scene.now + after)
            return found.login if found else None

    assert [stands_in(after) for after in (timedelta(), DAY, 3 * DAY - timedelta(seconds=1), 3 * DAY)] == [
        None,
        "carl",
        "carl",
        None,
    ]
    with scene.begin() as session:
        service.end_substitute(session, login="bob", by="root", now=scene.now + 2 * DAY)
    assert stands_in(DAY) == "carl"  # so it was: the row stays for the record
    assert stands_in(2 * DAY) is None
    with scene.begin() as session, pytest.raises(SubstitutionMissing):
        service.end_substitute(session, login="bob", by="root", now=scene.now + 2 * DAY)


def test_locked_person_is_unlocked(scene: Scene, cli: CommandLine) -> None:
    scene.run("UPDATE people SET locked_until = now() + interval '1 hour' WHERE login = 'bob'")
    cli.json("people", "unlock", "bob")
    assert listed(cli, "bob")["locked_until"] is None
    assert len(scene.audit("unlock_person")) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["unlock"],
        ["enrol"],
        ["disable"],
        ["enable"],
        ["grant", "finance"],
        ["revoke", "finance"],
        ["manager", "dan"],
        ["limit"],
        ["end-substitute"],
        ["change", "--name", "B"],
    ],
    ids=lambda words: words[0],
)
def test_unknown_login_is_told_the_nearest_by_every_verb(cli: CommandLine, words: list[str]) -> None:
    verb, *rest = words
    assert "did you mean 'bob'" in cli.refusal("people", verb, "bobb", *rest)
