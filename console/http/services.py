"""What the HTTP service works with: the database, the installation's keys, and a few threads that may wait for both."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import ParamSpec, TypeVar

from fastapi import HTTPException, Request
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from approval.secrecy import Cipher
from channels.service.callbacks import CallbackAccount, callback_account
from channels.states import Channel
from models.database import Database, DatabaseUnreachable, configured_url
from settings import Settings
from themes.signed_links import PURPOSE, LinkSigner

log = logging.getLogger("themeline.http")

#: Transactions at once; more requests than that wait for their turn, not for a connection.
THREADS = 12
#: For so long an account is not read again: pausing it or changing its secrets takes effect within this.
ACCOUNT_SECONDS = 5.0

P = ParamSpec("P")
T = TypeVar("T")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(kw_only=True)
class Services:
    """One for each process. `cipher` None: there is no secret key, and nothing that needs one is answered."""

    database: Database
    cipher: Cipher | None
    public_url: str
    callback_url: str
    clock: Callable[[], datetime] = _utc_now
    signer: LinkSigner | None = field(init=False)
    #: Callbacks that this process refused, by account, channel and provider.
    refused: Counter[tuple[str, Channel, str]] = field(init=False, default_factory=Counter)
    _accounts: dict[str, tuple[float, CallbackAccount | None]] = field(init=False, default_factory=dict)
    _threads: ThreadPoolExecutor = field(init=False, default_factory=lambda: ThreadPoolExecutor(THREADS, "database"))
    _arrived: asyncio.Event = field(init=False, default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.signer = LinkSigner(self.cipher.keys_for(PURPOSE)) if self.cipher else None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Services":
        """Raises DatabaseNotConfigured, DatabaseUrlInvalid, SecretKeyTooShort."""
        key = settings.secret_key.get_secret_value() if settings.secret_key else None
        return cls(
            database=Database(url=configured_url(), pool_size=THREADS + 1),
            cipher=Cipher.from_setting(key) if key else None,
            public_url=settings.public_url.rstrip("/"),
            callback_url=(settings.callback_url or settings.public_url).rstrip("/"),
        )

    async def in_thread(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Run what waits for the database. HTTPException 503 when that does not answer: whoever asks, asks again.

        What the database says is not passed on: it may repeat what was sent to it.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, partial(work, *arguments, **named))
        except (DatabaseUnreachable, OperationalError, PoolTimeout) as error:
            raise HTTPException(503, headers={"Retry-After": "30"}) from error
        except SQLAlchemyError as error:
            log.error("the database refused: %s %s", type(error).__name__, getattr(error, "code", ""))  # noqa: TRY400 - its text may repeat addresses
            raise HTTPException(500) from None

    async def account(self, key: str) -> CallbackAccount | None:
        """The account that callbacks of this key are about, as it was at most some seconds ago."""
        until, known = self._accounts.get(key, (0.0, None))
        if time.monotonic() < until:
            return known
        found = await self.in_thread(self._account, key)
        if found is not None:  # keys that somebody tries out would fill it
            self._accounts[key] = (time.monotonic() + ACCOUNT_SECONDS, found)
        return found

    def announce(self) -> None:
        """Something waits to be joined."""
        self._arrived.set()

    async def arrival(self) -> None:
        await self._arrived.wait()
        self._arrived.clear()

    def _account(self, key: str) -> CallbackAccount | None:
        if self.cipher is None:
            raise HTTPException(503)
        with self.database.begin() as session:
            return callback_account(session, key=key, cipher=self.cipher)


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found
