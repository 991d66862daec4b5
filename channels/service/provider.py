"""From an account in the database to a provider that is ready to send, and back."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy.orm import Session

from channels.account_file import AccountEntry, Limits, NoticeTemplate
from channels.errors import ProductLineUnknown
from channels.message import Provider
from channels.rate import RateWindow
from channels.registry import PROVIDERS, build_provider
from channels.service.account import Terms, upsert_account
from channels.service.errors import AccountUnfit
from channels.states import Channel
from channels.transport import HttpTransport, Transport
from models.delivery import ProviderAccount
from models.product_line import ProductLine
from models.queries import notices, themes
from models.queries.notices import SERVES

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
        settings={**entry.settings, **_signed(entry.notice_template)},
        secrets=secrets,
        transport=HttpTransport(),
    )
    product_line = themes.product_line_by_key(session, entry.product_line)
    if product_line is None:
        raise ProductLineUnknown(key=entry.product_line, known=themes.product_line_keys(session))
    if entry.notices:
        _require_to_be_the_one(session, entry, product_line)
    return upsert_account(
        session,
        key=entry.account,
        product_line_id=product_line.id,
        channel=entry.channel,
        provider=entry.provider,
        settings={**entry.settings, **_beside(entry)},
        secrets=cipher.encrypt(json.dumps(dict(secrets))),
        terms=Terms(
            pool=entry.pool,
            weight=entry.weight,
            windows=entry.limits.in_force(documented_windows(entry.channel, entry.provider)),
            price=entry.price.as_price() if entry.price else None,
        ),
    )


def documented_windows(channel: Channel, provider: str) -> Sequence[RateWindow]:
    """Those that stand beside the provider's module, as `LIMITS`; none of a provider that there is not."""
    return getattr(PROVIDERS.get((channel, provider)), "LIMITS", ())


def limits_of(account: ProviderAccount) -> Limits:
    return Limits.model_validate(account.settings.get(LIMITS, {}))


def notice_template_of(account: ProviderAccount) -> NoticeTemplate | None:
    """None where a plain text will do."""
    stored = account.settings.get(SERVES)
    return NoticeTemplate.model_validate(stored) if stored else None


def provider_of(account: ProviderAccount, *, cipher: Cipher, transport: Transport) -> Provider:
    """Raises AccountSettingsInvalid, ProviderUnknown, SecretUnreadable."""
    return _provider(account, _own_settings(account), cipher, transport)


def notice_provider_of(
    account: ProviderAccount, *, cipher: Cipher, transport: Transport, call_seconds: float
) -> Provider:
    """The account as it sends notices: under their own signature, and no call longer than that.

    Raises:
        AccountSettingsInvalid, ProviderUnknown, SecretUnreadable
    """
    settings = _own_settings(account) | _signed(notice_template_of(account))
    settings["timeout"] = min(settings.get("timeout", call_seconds), call_seconds)
    return _provider(account, settings, cipher, transport)


def _provider(account: ProviderAccount, settings: Mapping[str, Any], cipher: Cipher, transport: Transport) -> Provider:
    secrets: dict[str, Any] = json.loads(cipher.decrypt(account.secrets)) if account.secrets else {}
    return build_provider(
        account=account.key,
        channel=account.channel,
        provider=account.provider,
        settings=settings,
        secrets=secrets,
        transport=transport,
    )


def _own_settings(account: ProviderAccount) -> dict[str, Any]:
    return {name: value for name, value in account.settings.items() if name not in {LIMITS, SERVES}}


def _beside(entry: AccountEntry) -> dict[str, Any]:
    beside: dict[str, Any] = {LIMITS: entry.limits.model_dump(exclude_none=True)}
    if entry.notices:
        template = entry.notice_template
        beside[SERVES] = template.model_dump(mode="json", exclude_none=True) if template else {}
    return beside


def _signed(template: NoticeTemplate | None) -> dict[str, Any]:
    return {"sign_name": template.sign_name} if template and template.sign_name else {}


def _require_to_be_the_one(session: Session, entry: AccountEntry, product_line: ProductLine) -> None:
    """Two accounts that serve the same notices would leave it to chance which of them does."""
    notices.hold_product_line(session, product_line.id)
    serving = notices.serving_account(session, product_line_id=product_line.id, channel=entry.channel)
    if serving is not None and serving.key != entry.account:
        problem = (
            f"cannot serve notices: {serving.key} does so for {entry.channel} of {entry.product_line}; "
            f"apply {serving.key} without `notices: true` first"
        )
        raise AccountUnfit(key=entry.account, problem=problem)
