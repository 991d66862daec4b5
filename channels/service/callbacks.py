"""Where a provider calls us: the address that it is told, and what is done with what it says."""

import hmac
import json
import secrets as randomness
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from sqlalchemy.orm import Session

from channels.callback_readers import READERS, SIGNED
from channels.callbacks import Callback, Heard
from channels.service.account import account_by_key
from channels.service.errors import AccountUnfit
from channels.service.provider import Cipher
from channels.service.receipts import Stored, count_subscriptions, store
from channels.states import Channel
from models.queries import endpoints

_SECRET_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAccount:
    """An account that a provider may call about, ready to read what it says. Its text form holds no secret."""

    account_id: int
    key: str
    channel: Channel
    provider: str
    _settings: Mapping[str, Any]
    _secret: str | None  # None: there is no secret address

    def is_called_with(self, secret: str | None) -> bool:
        """Whether this is an address of the account; one without a secret is, where the provider signs what it says."""
        if secret is None:
            return (self.channel, self.provider) in SIGNED
        return self._secret is not None and hmac.compare_digest(
            self._secret.encode(), secret.encode("utf-8", "replace")
        )

    def read(self, callback: Callback, *, now: datetime) -> Heard:
        """Raises CallbackRefused, CallbackUnreadable."""
        return READERS[self.channel, self.provider](callback, settings=self._settings, now=now)

    def __repr__(self) -> str:
        return f"CallbackAccount({self.key!r})"


def callback_account(session: Session, *, key: str, cipher: Cipher) -> CallbackAccount | None:
    """None: there is no such account, or its provider never calls.

    Raises:
        SecretUnreadable
    """
    found = endpoints.endpoint(session, key)
    if found is None or (found.channel, found.provider) not in READERS:
        return None
    private = json.loads(cipher.decrypt(found.secrets)) if found.secrets else {}
    return CallbackAccount(
        account_id=found.account_id,
        key=found.account,
        channel=found.channel,
        provider=found.provider,
        _settings={**found.settings, **private},
        _secret=cipher.decrypt(found.callback_secret) if found.callback_secret else None,
    )


def callback_path(session: Session, *, key: str, cipher: Cipher, renew: bool = False, now: datetime) -> str:
    """The path at which the provider of an account calls us. It holds a secret, unless the provider signs.

    The secret is made at the first time; `renew` makes another, which ends the path before.

    Raises:
        AccountUnknown
        AccountUnfit: this provider never calls, or there is no secret to renew.
    """
    account = account_by_key(session, key)
    if (account.channel, account.provider) not in READERS:
        raise AccountUnfit(key=key, problem=f"is of {account.provider}, which sends no receipts over HTTP")
    path = f"/callbacks/{quote(account.key, safe='')}"
    if (account.channel, account.provider) in SIGNED:
        if renew:
            raise AccountUnfit(key=key, problem=f"is of {account.provider}, which signs: its address holds no secret")
        return path
    kept = endpoints.keep_callback_secret(
        session,
        account=account,
        secret=cipher.encrypt(randomness.token_urlsafe(_SECRET_BYTES)),
        replace=renew,
        now=now,
    )
    return f"{path}/{cipher.decrypt(kept)}"


def read_letter(session: Session, *, key: str, raw: bytes, cipher: Cipher, now: datetime) -> Stored:
    """Take in one mail that came back to an account of ours.

    Raises:
        AccountUnknown
        AccountUnfit: it is no account of email.
        CallbackUnreadable: it is no mail.
    """
    account = account_by_key(session, key)
    if account.channel is not Channel.EMAIL:
        raise AccountUnfit(key=key, problem=f"is an account of {account.channel}: bounces are of email")
    private = json.loads(cipher.decrypt(account.secrets)) if account.secrets else {}
    read = READERS[account.channel, account.provider]
    heard = read(Callback(method="POST", body=raw), settings={**account.settings, **private}, now=now)
    return take_in(session, account_id=account.id, heard=heard, now=now)


def take_in(session: Session, *, account_id: int, heard: Heard, now: datetime) -> Stored:
    """Keep what a callback said, before it is answered."""
    count_subscriptions(session, account_id=account_id, words=heard.subscriptions, now=now)
    return store(session, account_id=account_id, receipts=heard.receipts, now=now)
