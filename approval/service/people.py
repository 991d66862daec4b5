"""People: who there is, what they may do, and whether it is they who speak."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from approval.chain import Directory
from approval.errors import CodeReused, CodeWrong, PersonDisabled, PersonExists, PersonUnknown, nearest
from approval.identity import CodeTries, Enrolment, enrol, steps_in_reach, verify
from approval.secrecy import Cipher
from approval.service.record import Act, write_down
from models.person import Person, PersonRole
from models.queries import alerts, people


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRules:
    """How one-time codes are checked; one value for an installation."""

    cipher: Cipher
    drift_steps: int
    wrong_codes: int
    lock: timedelta


def add_person(
    session: Session,
    *,
    login: str,
    name: str,
    email: str | None,
    phone: str | None,
    roles: Sequence[str],
    locale: str,
    by: str,
    cipher: Cipher,
    now: datetime,
) -> Enrolment:
    """A new person, and the secret for her authenticator app, which is shown this once.

    Raises:
        PersonExists: the login is taken.
    """
    if people.person_by_login(session, login):
        raise PersonExists(login=login)
    person = Person(login=login, name=name, email=email, phone=phone, locale=locale, created_at=now)
    person.roles = [PersonRole(role=role) for role in sorted(set(roles))]
    session.add(person)
    session.flush()
    write_down(session, _act("add_person", login, by, roles=sorted(set(roles))), now=now)
    return _enrol(person, cipher)


def enrol_person(session: Session, *, login: str, by: str, cipher: Cipher, now: datetime) -> Enrolment:
    """A new secret in place of the old one, which is worth nothing from now on."""
    person = require_person(session, login, lock=True)
    person.wrong_codes, person.locked_until = 0, None
    write_down(session, _act("enrol_person", login, by), now=now)
    return _enrol(person, cipher)


def disable_person(session: Session, *, login: str, by: str, now: datetime) -> None:
    person = require_person(session, login, lock=True)
    person.disabled_at = person.disabled_at or now
    write_down(session, _act("disable_person", login, by), now=now)


def enable_person(session: Session, *, login: str, by: str, now: datetime) -> None:
    person = require_person(session, login, lock=True)
    person.disabled_at = None
    write_down(session, _act("enable_person", login, by), now=now)


def require_person(session: Session, login: str, *, lock: bool = False) -> Person:
    """The person of a login.

    Raises:
        PersonUnknown: with the nearest login that there is.
    """
    if person := people.person_by_login(session, login, lock=lock):
        return person
    known = [somebody.login for somebody in people.everybody(session)]
    raise PersonUnknown(login=login, nearest=nearest(login, known))


def directory(session: Session) -> Directory:
    """Everybody, as the pure core wants to know it."""
    roles: defaultdict[str, list[str]] = defaultdict(list)
    enabled: dict[str, bool] = {}
    for person in people.everybody(session):
        enabled[person.login] = person.disabled_at is None
        for role in person.roles:
            roles[role.role].append(person.login)
    return Directory(enabled=enabled, roles=roles)


def identify(session: Session, *, login: str, code: str, rules: IdentityRules, now: datetime) -> Person:
    """The person who speaks. The code is used up in this transaction; a wrong one is counted whatever becomes of it.

    Raises:
        PersonUnknown, PersonDisabled, NotEnrolled, PersonLocked, CodeWrong, CodeReused
    """
    person = require_person(session, login)
    if person.disabled_at is not None:
        raise PersonDisabled(login=login)
    CodeTries(wrong=person.wrong_codes, locked_until=person.locked_until).check(login=login, now=now)
    try:
        step = _matching_step(session, person, code, rules, now)
    except CodeWrong:
        _count_wrong_code(session, login, rules, now)
        raise
    # Two answers at once may both have found the step unused: the primary key lets one of them have it.
    if not people.use_code(session, person.id, time_step=step, now=now):
        raise CodeReused
    person.wrong_codes, person.locked_until = 0, None
    return person


def _matching_step(session: Session, person: Person, code: str, rules: IdentityRules, now: datetime) -> int:
    secret = rules.cipher.decrypt(person.totp_secret) if person.totp_secret else None
    used = people.used_steps(session, person.id, since_step=steps_in_reach(now, rules.drift_steps).start)
    return verify(secret, code, login=person.login, now=now, drift_steps=rules.drift_steps, used_steps=used)


def _count_wrong_code(session: Session, login: str, rules: IdentityRules, now: datetime) -> None:
    """In a transaction of its own: the one that the code was meant for is rolled back."""
    with Session(session.get_bind()) as own, own.begin():
        person = require_person(own, login, lock=True)
        tries = CodeTries(wrong=person.wrong_codes, locked_until=person.locked_until)
        if tries.locked_until is not None and now < tries.locked_until:
            return  # it fell while this code was on its way: counting on from there would lift it
        tries = tries.after_wrong(now=now, limit=rules.wrong_codes, lock=rules.lock)
        person.wrong_codes, person.locked_until = tries.wrong, tries.locked_until
        if tries.locked_until is not None:
            until = tries.locked_until.isoformat(timespec="seconds")
            write_down(own, _act("lock_person", login, "system:identity", until=until), now=now)
            text = f"{rules.wrong_codes} wrong codes in a row for {login}; locked until {until}"
            alerts.raise_alert(
                own, key=f"locked:{login}:{until}", subject="person locked", text=text, now=now, theme_key=None
            )


def _enrol(person: Person, cipher: Cipher) -> Enrolment:
    enrolment = enrol(person.login)
    person.totp_secret = cipher.encrypt(enrolment.secret)
    return enrolment


def _act(act: str, login: str, by: str, **details: object) -> Act:
    return Act(act=act, actor=by, object_kind="person", object_key=login, details=details)
