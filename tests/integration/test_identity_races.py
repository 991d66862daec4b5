"""One person's codes at once, on a real PostgreSQL: wrong ones, right ones, and new secrets in between."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from approval.errors import ApprovalError, CodeReused, CodeWrong, PersonDisabled, PersonLocked
from approval.service import people as service
from approval.service.people import disable_person, enrol_person, identify, unlock_person
from models.person import Person
from models.queries import people as queries
from models.queries import themes
from tests.integration.scene import KEY, Scene

AT_ONCE = 10
PATIENCE = 20


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield pool


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """People are read without the lock, as if it had been forgotten."""
    read = queries.person_by_login
    monkeypatch.setattr(queries, "person_by_login", lambda session, login, **_: read(session, login))


def signing(scene: Scene, code: str, login: str = "bob") -> Callable[[], str]:
    def sign() -> str:
        try:
            with scene.begin() as session:
                identify(session, login=login, code=code, rules=scene.rules, now=scene.now)
        except ApprovalError as refused:
            return type(refused).__name__
        return "signed"

    return sign


def at_once(pool: ThreadPoolExecutor, *acts: Callable[[], str]) -> list[str]:
    together = Barrier(len(acts))

    def run(act: Callable[[], str]) -> str:
        together.wait(PATIENCE)
        return act()

    return sorted(pool.map(run, acts))


def until_waiting(scene: Scene, *, sessions: int = 1) -> None:
    """Until so many sessions of this database wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + PATIENCE
    while True:
        with scene.begin() as session:
            if (session.scalar(text(query)) or 0) >= sessions:
                return
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.02)


