"""What a person is called and where she is reached: checked before it is kept, for it stands beside her signatures."""

import re
from dataclasses import dataclass

from approval.decision import MEANINGS
from approval.people_errors import ContactInvalid, LocaleUnknown, NameMissing, RoleNameInvalid
from approval.states import DecisionKind
from audience.addresses import InvalidAddress, normalise
from channels.states import Channel

LOCALES = tuple(MEANINGS[DecisionKind.APPROVE])
# Without a colon: `role:operations` is a role, and `system:timeout` or `console:root` in the record is no person.
_LOGIN = re.compile(r"[^\s:]+")
_ROLE = re.compile(r"[\w.-]+")
_ANYWHERE = "ZZ"  # no country: the number itself has to name it


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Particulars of a person; None leaves one as it is, and an empty address takes it away."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    locale: str | None = None

    def checked(self, login: str) -> dict[str, str | None]:
        """Those that were given, each in its one spelling.

        Raises:
            ContactInvalid, LocaleUnknown, NameMissing
        """
        found: dict[str, str | None] = {}
        if self.name is not None:
            found["name"] = _name(login, self.name)
        if self.email is not None:
            found["email"] = _address(login, Channel.EMAIL, self.email)
        if self.phone is not None:
            found["phone"] = _address(login, Channel.SMS, self.phone)
        if self.locale is not None:
            found["locale"] = _locale(self.locale)
        return found


def check_login(login: str) -> None:
    """Raises NameMissing."""
    if _LOGIN.fullmatch(login) is None:
        raise NameMissing(login=login)


def check_role(role: str) -> None:
    """Raises RoleNameInvalid."""
    if _ROLE.fullmatch(role) is None:
        raise RoleNameInvalid(role=role)


def _name(login: str, name: str) -> str:
    if not name.strip():
        raise NameMissing(login=login)
    return name.strip()


def _address(login: str, channel: Channel, text: str) -> str | None:
    if not text.strip():
        return None
    found = normalise(channel, text, country=_ANYWHERE)
    if isinstance(found, InvalidAddress):
        raise ContactInvalid(login=login, found=text, reason=found.reason)
    return found.address


def _locale(locale: str) -> str:
    if locale not in LOCALES:
        raise LocaleUnknown(locale=locale, known=LOCALES)
    return locale
