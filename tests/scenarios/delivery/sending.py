"""Sender processes at work, killed, stopped, waited for; and what is the matter with a provider meanwhile."""

import json
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import cycle

from channels import service
from channels.states import Channel
from models.queries import distributions
from tests.scenarios.delivery.launching import Launching
from tests.scenarios.delivery.seen import MAIN
from tests.scenarios.delivery.sender_process import Order
from tests.scenarios.delivery.senders import SenderFailed
from tests.scenarios.delivery.world import PATIENCE, NeverHappened

#: So often time is moved on to what is due next, before it counts as never settled.
MOST_MOVES = 30
#: Within so many seconds from when it can begin a sender is killed, at any point of them.
LONGEST_LIFE = 0.4
#: So many senders are at work while they are killed one after the other.
AT_ONCE = 2


class Sending(Launching):
    """Sender processes: at work, killed, stopped, waited for."""

    def order(self, distribution_id: int, *, patience: float = 0.0) -> Order:
        ((channel,),) = self.rows("SELECT channel FROM distributions WHERE id = :id", id=distribution_id)
        return Order(
            url=self.url,
            key=self.key,
            distribution_id=distribution_id,
            patience=patience,
            call_size=self.call_size.get(channel),
        )

    def do_work(self) -> None:
        """One sender a distribution, until nothing is due now."""
        self._work_on(self.distribution_ids())

    def do_work_to_end(self) -> None:
        """Again and again, the clock moved on to what is due next, until nothing happens by itself any more.

        What is due soon after that is waited for as well, ever longer: a budget of hours has many tries in it.
        """
        self.do_work()
        for move in range(MOST_MOVES):
            self.do_sweep()
            due = self.due()
            if not due:
                return
            longer = timedelta(seconds=min(0.1 * 3**move, 3600))
            self.clock.move_to(min(due.values()) + longer)
            self._work_on([one for one, at in self.due().items() if at <= self.clock()])
        raise NeverHappened("that nothing is due any more")

    def due(self) -> dict[int, datetime]:
        """Distribution -> when it has work again; not those which only a person lets go on."""
        found = {}
        for distribution_id in self.distribution_ids():
            with self.database.begin() as session:
                closed = service.gate(session, distribution_id=distribution_id, now=self.clock()).closed_because
                due = distributions.next_due(session, distribution_id=distribution_id, now=self.clock())
            if due is not None and (closed is None or due > self.clock()):
                found[distribution_id] = due
        return found

    def _work_on(self, ids: Sequence[int]) -> None:
        for distribution_id in ids:
            self.senders.begin(self.order(distribution_id))
        self.told += self.senders.end_all(PATIENCE)

    def do_begin(self, senders: str, channel: str) -> None:
        self._begin(int(senders), self.distribution_ids(MAIN, channel))

    def do_begin_all(self, senders: str) -> None:
        self._begin(int(senders), self.distribution_ids())

    def _begin(self, count: int, ids: Sequence[int]) -> None:
        for distribution_id in ids:
            for _ in range(count):
                self.senders.begin(self.order(distribution_id, patience=PATIENCE))

    def do_all_end(self) -> None:
        self.told += self.senders.end_all(PATIENCE)

    def do_all_end_somehow(self) -> None:
        """What a failing sender leaves behind is judged by what holds always."""
        for one in self.senders.at_work:
            with suppress(SenderFailed):
                one.end(PATIENCE)
        self.senders.at_work.clear()

    def do_killed(self) -> None:
        assert self.senders.kill_all(), "all senders had ended before they were killed"

    def do_told_to_stop(self) -> None:
        self.senders.stop_all()
        self.do_all_end()

    def do_stop_within(self, seconds: str) -> None:
        """After so many seconds no call reaches the provider any more, on any channel."""
        time.sleep(int(seconds))
        calls = [self.side.summary(channel)["calls"] for channel in self.channels]
        time.sleep(1.0)
        assert [self.side.summary(channel)["calls"] for channel in self.channels] == calls, "calls still leave"

    def do_reached(self, percent: str, channel: str) -> None:
        wanted = self.scenario.customers * int(percent) / 100
        self.until(lambda: self.side.summary(Channel(channel))["accepted"] >= wanted, f"{percent} % of {channel}")

    def do_call_size(self, channel: str, number: str) -> None:
        self.call_size[Channel(channel)] = int(number)

    def do_pace(self, channel: str, number: str) -> None:
        """All senders of its account together, in any second."""
        self.change(
            "UPDATE provider_accounts SET windows = CAST(:windows AS jsonb) WHERE channel = :channel",
            windows=json.dumps([{"per_seconds": 1, "at_most": int(number), "counts": "calls"}]),
            channel=channel,
        )

    def do_cut_database(self) -> None:
        self.change(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def do_kill_often(self, channel: str, number: str) -> None:
        self._kill_often(self.distribution_ids(MAIN, channel), int(number))

    def do_kill_any(self, number: str) -> None:
        self._kill_often(self.distribution_ids(), int(number))

    def _kill_often(self, ids: Sequence[int], number: int) -> None:
        """Two at work all the time; the older is killed at a random moment of its life, and another takes over."""
        orders = cycle([self.order(one, patience=PATIENCE) for one in ids])
        chance = random.Random(self.scenario.name)  # noqa: S311 - moments, not secrets
        for _ in range(AT_ONCE):
            self.senders.begin(next(orders))
        for killed in range(number):
            oldest = self.senders.at_work.pop(0)
            oldest.ready(PATIENCE)
            time.sleep(chance.uniform(0.0, LONGEST_LIFE))
            assert oldest.kill(), f"the work was done after {killed} kills: take more customers"
            self.senders.begin(next(orders))
        self.senders.kill_all()


#: Codes that come with a status of their own.
_STATUS_OF = {("push", "1004"): 401, ("push", "2002"): 429, ("push", "1030"): 503}


class Providing(Sending):
    """What is the matter with a provider."""

    def do_slow(self, channel: str, milliseconds: str) -> None:
        self.side.fault(channel, "delay", delay=int(milliseconds) / 1000)

    def do_down(self, channel: str) -> None:
        self.side.fault(channel, "down")

    def do_cut_after(self, channel: str, number: str) -> None:
        self.side.fault(channel, "cut_after_accept", count=int(number))

    def do_give_up(self, channel: str, seconds: str) -> None:
        self.change(
            "UPDATE provider_accounts SET settings = jsonb_set(settings, '{timeout}', to_jsonb(CAST(:seconds AS int)))"
            " WHERE channel = :channel",
            seconds=int(seconds),
            channel=channel,
        )

    def do_hang(self, channel: str, number: str) -> None:
        self.side.fault(channel, "hang", count=int(number))

    def do_throttle(self, channel: str) -> None:
        self.side.fault(channel, "throttle")

    def do_throttle_until(self, channel: str, seconds: str) -> None:
        self.side.fault(channel, "throttle", retry_after=int(seconds))

    def do_answer_code(self, channel: str, code: str) -> None:
        status = _STATUS_OF.get((channel, code))
        self.side.fault(channel, "status", code=code, **({"status": status} if status else {}))

    def do_refuse_customers(self, channel: str, customers: str, code: str) -> None:
        self.side.refuse(Channel(channel), self.addresses(channel, customers), code)

    def do_mended(self, channel: str) -> None:
        self.side.mend(Channel(channel))

    def do_expire_tokens(self) -> None:
        self.side.expire_tokens()
