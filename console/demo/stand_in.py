"""The sandbox as the demo uses it: its accounts, its scripted faults, its own log."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from channels.account_file import AccountEntry, Limits
from channels.states import Channel

PRODUCT_LINE = "giftware-eu"
_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    http: str  # origin
    smtp_host: str
    smtp_port: int

    def fault(self, **fault: object) -> None:
        answer = requests.post(f"{self.http}/_faults", json=fault, timeout=_SECONDS)
        answer.raise_for_status()

    def clear_faults(self) -> None:
        requests.delete(f"{self.http}/_faults", timeout=_SECONDS).raise_for_status()

    def push_receipts(self, provider: str, url: str) -> None:
        """From now on it tells us what became of each message, as that provider would: here twice, and mixed up."""
        receipts = {"provider": provider, "url": url, "times": 2, "order": "shuffled"}
        answer = requests.post(f"{self.http}/_receipts", json=receipts, timeout=_SECONDS)
        answer.raise_for_status()

    def log(self) -> Mapping[str, Mapping[str, Any]]:
        answer = requests.get(f"{self.http}/_log", timeout=_SECONDS)
        answer.raise_for_status()
        channels: Mapping[str, Mapping[str, Any]] = answer.json()["channels"]
        return channels

    def accounts(self) -> list[tuple[AccountEntry, dict[str, str]]]:
        """The four accounts of the example theme, with the sandbox's made-up credentials."""
        return [
            self._account(
                "sms-main",
                Channel.SMS,
                "aliyun",
                {
                    "access_key_id": "sandbox-ak",
                    "sign_name": "Themeline",
                    "template_code": "SMS_100001",
                    "base_url": self.http,
                },
                {"access_key_secret": "sandbox-secret"},
                notices=True,
            ),
            self._account(
                "mail-main",
                Channel.EMAIL,
                "smtp",
                {
                    "host": self.smtp_host,
                    "port": self.smtp_port,
                    "security": "none",
                    "sender": "offers@example.com",
                    "sender_name": "Giftware",
                    "bounce_address": "bounces@example.com",
                },
                {"bounce_key": "sandbox-bounce-key"},
                # So short a patience leaves something for ops to retry while one watches.
                Limits(retry_base_seconds=0.5, retry_ceiling_seconds=2, retry_budget_seconds=4),
                notices=True,
            ),
            self._account(
                "push-main",
                Channel.PUSH,
                "jpush",
                {"app_key": "sandboxappkey0000000000", "base_url": self.http},
                {"master_secret": "sandbox-master"},
            ),
            self._account(
                "wechat-main",
                Channel.MINI_PROGRAM,
                "wechat",
                {"app_id": "wxsandbox", "base_url": self.http},
                {"app_secret": "sandbox-wechat"},
            ),
        ]

    def _account(  # noqa: PLR0917 - a row of the table above
        self,
        key: str,
        channel: Channel,
        provider: str,
        settings: dict[str, Any],
        secrets: dict[str, str],
        limits: Limits = Limits(),  # noqa: B008 - frozen
        *,
        notices: bool = False,
    ) -> tuple[AccountEntry, dict[str, str]]:
        entry = AccountEntry(
            account=key,
            product_line=PRODUCT_LINE,
            channel=channel,
            provider=provider,
            settings=settings,
            limits=limits,
            notices=notices,
        )
        return entry, secrets
