"""What the tasks of one process share: the database, and the rules of identity."""

from datetime import UTC, datetime
from functools import lru_cache

from approval.secrecy import Cipher
from approval.service.people import IdentityRules
from models.database import Database
from settings import get_settings


@lru_cache(maxsize=1)
def database() -> Database:
    return Database.from_settings()


def cipher() -> Cipher:
    """Raises SecretKeyMissing: approval does not start without a key."""
    key = get_settings().secret_key
    return Cipher.from_setting(key.get_secret_value() if key else None)


def identity_rules() -> IdentityRules:
    settings = get_settings()
    return IdentityRules(
        cipher=cipher(),
        drift_steps=settings.code_drift_steps,
        wrong_codes=settings.code_attempts,
        lock=settings.code_lock,
    )


def clock() -> datetime:
    """Now, in UTC: the one place where flows and tasks read the clock."""
    return datetime.now(UTC)
