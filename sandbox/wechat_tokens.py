"""The stable access token: one at a time, renewed a little before its end, the old one good until then."""

import secrets
from typing import Final

from sandbox.credentials import WeChatAccount
from sandbox.ledger import Ledger

_FORCED_PER_DAY: Final = 20
_FORCED_APART: Final = 30.0
_DAY: Final = 86_400.0


class Tokens:
    def __init__(self, *, account: WeChatAccount, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seconds = account.token_seconds
        self._early = min(account.renew_before_seconds, account.token_seconds / 2)
        self._forced: list[float] = []
        self._current = max(ledger.tokens, key=lambda token: ledger.tokens[token], default="")

    def end_of(self, token: str) -> float | None:
        """When it ends or ended; None if it was never handed out."""
        return self._ledger.tokens.get(token)

    def current(self, now: float) -> tuple[str, int]:
        """The token and the seconds it has left."""
        if self._ledger.tokens.get(self._current, 0.0) - self._early <= now:
            self._current = secrets.token_urlsafe(96)
            self._ledger.keep_token(self._current, now + self._seconds)
        return self._current, max(int(self._ledger.tokens[self._current] - now), 1)

    def force(self, now: float) -> tuple[int, str] | None:
        """End the current token at once; the errcode and text if that was asked for too often."""
        self._forced = [at for at in self._forced if now - at < _DAY]
        if len(self._forced) >= _FORCED_PER_DAY:
            return 45009, "reach max api daily quota limit"
        if self._forced and now - self._forced[-1] < _FORCED_APART:
            return 45011, "api minute-quota reach limit  mustslower"
        self._forced.append(now)
        self.expire(now)
        return None

    def expire(self, now: float) -> int:
        """End every token that is still good; the number of them."""
        good = [token for token, expires_at in self._ledger.tokens.items() if expires_at > now]
        for token in good:
            self._ledger.keep_token(token, now)
        return len(good)