def meeting_at_the_used_steps(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Nobody goes on before all have read the person and the codes that are used up."""
    read, meeting = queries.used_steps, Barrier(count)

    def read_and_meet(session: Session, person_id: int, *, since_step: int) -> frozenset[int]:
        used = read(session, person_id, since_step=since_step)
        meeting.wait(PATIENCE)
        return used

    monkeypatch.setattr(queries, "used_steps", read_and_meet)


# wrong codes


def test_of_ten_wrong_codes_at_once_five_are_tried_and_the_others_meet_the_lock(
    scene: Scene, pool: ThreadPoolExecutor
) -> None:
    outcomes = at_once(pool, *[signing(scene, scene.wrong_code("bob"))] * AT_ONCE)
    assert outcomes == ["CodeWrong"] * 5 + ["PersonLocked"] * 5
    assert len(scene.alerts()) == len(scene.audit("lock_person")) == 1
    assert scene.verify().sound


@pytest.mark.usefixtures("unlocked")
def test_of_ten_wrong_codes_at_once_all_are_tried_where_the_person_is_not_locked(
    scene: Scene, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting_at_the_used_steps(monkeypatch, AT_ONCE)
    assert at_once(pool, *[signing(scene, scene.wrong_code("bob"))] * AT_ONCE) == ["CodeWrong"] * AT_ONCE


def test_wrong_codes_for_one_theme_count_while_another_theme_is_signed(scene: Scene) -> None:
    scene.draft()
    with scene.begin() as session:
        themes.theme_by_key(session, KEY, lock=True)
        with pytest.raises(CodeWrong):
            identify(session, login="bob", code=scene.wrong_code("bob"), rules=scene.rules, now=scene.now)
        session.rollback()
    assert scene.person("bob").wrong_codes == 1


# a right code, and a lock that falls


def test_right_code_that_is_under_way_when_the_lock_falls_does_not_sign(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, wrong = service._try_code, signing(scene, scene.wrong_code("bob"))

    def tried_and_then_locked(session: Session, login: str, code: str, *rest: object) -> None:
        tried(session, login, code, *rest)  # type: ignore[arg-type]
        monkeypatch.undo()
        assert [wrong() for _ in range(5)] == ["CodeWrong"] * 5

    monkeypatch.setattr(service, "_try_code", tried_and_then_locked)
    with scene.begin() as session, pytest.raises(PersonLocked):
        identify(session, login="bob", code=scene.code("bob"), rules=scene.rules, now=scene.now)


def test_wrong_codes_wait_while_a_right_one_signs(scene: Scene, pool: ThreadPoolExecutor) -> None:
    wrong = signing(scene, scene.wrong_code("bob"))
    with scene.begin() as session:
        identify(session, login="bob", code=scene.code("bob"), rules=scene.rules, now=scene.now)
        late = [pool.submit(wrong) for _ in range(5)]
        until_waiting(scene, sessions=5)
        assert scene.audit("lock_person") == []
    assert [one.result(PATIENCE) for one in late] == ["CodeWrong"] * 5
    assert scene.person("bob").locked_until is not None


@pytest.mark.usefixtures("unlocked")
def test_wrong_codes_lock_a_person_who_is_just_signing_where_she_is_not_locked_by_the_signature(scene: Scene) -> None:
    wrong = signing(scene, scene.wrong_code("bob"))
    with scene.begin() as session:
        identify(session, login="bob", code=scene.code("bob"), rules=scene.rules, now=scene.now)
        assert [wrong() for _ in range(5)] == ["CodeWrong"] * 5
        assert len(scene.audit("lock_person")) == 1
        session.rollback()


# one code, many signatures


def test_same_code_ten_times_at_once_signs_once(scene: Scene, pool: ThreadPoolExecutor) -> None:
    assert at_once(pool, *[signing(scene, scene.code("bob"))] * AT_ONCE) == ["CodeReused"] * 9 + ["signed"]


def test_same_code_at_once_signs_once_by_the_lock_alone(scene: Scene, pool: ThreadPoolExecutor) -> None:
    scene.run("ALTER TABLE used_codes DROP CONSTRAINT pk_used_codes")
    assert at_once(pool, *[signing(scene, scene.code("bob"))] * AT_ONCE) == ["CodeReused"] * 9 + ["signed"]


@pytest.mark.usefixtures("unlocked")
def test_same_code_at_once_signs_once_by_the_primary_key_alone(scene: Scene, pool: ThreadPoolExecutor) -> None:
    assert at_once(pool, *[signing(scene, scene.code("bob"))] * AT_ONCE) == ["CodeReused"] * 9 + ["signed"]


@pytest.mark.usefixtures("unlocked")
def test_same_code_at_once_signs_every_time_without_both(
    scene: Scene, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run("ALTER TABLE used_codes DROP CONSTRAINT pk_used_codes")
    meeting_at_the_used_steps(monkeypatch, AT_ONCE)
    assert at_once(pool, *[signing(scene, scene.code("bob"))] * AT_ONCE) == ["signed"] * AT_ONCE


# what else changes a person


CHANGES: dict[str, Callable[[Session, Scene], object]] = {
    "enrolled anew": lambda session, scene: enrol_person(
        session, login="bob", by="root", cipher=scene.rules.cipher, now=scene.now
    ),
    "disabled": lambda session, scene: disable_person(session, login="bob", by="root", now=scene.now),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_of_a_person_waits_until_she_has_signed(
    scene: Scene, pool: ThreadPoolExecutor, change: Callable[[Session, Scene], object]
) -> None:
    secret = scene.person("bob").totp_secret

    def do() -> object:
        with scene.begin() as session:
            return change(session, scene)

    with scene.begin() as session:
        identify(session, login="bob", code=scene.code("bob"), rules=scene.rules, now=scene.now)
        doing: Future[object] = pool.submit(do)
        until_waiting(scene)
        assert (scene.person("bob").totp_secret, scene.person("bob").disabled_at) == (secret, None)
    doing.result(PATIENCE)
    assert (scene.person("bob").totp_secret, scene.person("bob").disabled_at) != (secret, None)


REFUSED = {"enrolled anew": CodeWrong, "disabled": PersonDisabled}


@pytest.mark.parametrize(("change", "refusal"), REFUSED.items(), ids=REFUSED)
def test_code_that_arrives_while_a_person_is_changed_meets_the_change(
    scene: Scene, pool: ThreadPoolExecutor, change: str, refusal: type[Exception]
) -> None:
    with scene.begin() as session:
        CHANGES[change](session, scene)
        late = pool.submit(signing(scene, scene.code("bob")))
        until_waiting(scene)
    assert late.result(PATIENCE) == refusal.__name__


def test_secret_renewed_between_the_trial_of_a_code_and_its_use_is_the_one_that_counts(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = service._try_code

    def tried_and_then_renewed(session: Session, login: str, code: str, *rest: object) -> None:
        tried(session, login, code, *rest)  # type: ignore[arg-type]
        with scene.begin() as other:
            enrol_person(other, login=login, by="root", cipher=scene.rules.cipher, now=scene.now)

    monkeypatch.setattr(service, "_try_code", tried_and_then_renewed)
    with scene.begin() as session, pytest.raises(CodeWrong):
        identify(session, login="bob", code=scene.code("bob"), rules=scene.rules, now=scene.now)


def test_person_loaded_before_the_lock_fell_is_not_trusted(scene: Scene) -> None:
    wrong = signing(scene, scene.wrong_code("bob"))
    with scene.begin() as session:
        stale = queries.person_by_login(session, "bob")
        assert isinstance(stale, Person)
        assert [wrong() for _ in range(5)] == ["CodeWrong"] * 5
        assert stale.locked_until is None
        with pytest.raises(PersonLocked):
            identify(session, login="bob", code=scene.code("bob"), rules=scene.rules, now=scene.now)


def test_unlocked_person_signs_again_and_has_all_her_tries(scene: Scene) -> None:
    wrong = signing(scene, scene.wrong_code("bob"))
    assert [wrong() for _ in range(6)] == ["CodeWrong"] * 5 + ["PersonLocked"]
    with scene.begin() as session:
        unlock_person(session, login="bob", by="root", now=scene.now)
    assert [wrong() for _ in range(4)] == ["CodeWrong"] * 4
    assert signing(scene, scene.code("bob"))() == "signed"
    assert [row.act for row in scene.audit()][-2:] == ["lock_person", "unlock_person"]


def test_code_used_in_a_transaction_that_failed_can_be_used_again(scene: Scene) -> None:
    with scene.begin() as session:
        identify(session, login="bob", code=scene.code("bob"), rules=scene.rules, now=scene.now)
        session.rollback()
    assert signing(scene, scene.code("bob"))() == "signed"
    with scene.begin() as session, pytest.raises(CodeReused):
        identify(session, login="bob", code=scene.code("bob"), rules=scene.rules, now=scene.now)
