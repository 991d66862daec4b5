"""People: who there is, what they may do, and whether it is they who speak."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from approval.chain import Directory
from approval.contact import Contact, check_login, check_role
from approval.errors import (
    CodeReused,
    CodeWrong,
    OtherProductLine,
    PersonDisabled,
    PersonExists,
    PersonUnknown,
    nearest,
)
from approval.identity import CodeTries, Enrolment, enrol, steps_in_reach, verify
from approval.people_errors import (
    LimitUnknown,
    ManagerInvalid,
    RoleNotHeld,
    SubstituteDisabled,
    SubstituteIsOneself,
    SubstitutionMissing,
    SubstitutionOverlaps,
    SubstitutionPeriodInvalid,
)
from approval.secrecy import Cipher
from approval.service.record import Act, write_down
from models.person import Person, PersonRole, Substitution
from models.queries import alerts, people, themes


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
        PeopleError: a particular, or a role, cannot be.
    """
    check_login(login)
    for role in roles:
        check_role(role)
    particulars = Contact(name=name, email=email or "", phone=phone or "", locale=locale).checked(login)
    if people.person_by_login(session, login):
        raise PersonExists(login=login)
    person = Person(login=login, created_at=now, **particulars)
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


def directory(session: Session, *, product_line_id: int | None = None) -> Directory:
    """Everybody, as the pure core wants to know it; on a product line, whoever is limited to others is not enabled."""
    roles: defaultdict[str, list[str]] = defaultdict(list)
    enabled: dict[str, bool] = {}
    for person in people.everybody(session):
        enabled[person.login] = person.disabled_at is None and may_act_on(person, product_line_id)
        for role in person.roles:
            roles[role.role].append(person.login)
    return Directory(enabled=enabled, roles=roles)


def may_act_on(person: Person, product_line_id: int | None) -> bool:
    """Whether no limit keeps a person from a product line."""
    limits = {line.product_line_id for line in person.lines}
    return not limits or product_line_id is None or product_line_id in limits


def require_line(session: Session, person: Person, product_line_id: int) -> None:
    """Raises OtherProductLine."""
    if not may_act_on(person, product_line_id):
        line = themes.product_line_by_id(session, product_line_id).key
        raise OtherProductLine(login=person.login, product_line=line)


def identify(session: Session, *, login: str, code: str, rules: IdentityRules, now: datetime) -> Person:
    """The person who speaks. The code is used up in this transaction; a wrong one is counted whatever becomes of it.

    From here to the end of the transaction the person is locked: no lock-out, no new secret and no disabling falls in
    between. Call it after the theme is locked and before anything is written to the audit.

    Raises:
        PersonUnknown, PersonDisabled, NotEnrolled, PersonLocked, CodeWrong, CodeReused
    """
    _try_code(session, login, code, rules, now)
    person = require_person(session, login, lock=True)
    step = _matching_step(session, person, code, rules, now)
    # The lock on the person lets one of two equal answers in at a time; the primary key holds even without it.
    if not people.use_code(session, person.id, time_step=step, now=now):
        raise CodeReused
    person.wrong_codes, person.locked_until = 0, None
    return person


def _matching_step(session: Session, person: Person, code: str, rules: IdentityRules, now: datetime) -> int:
    if person.disabled_at is not None:
        raise PersonDisabled(login=person.login)
    CodeTries(wrong=person.wrong_codes, locked_until=person.locked_until).check(login=person.login, now=now)
    secret = rules.cipher.decrypt(person.totp_secret) if person.totp_secret else None
    used = people.used_steps(session, person.id, since_step=steps_in_reach(now, rules.drift_steps).start)
    return verify(secret, code, login=person.login, now=now, drift_steps=rules.drift_steps, used_steps=used)


def _try_code(session: Session, login: str, code: str, rules: IdentityRules, now: datetime) -> None:
    """Try the code in a transaction of its own: the one that it is meant for is rolled back if the code is wrong.

    Trying and counting are one step under the lock on the person, so that no more codes can be tried at once than one
    after another. Raises what `identify` raises.
    """
    wrong: CodeWrong | None = None
    with Session(session.get_bind()) as own, own.begin():
        people.wait_briefly(own)
        person = require_person(own, login, lock=True)
        try:
            _matching_step(own, person, code, rules, now)
        except CodeWrong as refused:
            wrong = refused
            _one_more_wrong(own, person, rules, now)
    if wrong is not None:
        raise wrong


