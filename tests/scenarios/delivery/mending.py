"""What ops do about it, and what they lay down: retries, settlements, accounts, limits."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import requests

from approval.secrecy import Cipher
from audience.limits_file import read_limits
from channels import service
from channels.message import Inquirer
from channels.service import inquiry
from channels.service.cancellation import cancel_channel
from channels.service.inquiry import Answered
from channels.service.limits import apply_limits
from channels.service.provider import provider_of
from channels.service.retry import RetryReport
from channels.states import Channel, ErrorClass
from channels.transport import HttpTransport
from models.delivery import ProviderAccount
from models.queries.inquiries import InDoubt
from tests.integration.http_service import services_for, serving
from tests.scenarios.delivery import stage
from tests.scenarios.delivery.seen import MAIN
from tests.scenarios.delivery.sender_process import PUBLIC_URL
from tests.scenarios.delivery.sending import Providing
from tests.scenarios.delivery.world import PATIENCE, at_once


class Mending(Providing):
    """What ops do about it."""

    def do_retry(self) -> None:
        self._note(self.retry())

    def do_retry_class(self, error_class: str) -> None:
        self._note(self.retry(error_class=ErrorClass(error_class)))

    def do_retry_dry(self) -> None:
        self._note(self.retry(dry_run=True))

    def do_retry_together(self) -> None:
        self._note(*at_once(self.retry))

    def retry(self, **wanted: Any) -> RetryReport:
        with self.database.begin() as session:
            return service.retry_failed(session, theme_key=MAIN, now=self.clock(), **wanted)

    def _note(self, *reports: RetryReport) -> None:
        left: Counter[str] = Counter()
        for report in reports:
            left += report.left_by_reason
        self.done |= {"taken": sum(report.total_taken for report in reports), "left": dict(left)}

    def do_settle(self, channel: str, what: str) -> None:
        rows = self.rows(
            "SELECT id, address FROM deliveries WHERE channel = :channel AND state = 'unknown'", channel=channel
        )
        with self.database.begin() as session:
            service.settle_unknown(
                session,
                ids=[row[0] for row in rows],
                settlement=service.Settlement(what),
                by="ops",
                now=self.clock(),
            )
        if what == service.Settlement.SEND_AGAIN:
            self.again[Channel(channel)].update(address for _, address in rows)

    def do_inquire(self) -> None:
        with self.database.begin() as session:
            accounts = list(inquiry.accounts_to_ask(session))
        for account in accounts:
            with self.database.begin() as session:
                asked = inquiry.questions(session, account_id=account.id, limit=1_000, now=self.clock())
            answers = asyncio.run(self._answers(account, asked))
            with self.database.begin() as session:
                inquiry.take_answers(session, answers, now=self.clock())

    async def _answers(self, account: ProviderAccount, asked: Sequence[InDoubt]) -> list[Answered]:
        """The provider lives in real time: it is asked about what it was sent just now."""
        transport = HttpTransport()
        provider = provider_of(account, cipher=Cipher([self.key]), transport=transport)
        answers = []
        for one in asked if provider.capabilities.status_query else ():
            question = replace(inquiry.as_inquiry(one), began_at=datetime.now(UTC))
            (found,) = await cast("Inquirer", provider).inquire([question])
            answers.append(Answered(asked=one, found=found))
        await provider.close()
        await transport.close()
        return answers

    def do_cancel_channel(self, channel: str, theme: str) -> None:
        with self.database.begin() as session:
            cancel_channel(session, theme_key=theme, channel=Channel(channel), by="ops", now=self.clock())

    def do_resume_channel(self, channel: str) -> None:
        (distribution_id,) = self.distribution_ids(MAIN, channel)
        with self.database.begin() as session:
            assert service.resume_distribution(session, distribution_id=distribution_id)

    def do_resume_account(self, account: str) -> None:
        with self.database.begin() as session:
            service.resume_account(session, key=account)

    def do_pause_account(self, account: str) -> None:
        with self.database.begin() as session:
            service.pause_account(session, key=account, because="ops say so")


class Terms(Mending):
    """Accounts and limits as ops lay them down."""

    def do_use_spare(self, channel: str) -> None:
        """A second account of the same channel at the same provider; both are of one pool."""
        own, spare = stage.ACCOUNTS[Channel(channel)], stage.spare_of(Channel(channel))
        self.change(
            "INSERT INTO provider_accounts (key, product_line_id, channel, provider, settings, secrets, pool, windows)"
            " SELECT :spare, product_line_id, channel, provider, settings, secrets, 'all', windows"
            " FROM provider_accounts WHERE key = :own",
            spare=spare,
            own=own,
        )
        self.change("UPDATE provider_accounts SET pool = 'all' WHERE key = :own", own=own)

    def do_wrong_credentials(self, account: str) -> None:
        self.change(
            "UPDATE provider_accounts SET settings = jsonb_set(settings, '{app_key}', '\"somebody-elses\"')"
            " WHERE key = :account",
            account=account,
        )

    def do_limit(self, limits: str) -> None:
        (entry,) = read_limits(stage.LIMITS[limits], where=limits)
        with self.database.begin() as session:
            apply_limits(session, limits=entry, by="ops", now=self.clock())

    def do_unsubscribe(self, customers: str) -> None:
        """As a mail program does with one click: what the mail's own header names is posted to."""
        with serving(services_for(self.url, Cipher([self.key]))) as address:
            for mail in self.addresses(Channel.EMAIL, customers):
                link = self._unsubscribe_link(mail)
                click = requests.post(
                    f"{address}{link.removeprefix(PUBLIC_URL)}",
                    data={"List-Unsubscribe": "One-Click"},
                    timeout=PATIENCE,
                )
                assert click.ok, f"{link} answers {click.status_code}"

    def _unsubscribe_link(self, address: str) -> str:
        mail = next(one for one in self.side.records(Channel.EMAIL) if one["recipient"] == address)
        found = re.search(rf"<({re.escape(PUBLIC_URL)}/u/[^>]+)>", str(mail["content"]))
        assert found is not None, f"the mail to {address} has no List-Unsubscribe that leads to us"
        return found[1]
