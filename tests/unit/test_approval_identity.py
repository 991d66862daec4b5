from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approval.errors import CodeReused, CodeWrong, NotEnrolled, PersonLocked
from approval.identity import CodeTries, code_at, enrol, steps_in_reach, time_step, verify

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # the ASCII secret 12345678901234567890 of RFC 6238, appendix B
NOW = datetime(2027, 3, 1, 12, 0, 10, tzinfo=UTC)
STEP = timedelta(seconds=30)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    # the last six of the eight digits of RFC 6238, appendix B
    moment = datetime.fromtimestamp(seconds, tz=UTC)
    assert code_at(SECRET, moment) == code
    assert verify(SECRET, code, login="carl", now=moment, drift_steps=0, used_steps=()) == seconds // 30


@pytest.mark.parametrize(
    ("steps_off", "drift", "taken"),
    [
        (0, 0, True),
        (-1, 0, False),
        (1, 0, False),
        (-1, 1, True),  # the phone is a little late
        (1, 1, True),  # or a little early
        (-2, 1, False),
        (2, 1, False),
        (-2, 2, True),
    ],
)
def test_a_code_is_taken_within_the_drift_only(steps_off: int, drift: int, taken: bool) -> None:  # noqa: FBT001 - the expectation
    shown = code_at(SECRET, NOW + steps_off * STEP)
    if taken:
        step = verify(SECRET, shown, login="carl", now=NOW, drift_steps=drift, used_steps=())
        assert step == time_step(NOW) + steps_off
    else:
        with pytest.raises(CodeWrong):
            verify(SECRET, shown, login="carl", now=NOW, drift_steps=drift, used_steps=())


def test_a_code_works_once() -> None:
    shown = code_at(SECRET, NOW)
    step = verify(SECRET, shown, login="carl", now=NOW, drift_steps=1, used_steps=set())
    with pytest.raises(CodeReused):
        verify(SECRET, shown, login="carl", now=NOW + STEP, drift_steps=1, used_steps={step})


def test_the_next_code_works_after_one_was_used() -> None:
    later = NOW + STEP
    step = verify(SECRET, code_at(SECRET, later), login="carl", now=later, drift_steps=1, used_steps={time_step(NOW)})
    assert step == time_step(later)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "12345\n", "000000 OR 1=1"])
def test_what_is_no_code_is_a_wrong_code(code: str) -> None:
    with pytest.raises(CodeWrong):
        verify(SECRET, code, login="carl", now=NOW, drift_steps=1, used_steps=())


def test_a_code_may_be_typed_with_the_gap_that_the_app_shows() -> None:
    shown = code_at(SECRET, NOW)
    typed = f" {shown[:3]} {shown[3:]}"
    assert verify(SECRET, typed, login="carl", now=NOW, drift_steps=0, used_steps=()) == time_step(NOW)


@pytest.mark.parametrize("secret", [None, ""])
def test_somebody_without_a_secret_cannot_sign(secret: str | None) -> None:
    with pytest.raises(NotEnrolled, match="themeline people enrol carl"):
        verify(secret, "123456", login="carl", now=NOW, drift_steps=1, used_steps=())


def test_the_code_of_one_person_is_not_that_of_another() -> None:
    theirs, mine = enrol("bob"), enrol("carl")
    assert theirs.secret != mine.secret
    # two secrets agree on one code in a million; on three in a row they do not
    moments = [NOW + index * STEP for index in range(3)]
    assert [code_at(theirs.secret, moment) for moment in moments] != [
        code_at(mine.secret, moment) for moment in moments
    ]


def test_the_link_enrols_any_authenticator_app() -> None:
    enrolment = enrol("陈 carl@eu")
    link = urlparse(enrolment.uri)
    values = parse_qs(link.query)
    assert (link.scheme, link.netloc) == ("otpauth", "totp")
    assert unquote(link.path) == "/Themeline:陈 carl@eu"
    assert values["secret"] == [enrolment.secret]
    assert values["issuer"] == ["Themeline"]
    # absent means the defaults of every app: SHA-1, six digits, 30 seconds
    assert values.get("digits", ["6"]) == ["6"]
    assert values.get("period", ["30"]) == ["30"]


def test_the_terminal_shows_a_square_picture_of_the_link() -> None:
    lines = enrol("carl").qr_code().splitlines()
    assert len(lines) > 15
    assert any("▀" in line or "▄" in line or "█" in line for line in lines)


def test_neither_secret_nor_link_shows_in_a_repr() -> None:
    enrolment = enrol("carl")
    assert enrolment.secret not in repr(enrolment)


def test_used_steps_out_of_reach_can_be_forgotten() -> None:
    current = time_step(NOW)
    assert list(steps_in_reach(NOW, 1)) == [current - 1, current, current + 1]


@pytest.mark.parametrize(
    ("wrong_before", "locks"),
    [(0, False), (3, False), (4, True)],  # the fifth locks
)
def test_wrong_codes_in_a_row_lock_a_person(wrong_before: int, locks: bool) -> None:  # noqa: FBT001 - the expectation
    tries = CodeTries(wrong=wrong_before).after_wrong(now=NOW, limit=5, lock=timedelta(minutes=15))
    assert (tries.locked_until == NOW + timedelta(minutes=15)) is locks
    assert tries.wrong == (0 if locks else wrong_before + 1)


@pytest.mark.parametrize(
    ("after", "locked"),
    [(timedelta(0), True), (timedelta(minutes=14, seconds=59), True), (timedelta(minutes=15), False)],
)
def test_a_lock_ends_by_itself(after: timedelta, locked: bool) -> None:  # noqa: FBT001 - the expectation
    tries = CodeTries(locked_until=NOW + timedelta(minutes=15))
    if not locked:
        tries.check(login="carl", now=NOW + after)
        return
    with pytest.raises(PersonLocked) as refused:
        tries.check(login="carl", now=NOW + after)
    assert (refused.value.login, refused.value.until) == ("carl", NOW + timedelta(minutes=15))


def test_after_a_lock_the_count_begins_anew() -> None:
    tries = CodeTries(locked_until=NOW).after_wrong(now=NOW + STEP, limit=5, lock=STEP)
    assert tries == CodeTries(wrong=1)


@given(st.integers(0, 4_000_000_000), st.integers(0, 3), st.integers(-3, 3))
def test_no_code_is_ever_taken_twice(seconds: int, drift: int, steps_off: int) -> None:
    moment = datetime.fromtimestamp(seconds + 90, tz=UTC)
    shown = code_at(SECRET, moment + steps_off * STEP)
    used: set[int] = set()
    taken = 0
    for _ in range(3):
        try:
            used.add(verify(SECRET, shown, login="carl", now=moment, drift_steps=drift, used_steps=used))
            taken += 1
        except (CodeReused, CodeWrong):
            continue
    reachable = {step for step in steps_in_reach(moment, drift) if code_at(SECRET, _start(step)) == shown}
    assert taken == min(3, len(reachable)) == len(used)


def _start(step: int) -> datetime:
    return datetime.fromtimestamp(step * 30, tz=UTC)