def _one_more_wrong(session: Session, person: Person, rules: IdentityRules, now: datetime) -> None:
    tries = CodeTries(wrong=person.wrong_codes, locked_until=person.locked_until)
    tries = tries.after_wrong(now=now, limit=rules.wrong_codes, lock=rules.lock)
    person.wrong_codes, person.locked_until = tries.wrong, tries.locked_until
    if tries.locked_until is None:
        return
    until = tries.locked_until.isoformat(timespec="seconds")
    write_down(session, _act("lock_person", person.login, "system:identity", until=until), now=now)
    text = f"{rules.wrong_codes} wrong codes in a row for {person.login}; locked until {until}"
    alerts.raise_alert(
        session, key=f"locked:{person.login}:{until}", subject="person locked", text=text, now=now, theme_key=None
    )


def _enrol(person: Person, cipher: Cipher) -> Enrolment:
    enrolment = enrol(person.login)
    person.totp_secret = cipher.encrypt(enrolment.secret)
    return enrolment


def _act(act: str, login: str, by: str, **details: object) -> Act:
    return Act(act=act, actor=by, object_kind="person", object_key=login, details=details)


def unlock_person(session: Session, *, login: str, by: str, now: datetime) -> None:
    """Lift a lock, and begin the count of wrong codes anew."""
    person = require_person(session, login, lock=True)
    person.wrong_codes, person.locked_until = 0, None
    write_down(session, _act("unlock_person", login, by), now=now)


def change_person(session: Session, *, login: str, changes: Contact, by: str, now: datetime) -> tuple[str, ...]:
    """New particulars in place of the old ones; returns which differ now. The record keeps which, not what they were.

    Raises:
        PersonUnknown, ContactInvalid, LocaleUnknown, NameMissing
    """
    person = require_person(session, login, lock=True)
    checked = changes.checked(login)
    changed = sorted(name for name, value in checked.items() if getattr(person, name) != value)
    for name in changed:
        setattr(person, name, checked[name])
    if changed:
        write_down(session, _act("change_person", login, by, changed=changed), now=now)
    return tuple(changed)


def set_manager(session: Session, *, login: str, manager: str | None, by: str, now: datetime) -> None:
    """Who is added when a question to this person is escalated; None for nobody.

    Raises:
        PersonUnknown, ManagerInvalid: somebody would be above herself.
    """
    people.lock_managers(session)
    person = require_person(session, login, lock=True)
    above = require_person(session, manager) if manager is not None else None
    if above is not None:
        _refuse_a_circle(session, person, above)
    manager_id = None if above is None else above.id
    if person.manager_id == manager_id:
        return
    person.manager_id = manager_id
    write_down(session, _act("set_manager", login, by, manager=manager), now=now)


def _refuse_a_circle(session: Session, person: Person, above: Person) -> None:
    line, managers = [above.id], people.managers(session)
    while line[-1] != person.id and line[-1] in managers:
        line.append(managers[line[-1]])
    if line[-1] == person.id:
        logins = people.logins(session)
        raise ManagerInvalid(login=person.login, manager=above.login, through=[logins[one] for one in line[1:]])


def grant_role(session: Session, *, login: str, role: str, by: str, now: datetime) -> bool:
    """False when the person has it already, and nothing was changed.

    Raises:
        PersonUnknown, RoleNameInvalid
    """
    person = require_person(session, login, lock=True)
    check_role(role)
    granted = people.add_role(session, person.id, role)
    if granted:
        session.expire(person, ["roles"])
        write_down(session, _act("grant_role", login, by, role=role), now=now)
    return granted


def revoke_role(session: Session, *, login: str, role: str, by: str, now: datetime) -> None:
    """Raises PersonUnknown, RoleNotHeld."""
    person = require_person(session, login, lock=True)
    if not people.remove_role(session, person.id, role):
        raise RoleNotHeld(login=login, role=role, held=people.roles_of(session, person.id))
    session.expire(person, ["roles"])
    write_down(session, _act("revoke_role", login, by, role=role), now=now)


