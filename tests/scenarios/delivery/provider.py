"""The sandbox as scenarios steer it and read it: the provider's own word on what it took."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from channels.states import Channel
from sandbox.process import Running

_SECONDS = 30
_PAGE = 50_000


@dataclass(frozen=True, slots=True)
class ProviderSide:
    running: Running
    _counted: defaultdict[Channel, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def forget(self) -> None:
        """Nothing was sent to it yet, and nothing is the matter with it."""
        for place in ("_log", "_faults"):
            requests.delete(f"{self.running.http}/{place}", timeout=_SECONDS).raise_for_status()

    def fault(self, channel: Channel | str, kind: str, **values: object) -> None:
        given = {"channel": str(channel), "kind": kind, **values}
        answer = requests.post(f"{self.running.http}/_faults", json=given, timeout=_SECONDS)
        if not answer.ok:
            raise ValueError(f"the sandbox refuses the fault {given}: {answer.text}")

    def refuse(self, channel: Channel, addresses: Iterable[str], code: str) -> None:
        alternatives = "|".join(re.escape(address.removeprefix("+")) for address in addresses)
        self.fault(channel, "recipient_error", match=rf"^\+?({alternatives})$", code=code)

    def mend(self, channel: Channel) -> None:
        listed = requests.get(f"{self.running.http}/_faults", timeout=_SECONDS).json()["faults"]
        for fault in listed:
            if fault["channel"] == channel:
                requests.delete(f"{self.running.http}/_faults/{fault['id']}", timeout=_SECONDS).raise_for_status()

    def expire_tokens(self) -> None:
        requests.delete(f"{self.running.http}/_tokens", timeout=_SECONDS).raise_for_status()

    def summary(self, channel: Channel) -> Mapping[str, int]:
        answer = requests.get(f"{self.running.http}/_log?channel={channel}", timeout=_SECONDS)
        summary: Mapping[str, int] = answer.json()["channels"][channel]
        return summary

    def records(self, channel: Channel) -> list[dict[str, Any]]:
        return [record for page in self._pages(channel, 0) for record in page]

    def reached(self, channel: Channel) -> Counter[str]:
        """Address, as we write it -> how many messages the provider took for it. Its log only ever grows."""
        counted = self._counted[channel]
        for page in self._pages(channel, counted.total()):
            counted.update(as_ours(channel, record["recipient"]) for record in page)
        return counted.copy()

    def _pages(self, channel: Channel, offset: int) -> Iterator[list[dict[str, Any]]]:
        while True:
            query = f"channel={channel}&records=1&limit={_PAGE}&offset={offset}"
            page = requests.get(f"{self.running.http}/_log?{query}", timeout=_SECONDS).json()["records"]
            yield page
            if len(page) < _PAGE:
                return
            offset += _PAGE


def as_ours(channel: Channel, recipient: str) -> str:
    return f"+{recipient.removeprefix('+')}" if channel is Channel.SMS else recipient
