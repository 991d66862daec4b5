"""Who speaks: one-time codes of an authenticator app (TOTP, RFC 6238), each good for one decision."""

import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import StringIO

import pyotp
import segno

from approval.errors import CodeReused, CodeWrong, NotEnrolled, PersonLocked

ISSUER = "Themeline"
STEP_SECONDS = 30
DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """A new secret and the link that carries it into an authenticator app. Shown once, to the person alone."""

    login: str
    secret: str = field(repr=False)

    @property
    def uri(self) -> str:
        return _totp(self.secret).provisioning_uri(name=self.login, issuer_name=ISSUER)

    def qr_code(self) -> str:
        """The link as a picture of block characters, for a terminal."""
        picture = StringIO()
        segno.make(self.uri, error="m", micro=False).terminal(out=picture, compact=True)
        return picture.getvalue()


def enrol(login: str) -> Enrolment:
    return Enrolment(login=login, secret=pyotp.random_base32())


def code_at(secret: str, now: datetime) -> str:
    """The code that an authenticator app shows at this moment."""
    return _totp(secret).generate_otp(time_step(now))


def time_step(now: datetime) -> int:
    return int(now.timestamp()) // STEP_SECONDS


def steps_in_reach(now: datetime, drift_steps: int) -> range:
    """The time steps whose codes are taken now: used ones outside of it need not be kept."""
    current = time_step(now)
    return range(current - drift_steps, current + drift_steps + 1)


def verify(
    secret: str | None, code: str, *, login: str, now: datetime, drift_steps: int, used_steps: Collection[int]
) -> int:
    """The time step that a code belongs to; whoever asks stores it as used, in the transaction of the decision.

    Raises:
        NotEnrolled: there is no secret to check against.
        CodeReused: the code is right, but has signed something already.
        CodeWrong: it is no code of this person at this time.
    """
    if not secret:
        raise NotEnrolled(login=login)
    typed = re.sub(r"[ \u00a0-]", "", code)
    if not re.fullmatch(rf"[0-9]{{{DIGITS}}}", typed):
        raise CodeWrong
    totp = _totp(secret)
    matching = [
        step for step in steps_in_reach(now, drift_steps) if hmac.compare_digest(totp.generate_otp(step), typed)
    ]
    if not matching:
        raise CodeWrong
    unused = [step for step in matching if step not in used_steps]
    if not unused:
        raise CodeReused
    return unused[0]


def _totp(secret: str) -> pyotp.TOTP:
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTries:
    """Wrong codes in a row, and the lock they led to. A right code ends the count: store `CodeTries()`."""

    wrong: int = 0
    locked_until: datetime | None = None

    def check(self, *, login: str, now: datetime) -> None:
        """Raises PersonLocked while the lock holds, whatever the code."""
        if self.locked_until is not None and now < self.locked_until:
            raise PersonLocked(login=login, until=self.locked_until)

    def after_wrong(self, *, now: datetime, limit: int, lock: timedelta) -> "CodeTries":
        """One more wrong code; at the limit it locks (`locked_until` is set: alert), and the count begins anew."""
        wrong = self.wrong + 1
        return CodeTries(wrong=wrong) if wrong < limit else CodeTries(locked_until=now + lock)
