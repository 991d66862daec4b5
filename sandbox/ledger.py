"""What each provider accepted, per recipient, and how often it was called."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sandbox.journal import Journal

#: The stand-ins of each channel; the first is the one that a call is for when nobody says.
PROVIDERS = {
    "sms": ("aliyun", "twilio"),
    "email": ("smtp",),
    "push": ("jpush", "fcm"),
    "mini_program": ("wechat",),
}
CHANNELS = tuple(PROVIDERS)

# Decoded JSON, or the raw bytes of a mail (decoded when somebody asks), or None where content is not kept.
Content = dict[str, Any] | bytes | None


class Message(NamedTuple):
    """One message to one recipient, as the provider took it."""

    recipient: str
    reference: str | None
    message_id: str
    content: Content


class Record(NamedTuple):
    message: Message
    call: int
    at: float
    provider: str


class ChannelLog:
    """Counts are kept as messages come: asking for them under load costs nothing."""

    def __init__(
        self, channel: str, *, journal: Journal | None, keep_content: bool, identity: Callable[[str], str] = str
    ) -> None:
        self.channel = channel
        self._journal = journal
        self._keep_content = keep_content
        self._identity = identity
        self.calls = 0
        self.clear()

    def clear(self) -> None:
        """Forget all but the call number, which goes on so that no two calls share one."""
        self._calls_before = self.calls
        self.refused = 0
        self.refused_calls = 0
        self.token_calls = 0
        self.max_per_recipient = 0
        self.records: list[Record] = []
        self._positions: dict[str, list[int]] = {}
        self._seen: set[tuple[str, str | None]] = set()
        self._by_provider: Counter[str] = Counter()

    def begin(self) -> int:
        """The number of the call that has just come in."""
        self.calls += 1
        return self.calls

    def refuse(self, messages: int = 1) -> None:
        self.refused_calls += 1
        self.refused += messages

    def accept(self, call: int, messages: Sequence[Message], *, provider: str | None = None) -> None:
        at, provider = time.time(), provider or PROVIDERS[self.channel][0]
        if not self._keep_content:
            messages = [message._replace(content=None) for message in messages]
        if self._journal is not None:
            lines = [[*message[:3], _to_json(message.content)] for message in messages]
            entry = {"channel": self.channel, "provider": provider, "call": call, "at": at, "messages": lines}
            self._journal.write(entry)
        self._keep(call, at, messages, provider)

    def restore(self, entry: dict[str, Any]) -> None:
        self.calls = max(self.calls, entry["call"])
        messages = [Message(line[0], line[1], line[2], _from_json(line[3])) for line in entry["messages"]]
        self._keep(entry["call"], entry["at"], messages, entry.get("provider", PROVIDERS[self.channel][0]))

    def of_recipient(self, recipient: str) -> list[Record]:
        return [self.records[position] for position in self._positions.get(self._identity(recipient), ())]

    def summary(self) -> dict[str, Any]:
        """`accepted` and `refused` count messages, `calls` and `refused_calls` count calls.

        `by_provider` counts the accepted of each.
        """
        return {
            "calls": self.calls - self._calls_before,
            "accepted": len(self.records),
            "refused": self.refused,
            "refused_calls": self.refused_calls,
            "recipients": len(self._positions),
            "duplicates": len(self.records) - len(self._seen),
            "max_per_recipient": self.max_per_recipient,
            "token_calls": self.token_calls,
            "by_provider": dict(self._by_provider),
        }

    def _keep(self, call: int, at: float, messages: Sequence[Message], provider: str) -> None:
        self._by_provider[provider] += len(messages)
        for message in messages:
            key = self._identity(message.recipient)
            positions = self._positions.setdefault(key, [])
            positions.append(len(self.records))
            self.max_per_recipient = max(self.max_per_recipient, len(positions))
            self._seen.add((key, message.reference))
            self.records.append(Record(message, call, at, provider))


class Ledger:
    """The logs of all channels, the tokens of WeChat, and the key and tokens of FCM, behind one journal."""

    def __init__(
        self, *, journal: Journal | None, keep_content: bool, identities: Mapping[str, Callable[[str], str]]
    ) -> None:
        self._journal = journal
        self.logs = {
            channel: ChannelLog(
                channel, journal=journal, keep_content=keep_content, identity=identities.get(channel, str)
            )
            for channel in CHANNELS
        }
        self.tokens: dict[str, float] = {}
        self.bearers: dict[str, float] = {}
        self.service_key: str | None = None

    def restore(self) -> None:
        """Read the journal back. Raises JournalRefused."""
        for entry in self._journal.entries() if self._journal else ():
            if "token" in entry:
                self.tokens[entry["token"]] = entry["expires_at"]
            elif "bearer" in entry:
                self.bearers[entry["bearer"]] = entry["expires_at"]
            elif "service_key" in entry:
                self.service_key = entry["service_key"]
            else:
                self.logs[entry["channel"]].restore(entry)

    def keep_token(self, token: str, expires_at: float) -> None:
        """Also the way to end one: keep it again with an earlier end."""
        self.tokens[token] = expires_at
        if self._journal is not None:
            self._journal.write({"token": token, "expires_at": expires_at})

    def keep_bearer(self, token: str, expires_at: float) -> None:
        self.bearers[token] = expires_at
        if self._journal is not None:
            self._journal.write({"bearer": token, "expires_at": expires_at})

    def keep_service_key(self, pem: str) -> None:
        self.service_key = pem
        if self._journal is not None:
            self._journal.write({"service_key": pem})

    def clear(self) -> None:
        """Forget what was accepted, and with it the idempotency; tokens and the key stay good."""
        for log in self.logs.values():
            log.clear()
        if self._journal is not None:
            self._journal.clear()
            for token, expires_at in self.tokens.items():
                self._journal.write({"token": token, "expires_at": expires_at})
            for token, expires_at in self.bearers.items():
                self._journal.write({"bearer": token, "expires_at": expires_at})
            if self.service_key is not None:
                self._journal.write({"service_key": self.service_key})


def _to_json(content: Content) -> object:
    return content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content


def _from_json(content: Any) -> Content:  # noqa: ANN401 - whatever JSON held
    return content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
