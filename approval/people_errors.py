"""What can be wrong with what is said about a person."""

from collections.abc import Sequence
from datetime import datetime

from approval.errors import ApprovalError, nearest


class PeopleError(ApprovalError):
    """What is said about a person cannot be."""


class ManagerInvalid(PeopleError):
    """Nobody is above herself, neither directly nor through others."""

    def __init__(self, *, login: str, manager: str, through: Sequence[str] = ()) -> None:
        self.login, self.manager, self.through = login, manager, tuple(through)
        line = " → ".join([login, manager, *through])
        fault = "that is the same person" if login == manager else f"the line would lead back to her ({line})"
        super().__init__(f"{manager} cannot be the manager of {login}: {fault}; name somebody else")


class RoleNameInvalid(PeopleError):
    """A role has a name that a policy can write after `role:`."""

    def __init__(self, *, role: str) -> None:
        self.role = role
        super().__init__(f"{role!r} is no name of a role: use letters, digits, - _ and . only, such as operations")


class RoleNotHeld(PeopleError):
    """A role that a person does not have cannot be taken from her."""

    def __init__(self, *, login: str, role: str, held: Sequence[str]) -> None:
        self.login, self.role, self.held = login, role, tuple(held)
        meant = nearest(role, held)
        hint = f"; did you mean {meant!r}?" if meant else ""
        super().__init__(f"{login} does not have the role {role!r} (has: {', '.join(held) or 'none'}){hint}")


class LimitUnknown(PeopleError):
    """A person can be limited only to product lines that there are."""

    def __init__(self, *, key: str, known: Sequence[str]) -> None:
        self.key, self.known, self.nearest = key, tuple(known), nearest(key, known)
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        super().__init__(f"no product line {key!r} (there is: {', '.join(known) or 'none yet'}){hint}")


class ContactInvalid(PeopleError):
    """An address at which a person cannot be reached."""

    def __init__(self, *, login: str, found: str, reason: str) -> None:
        self.login, self.found, self.reason = login, found, reason
        super().__init__(f"{found!r} for {login} is {reason}; a phone number starts with + and its country, as +44…")


class LocaleUnknown(PeopleError):
    """A language that no brief is written in."""

    def __init__(self, *, locale: str, known: Sequence[str]) -> None:
        self.locale, self.known = locale, tuple(known)
        super().__init__(f"no language {locale!r}; there is: {', '.join(known)}")


class NameMissing(PeopleError):
    """A person needs a login and a name: they stand beside each of her signatures."""

    def __init__(self, *, login: str) -> None:
        self.login = login
        super().__init__(f"{login!r}: a login is one word, and a name is not empty; both stand beside each signature")


class SubstituteRefused(PeopleError):
    """A person cannot stand in for another so."""


class SubstituteIsOneself(SubstituteRefused):
    """Nobody stands in for herself."""

    def __init__(self, *, login: str) -> None:
        self.login = login
        super().__init__(f"{login} cannot stand in for herself; name somebody else")


class SubstituteDisabled(SubstituteRefused):
    """A disabled person decides for nobody."""

    def __init__(self, *, substitute: str) -> None:
        self.substitute = substitute
        super().__init__(f"{substitute} is disabled and can stand in for nobody; enable {substitute}, or name another")


class SubstitutionPeriodInvalid(SubstituteRefused):
    """A time that is over, or that ends before it begins."""

    def __init__(self, *, starts_at: datetime, ends_at: datetime, now: datetime) -> None:
        self.starts_at, self.ends_at = starts_at, ends_at
        fault = "it ends before it begins" if ends_at <= starts_at else f"it is over (now is {_at(now)})"
        super().__init__(f"from {_at(starts_at)} until {_at(ends_at)}: {fault}; give a time that lies ahead")


class SubstitutionOverlaps(SubstituteRefused):
    """At one time one person stands in."""

    def __init__(self, *, login: str, substitute: str, starts_at: datetime, ends_at: datetime) -> None:
        self.login, self.substitute, self.starts_at, self.ends_at = login, substitute, starts_at, ends_at
        super().__init__(
            f"{substitute} stands in for {login} already from {_at(starts_at)} until {_at(ends_at)}; end that first "
            f"with `themeline people end-substitute {login}`, or name another time"
        )


class SubstitutionMissing(SubstituteRefused):
    """There is nothing to end."""

    def __init__(self, *, login: str, substitute: str | None) -> None:
        self.login, self.substitute = login, substitute
        who = f"{substitute} does not stand" if substitute else "nobody stands"
        super().__init__(f"{who} in for {login}, now or later: there is nothing to end")


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
