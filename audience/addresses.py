"""One spelling per address, so that the same inbox or handset is never written to twice.

E-mail: the domain is compared without regard to case and in its ASCII form (RFC 5321 section 2.3.5, RFC 5890).
The local part is by RFC 5321 section 2.4 the receiving host's own business and might tell cases apart; no host of
note does, and two messages to one inbox are worse than a merged pair that never was, so it is lowered too. Dots and
plus tags stay: what they mean differs from host to host.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import phonenumbers

from channels.states import Channel

LONGEST_EMAIL = 254  # RFC 5321 section 4.5.3.1.3, without the angle brackets
LONGEST_LOCAL_PART = 64
LONGEST_ID = 128

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
_ID = re.compile(rf"[A-Za-z0-9_-]{{1,{LONGEST_ID}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalisedAddress:
    address: str
    original: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InvalidAddress:
    original: str
    reason: str


def normalise(channel: Channel, address: str, *, country: str) -> NormalisedAddress | InvalidAddress:
    """The address in the one spelling of its channel; `country` (ISO code) says whose national phone numbers are meant.

    Returns `InvalidAddress` for what nobody can be reached by; never raises.
    """
    try:
        return NormalisedAddress(address=_NORMALISE[channel](address, country), original=address)
    except ValueError as error:
        return InvalidAddress(original=address, reason=str(error))


def _phone(text: str, country: str) -> str:
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException as error:
        raise ValueError(f"no phone number: {error}") from error
    # Possible, not valid: tables of valid ranges lag behind the operators, and reserved ranges are in none.
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise ValueError("no possible phone number: wrong length for its country")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _email(text: str, _country: str) -> str:
    local, at, domain = text.strip().rpartition("@")
    if not at:
        raise ValueError("no e-mail address: the @ is missing")
    ascii_domain = _ascii_domain(domain)
    if _LOCAL_PART.fullmatch(local) is None or len(local) > LONGEST_LOCAL_PART:
        raise ValueError("no e-mail address: what stands before the @ is not allowed there")
    if len(local) + 1 + len(ascii_domain) > LONGEST_EMAIL:
        raise ValueError(f"no e-mail address: longer than {LONGEST_EMAIL} characters")
    return f"{local.lower()}@{ascii_domain}"


def _ascii_domain(domain: str) -> str:
    try:
        lowered = domain.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise ValueError("no e-mail address: the domain is none") from error
    if _DOMAIN.fullmatch(lowered) is None:
        raise ValueError("no e-mail address: the domain is none")
    return lowered


def _provider_id(text: str, _country: str) -> str:
    trimmed = text.strip()
    if _ID.fullmatch(trimmed) is None:
        raise ValueError("no id: letters, digits, _ and - only")
    return trimmed


_NORMALISE: Mapping[Channel, Callable[[str, str], str]] = {
    Channel.SMS: _phone,
    Channel.EMAIL: _email,
    Channel.PUSH: _provider_id,
    Channel.MINI_PROGRAM: _provider_id,
}
