"""Pushes receipts for what the stand-ins took: once or several times, late, in any order, for strangers as well.

`POST /_receipts` begins, `GET /_receipts` tells how many were taken. What was taken before is told, too.
"""

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.credentials import Accounts
from sandbox.fault_form import BadField
from sandbox.faults import falls_in_share
from sandbox.ledger import PROVIDERS, Ledger, Record
from sandbox.receipt_bodies import MOST, Push, Said, push_of

_LOOK_SECONDS = 0.05
_FIRST_WAIT, _LONGEST_WAIT, _TRIES = 0.2, 5.0, 12
_AT_ONCE = 8
_UNDELIVERED = {"aliyun": "UNDELIV", "twilio": "30005", "jpush": "5", "wechat": "43101", "smtp": "5.1.1"}

Share = Annotated[float, Field(ge=0, le=1)]
_NOBODY = re.compile(r"(?!)")


class ReceiptForm(BaseModel):
    """`failing`, `silent` and `complaining` are shares of the recipients, and the patterns name more of them.

    `strangers` are receipts of unknown messages, per push. Of mail only what failed and what is complained of is told.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    provider: Literal["aliyun", "twilio", "jpush", "wechat", "smtp"]
    url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    token: str = ""  # with which WeChat signs
    failing: Share = 0.0
    failing_match: re.Pattern[str] = _NOBODY  # searched for in the address, as that of a fault is
    complaining: Share = 0.0
    complaining_match: re.Pattern[str] = _NOBODY
    code: Annotated[str, Field(pattern=r"^[\w:.-]{1,40}$")] | None = None
    silent: Share = 0.0
    times: Annotated[int, Field(ge=1, le=10)] = 1
    delay: Annotated[float, Field(ge=0, le=600)] = 0.0
    order: Literal["as_taken", "reversed", "shuffled"] = "as_taken"
    strangers: Annotated[int, Field(ge=0, le=100)] = 0

    def said(self, record: Record, code: str) -> Said:
        to = record.message.recipient
        fails = falls_in_share(f"failing {to}", self.failing) or self.failing_match.search(to)
        complains = falls_in_share(f"complaining {to}", self.complaining) or self.complaining_match.search(to)
        return Said(record, code if fails else None, bool(complains))


@dataclass(slots=True)
class _Run:
    form: ReceiptForm
    channel: str
    position: int = 0
    pushed: int = 0  # receipts that were taken, every repetition counted
    dropped: int = 0
    pushes: set[asyncio.Task[None]] = field(default_factory=set)


class Receipts:
    """One run for each provider; beginning again replaces it."""

    def __init__(self, *, ledger: Ledger, accounts: Accounts) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._runs: dict[str, tuple[_Run, asyncio.Task[None]]] = {}

    def begin(self, content: dict[str, Any]) -> None:
        """Raises BadField."""
        form = _read(content)
        self.end(form.provider)
        channel = next(channel for channel, providers in PROVIDERS.items() if form.provider in providers)
        run = _Run(form, channel)
        self._runs[form.provider] = run, asyncio.get_running_loop().create_task(self._keep_pushing(run))

    def end(self, provider: str | None = None) -> int:
        ended = [name for name in self._runs if provider in (None, name)]
        for name in ended:
            run, task = self._runs.pop(name)
            for one in (task, *run.pushes):
                one.cancel()
        return len(ended)

    def told(self) -> dict[str, dict[str, int]]:
        return {
            name: {"pushed": run.pushed, "dropped": run.dropped, "under_way": len(run.pushes), "seen": run.position}
            for name, (run, _) in self._runs.items()
        }

    async def _keep_pushing(self, run: _Run) -> None:
        timeout = aiohttp.ClientTimeout(total=10)
        slots = asyncio.Semaphore(_AT_ONCE)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                for push, count in self._next(run):
                    task = asyncio.create_task(self._push(run, session, slots, push, count))
                    run.pushes.add(task)
                    task.add_done_callback(run.pushes.discard)
                await asyncio.sleep(_LOOK_SECONDS)

    def _next(self, run: _Run) -> list[tuple[Push, int]]:
        """What was taken since the last look, as pushes with their number of receipts."""
        records = self._ledger.logs[run.channel].records
        run.position = min(run.position, len(records))  # the log may have been cleared
        fresh = [record for record in records[run.position :] if record.provider == run.form.provider]
        run.position = len(records)
        said, form, size = self._said(run.form, fresh), run.form, MOST[run.form.provider]
        pushes = []
        for start in range(0, len(said), size):
            some = said[start : start + size]
            push = push_of(form.provider, some, url=form.url or "", token=form.token, accounts=self._accounts)
            if push is not None:
                pushes.append((push, len(some)))
        return pushes

    def _said(self, form: ReceiptForm, records: Sequence[Record]) -> list[Said]:
        code = form.code or _UNDELIVERED[form.provider]
        told = [record for record in records if not falls_in_share(f"silent {record.message.recipient}", form.silent)]
        said = [form.said(record, code) for record in told]
        of_stranger = code if form.provider == "smtp" else None  # of mail that arrives nothing is told
        strangers = [_stranger(one.record, number, of_stranger) for one in said[:1] for number in range(form.strangers)]
        repeated = [*said * form.times, *strangers]
        if form.order == "reversed":
            repeated.reverse()
        elif form.order == "shuffled":
            random.shuffle(repeated)
        return repeated

    async def _push(
        self, run: _Run, session: aiohttp.ClientSession, slots: asyncio.Semaphore, push: Push, count: int
    ) -> None:
        await asyncio.sleep(run.form.delay)
        wait = _FIRST_WAIT
        for _ in range(_TRIES):
            async with slots:
                if await _taken(session, push):
                    run.pushed += count
                    return
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)
        run.dropped += count


def _stranger(record: Record, number: int, code: str | None) -> Said:
    """Of the same recipient, for a message that nobody sent."""
    message = record.message._replace(message_id=f"stranger-{number}", reference=None)
    return Said(record._replace(message=message), code)


async def _taken(session: aiohttp.ClientSession, push: Push) -> bool:
    try:
        async with session.post(push.url, data=push.body, headers=push.headers) as answer:
            await answer.read()
            return answer.ok
    except (aiohttp.ClientError, TimeoutError):
        return False


def _read(content: dict[str, Any]) -> ReceiptForm:
    try:
        form = ReceiptForm.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        raise BadField(place, first.get("input"), first["msg"]) from None
    if form.url is None and form.provider != "twilio":
        raise BadField("url", None, "where the receipts are posted to; only Twilio's messages say so themselves")
    complaining = {"complaining", "complaining_match"} & form.model_fields_set
    if complaining and form.provider != "smtp":
        raise BadField(min(complaining), form.provider, "people complain of mail alone: provider smtp")
    return form
