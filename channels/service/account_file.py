"""An account file as a whole: its accounts are stored together, and their pools have to make sense."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from approval.errors import SecretUnreadable
from channels.account_file import AccountEntry
from channels.app import app_of
from channels.errors import AccountSettingsInvalid, ProviderUnknown
from channels.service.errors import AccountUnfit
from channels.service.provider import Cipher, apply_account, provider_of
from channels.transport import HttpTransport
from models.delivery import ProviderAccount
from models.queries import provider_accounts


def apply_accounts(
    session: Session, *, entries: Sequence[tuple[AccountEntry, Mapping[str, str]]], cipher: Cipher
) -> None:
    """Check and store accounts, each with its secrets.

    Raises:
        AccountSettingsInvalid, ProviderUnknown, ProductLineUnknown
        AccountUnfit: also where a pool would hold accounts of different apps.
    """
    stored = [apply_account(session, entry=entry, secrets=secrets, cipher=cipher) for entry, secrets in entries]
    # Only now, for a file may move a whole pool to another app.
    for account in stored:
        if account.pool is not None:
            _require_one_app(account, provider_accounts.pool_of(session, account), cipher)


def _require_one_app(account: ProviderAccount, pool: Sequence[ProviderAccount], cipher: Cipher) -> None:
    """Whoever stands in for an account gets its addresses, and those of another app it cannot reach."""
    own = _app(account, cipher)
    for other in pool:
        theirs = _app(other, cipher)
        if None not in {own, theirs} and own != theirs:
            problem = (
                f"is of {own}, but {other.key} in the same pool {account.pool!r} is of {theirs}: addresses of "
                f"{account.channel} belong to one app, so neither can stand in for the other; "
                "give them pools of their own"
            )
            raise AccountUnfit(key=account.key, problem=problem)


def _app(account: ProviderAccount, cipher: Cipher) -> str | None:
    """None as well where the settings cannot be read any more: such an account carries nothing."""
    try:
        app = app_of(provider_of(account, cipher=cipher, transport=HttpTransport()))
    except (AccountSettingsInvalid, ProviderUnknown, SecretUnreadable):
        return None
    return None if app is None else f"{account.provider} app {app}"
