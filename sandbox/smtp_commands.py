"""The words of SMTP: paths with their parameters, logins, and the reply that a fault gives."""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence

from sandbox.credentials import SmtpAccount
from sandbox.faults import Fault

_PATH = re.compile(r"(FROM|TO):\s*<([^<>]*)>(?: (.*))?", re.IGNORECASE)
_ENHANCED = r"[45]\.\d{1,3}\.\d{1,3}"
_XTEXT = r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+"
#: RFC 3461: what a client may ask to be told of a mail.
_DSN = {
    "RET": re.compile("FULL|HDRS", re.IGNORECASE),
    "ENVID": re.compile(rf"(?=.{{1,100}}$){_XTEXT}"),
    "NOTIFY": re.compile(r"NEVER|(?:(?:SUCCESS|FAILURE|DELAY)(?:,(?!$)|$))+", re.IGNORECASE),
    "ORCPT": re.compile(rf"[A-Za-z0-9-]+;{_XTEXT}"),
}
Options = dict[str, str]
_CODES = re.compile(rf"(?P<reply>[45]\d\d)(?: (?P<enhanced>{_ENHANCED}))?|(?P<alone>{_ENHANCED})")


class CommandRefused(Exception):
    """The command gets this reply instead of its own; the connection goes on."""


def read_path(word: str, rest: str, allowed: frozenset[str]) -> tuple[str, dict[str, str]]:
    """The address in `<>` and the ESMTP parameters behind it. Raises CommandRefused."""
    found = _PATH.fullmatch(rest.rstrip())
    if found is None or found[1].upper() != word:
        raise CommandRefused(f"501 5.5.4 Syntax: {word}:<address>")
    pairs = [item.partition("=") for item in (found[3] or "").split()]
    parameters = {name.upper(): value for name, _, value in pairs}
    unknown = sorted(set(parameters) - allowed)
    if unknown:
        raise CommandRefused(f"555 5.5.4 Unsupported option: {', '.join(unknown)}")
    return found[2], parameters


def dsn_options(parameters: Options) -> Options:
    """Those of `parameters` that are about notifications. Raises CommandRefused."""
    found = {name: value for name, value in parameters.items() if name in _DSN}
    for name, value in found.items():
        if _DSN[name].fullmatch(value) is None:
            raise CommandRefused(f"501 5.5.4 Bad parameter: {name}={value[:40]}")
    return found


def decode_login(given: Sequence[str]) -> tuple[str, str]:
    """User and password from the client's words, the mechanism first. Raises CommandRefused."""
    mechanism, *words = given
    try:
        texts = [base64.b64decode(word, validate=True).decode() for word in words]
        if mechanism == "PLAIN":
            _, *texts = texts[0].split("\0")
        user, password = texts
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise CommandRefused("501 5.5.2 Cannot decode the login") from None
    return user, password


def check_login(login: tuple[str, str], account: SmtpAccount) -> None:
    """Raises CommandRefused."""
    pairs = zip(login, (account.user, account.password), strict=True)
    if not all(hmac.compare_digest(given.encode(), wanted.encode()) for given, wanted in pairs):
        raise CommandRefused("535 5.7.8 Authentication credentials invalid")


def are_codes(text: str) -> bool:
    """Whether a fault's code is a reply code (`550`), an enhanced one (`5.1.1`), or both (`550 5.1.1`)."""
    return _CODES.fullmatch(text) is not None


def reply_of(fault: Fault, default: str) -> str:
    """The reply line of a fault; what it leaves open comes from `default`."""
    reply, enhanced, text = default.split(" ", 2)
    codes = _CODES.fullmatch(str(fault.code or ""))
    given = str(fault.status) if fault.status else codes and codes["reply"]
    if given is not None and given != reply:
        reply, enhanced, text = given, f"{given[0]}.0.0", "Scripted fault"
    if codes:
        enhanced = codes["enhanced"] or codes["alone"] or enhanced
    wait = "" if fault.retry_after is None else f", try again in {fault.retry_after:g} seconds"
    return f"{reply} {enhanced} {fault.message or text}{wait}"
