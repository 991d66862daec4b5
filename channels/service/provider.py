"""From an account in the database to a provider that is ready to send, and back."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy.orm import Session

from channels.account_file import AccountEntry, Limits
from channels.errors import ProductLineUnknown
from channels.message import Provider
from channels.registry import build_provider
from channels.service.account import upsert_account
from channels.transport import HttpTransport, Transport
from models.delivery import ProviderAccount
from models.queries import themes

#: Among the settings of a row, beside the provider's own.
LIMITS = "limits"


class Cipher(Protocol):
    def encrypt(self, secret: str) -> bytes: ...
    def decrypt(self, token: bytes) -> str: ...


def apply_account(
    session: Session, *, entry: AccountEntry, secrets: Mapping[str, str], cipher: Cipher
) -> ProviderAccount:
    """Check an account against its provider and store it, its secrets encrypted.

    Raises:
        AccountSettingsInvalid, ProviderUnknown, ProductLineUnknown, AccountUnfit
    """
    build_provider(
        account=entry.account,
        channel=entry.channel,
        provider=entry.provider,
        settings=entry.settings,
        secrets=secrets,
        transport=HttpTransport(),
    )
    product_line = themes.product_line_by_key(session, entry.product_line)
    if product_line is None:
        raise ProductLineUnknown(key=entry.product_line, known=themes.product_line_keys(session))
    return upsert_account(
        session,
        key=entry.account,
        product_line_id=product_line.id,
        channel=entry.channel,
        provider=entry.provider,
        settings={**entry.settings, LIMITS: entry.limits.model_dump(exclude_none=True)},
        secrets=cipher.encrypt(json.dumps(dict(secrets))),
    )


def limits_of(account: ProviderAccount) -> Limits:
    return Limits.model_validate(account.settings.get(LIMITS, {}))


def provider_of(account: ProviderAccount, *, cipher: Cipher, transport: Transport) -> Provider:
    """Raises AccountSettingsInvalid, ProviderUnknown, SecretUnreadable."""
    secrets: dict[str, Any] = json.loads(cipher.decrypt(account.secrets)) if account.secrets else {}
    return build_provider(
        account=account.key,
        channel=account.channel,
        provider=account.provider,
        settings={name: value for name, value in account.settings.items() if name != LIMITS},
        secrets=secrets,
        transport=transport,
    )