def limit_to_lines(session: Session, *, login: str, product_lines: Sequence[str], by: str, now: datetime) -> None:
    """The product lines on which a person may decide and act; none for all of them.

    Raises:
        PersonUnknown, LimitUnknown
    """
    person = require_person(session, login, lock=True)
    wanted = sorted(set(product_lines))
    ids = [_product_line_id(session, key) for key in wanted]
    if wanted == list(people.limits(session, person.id)):
        return
    people.set_limits(session, person.id, ids)
    session.expire(person, ["lines"])
    write_down(session, _act("limit_person", login, by, product_lines=wanted), now=now)


def _product_line_id(session: Session, key: str) -> int:
    if found := themes.product_line_by_key(session, key):
        return found.id
    raise LimitUnknown(key=key, known=themes.product_line_keys(session))


def set_substitute(
    session: Session,
    *,
    login: str,
    substitute: str,
    starts_at: datetime,
    ends_at: datetime,
    by: str,
    now: datetime,
) -> None:
    """Questions that open for a person in this time are put to the substitute. `ends_at` is not part of it.

    Raises:
        PersonUnknown, SubstituteRefused
    """
    person = require_person(session, login, lock=True)
    other = require_person(session, substitute)
    if other.id == person.id:
        raise SubstituteIsOneself(login=login)
    if other.disabled_at is not None:
        raise SubstituteDisabled(substitute=substitute)
    if ends_at <= starts_at or ends_at <= now:
        raise SubstitutionPeriodInvalid(starts_at=starts_at, ends_at=ends_at, now=now)
    for one, stand_in in people.substitutions(session, since=max(starts_at, now), person_id=person.id):
        if one.starts_at < ends_at:
            raise SubstitutionOverlaps(login=login, substitute=stand_in, starts_at=one.starts_at, ends_at=one.ends_at)
    session.add(
        Substitution(
            person_id=person.id, substitute_id=other.id, starts_at=starts_at, ends_at=ends_at, set_by=by, set_at=now
        )
    )
    session.flush()
    period = {"from": _instant(starts_at), "until": _instant(ends_at)}
    write_down(session, _act("set_substitute", login, by, substitute=substitute, **period), now=now)


def end_substitute(
    session: Session, *, login: str, by: str, now: datetime, substitute: str | None = None
) -> tuple[str, ...]:
    """End what stands now or was set for later, by one substitute or by all. Returns whom that concerned.

    Raises:
        PersonUnknown, SubstitutionMissing
    """
    person = require_person(session, login, lock=True)
    wanted = require_person(session, substitute).id if substitute is not None else None
    ended = [
        (one, stand_in)
        for one, stand_in in people.substitutions(session, since=now, person_id=person.id)
        if wanted in (None, one.substitute_id)
    ]
    if not ended:
        raise SubstitutionMissing(login=login, substitute=substitute)
    for one, stand_in in ended:
        period = {"from": _instant(one.starts_at), "until": _instant(one.ends_at)}
        people.end_substitution(session, one, now=now)
        write_down(session, _act("end_substitute", login, by, substitute=stand_in, **period), now=now)
    return tuple(dict.fromkeys(stand_in for _, stand_in in ended))


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterEntry:
    person: Person
    manager: str | None
    product_lines: tuple[str, ...]  # none: all
    substitutes: tuple[tuple[Substitution, str], ...]  # now or later, with their logins


def roster(session: Session, *, now: datetime) -> list[RosterEntry]:
    """Everybody, with who is above and who stands in."""
    logins, limits = people.logins(session), people.all_limits(session)
    substitutes: defaultdict[int, list[tuple[Substitution, str]]] = defaultdict(list)
    for one, stand_in in people.substitutions(session, since=now):
        substitutes[one.person_id].append((one, stand_in))
    return [
        RosterEntry(
            person=person,
            manager=None if person.manager_id is None else logins[person.manager_id],
            product_lines=tuple(limits.get(person.id, ())),
            substitutes=tuple(substitutes[person.id]),
        )
        for person in people.everybody(session)
    ]
