"""A soak: many deliveries on four channels, faults and kills at random, and sums that are checked all the while."""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from channels.engine import Backoff
from channels.states import MAY_BE_REACHED_STATES, REACHED_STATES, Channel, DeliveryState
from tests.scenarios.delivery.driver import DeliveryDriver
from tests.scenarios.delivery.seen import MAIN
from tests.scenarios.delivery.sender_process import Order
from tests.scenarios.delivery.world import PATIENCE

#: Senders at work on each channel, all the time.
SENDERS = 2
#: Seconds between two looks at the sums, two kills, and two changes of what is the matter with the providers.
LOOKS, KILLS, FAULTS = 3.0, (0.2, 1.5), (0.5, 3.0)
#: How providers refuse a recipient for good: about one in a hundred.
REFUSED = {
    Channel.SMS: "isv.MOBILE_NUMBER_ILLEGAL",
    Channel.EMAIL: "5.1.1",
    Channel.PUSH: "1011",
    Channel.MINI_PROGRAM: "43101",
}
REFUSED_SHARE = 0.01
#: Messages in a call, fewer than there may be: a kill then leaves some hundreds in doubt, and not some thousands.
CALL_SIZE = {Channel.SMS: 20, Channel.PUSH: 100}
TROUBLES: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("throttle", {"seconds": 1.0}),
    ("throttle", {"retry_after": 1, "count": 3}),
    ("down", {"seconds": 1.0}),
    ("delay", {"delay": 0.2, "seconds": 2.0}),
    ("cut_after_accept", {"count": 2}),
    ("hang", {"count": 1}),
)
BACKOFF = Backoff(base=timedelta(milliseconds=200), ceiling=timedelta(seconds=2), budget=timedelta(hours=6))
CALL_SECONDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The sums at a moment, over all channels."""

    seconds: float
    rows: int
    reached: int  # by our count, taken first,
    accepted: int  # and by the provider's own, taken afterwards
    doubtful: int
    twice: int  # the most that anybody was sent


@dataclass(slots=True)
class Soak:
    """`driver` has its stage set; its clock is the real one from then on."""

    driver: DeliveryDriver
    chance: random.Random
    began: float = field(default_factory=time.monotonic)
    kills: int = 0
    faults: int = 0
    failures: int = 0  # senders that ended by themselves, and not in good order
    looks: list[Look] = field(default_factory=list)

    def run(self) -> None:
        """Launch, let faults and kills rain until all that leaves by itself has left, mend, and settle the rest.

        Raises:
            SumsWrong: at a look a row was lost, or somebody had two messages.
        """
        self._prepare()
        orders = {one: self._order(one) for one in self.driver.distribution_ids(MAIN)}
        next_look = next_kill = next_fault = time.monotonic()
        while any(self._has_work(one) for one in orders):
            self._keep_at_work(orders)
            now = time.monotonic()
            if now >= next_kill:
                self._kill()
                next_kill = now + self.chance.uniform(*KILLS)
            if now >= next_fault:
                self._trouble()
                next_fault = now + self.chance.uniform(*FAULTS)
            if now >= next_look:
                self.look()
                next_look = now + LOOKS
            time.sleep(0.05)
        for channel in self.driver.channels:
            self.driver.side.mend(channel)
        self.driver.senders.stop_all()
        self.driver.do_all_end_somehow()
        self.driver.do_work_to_end()
        self.look()

    def look(self) -> Look:
        driver = self.driver
        states = [{**found} for found in driver.look(["totals"])["totals"].values()]
        summaries = [driver.side.summary(channel) for channel in driver.channels]
        look = Look(
            seconds=time.monotonic() - self.began,
            rows=sum(sum(one.values()) for one in states),
            reached=sum(one.get(state, 0) for one in states for state in REACHED_STATES),
            accepted=sum(summary["accepted"] for summary in summaries),
            doubtful=sum(one.get(DeliveryState.UNKNOWN, 0) for one in states),
            twice=max(summary["max_per_recipient"] for summary in summaries),
        )
        self.looks.append(look)
        print(  # noqa: T201 - a soak is watched
            f"{look.seconds:6.0f} s  {look.rows:,} rows  {look.reached:,} reached  {look.accepted:,} accepted"
            f"  {look.doubtful} doubtful  {self.kills} kills  {self.faults} faults",
            flush=True,
        )
        if problems := list(self._wrong(look)):
            raise SumsWrong(look, problems)
        return look

    def _wrong(self, look: Look) -> Iterator[str]:
        planned = self.driver.scenario.customers * len(self.driver.channels)
        if look.rows != planned:
            yield f"{look.rows} rows where {planned} were planned"
        if look.twice > 1:
            yield f"somebody was sent {look.twice} messages of one theme on one channel"
        if look.reached > look.accepted:
            yield f"{look.reached} count as reached where the provider took {look.accepted}"
        yield from self.driver.kept_counts_that_are_wrong()

    def _prepare(self) -> None:
        driver = self.driver
        for channel in driver.channels:
            driver.do_give_up(channel, str(CALL_SECONDS))
            driver.side.fault(channel, "recipient_error", share=REFUSED_SHARE, code=REFUSED[channel])
        driver.do_launch(MAIN)

    def _order(self, distribution_id: int) -> Order:
        ((channel,),) = self.driver.rows("SELECT channel FROM distributions WHERE id = :id", id=distribution_id)
        return Order(
            url=self.driver.url,
            key=self.driver.key,
            distribution_id=distribution_id,
            patience=PATIENCE,
            call_size=CALL_SIZE.get(Channel(channel)),
            concurrency=8,
            backoff=BACKOFF,
        )

    def _has_work(self, distribution_id: int) -> bool:
        ((left,),) = self.driver.rows(
            "SELECT coalesce(sum(count), 0) FROM tallies WHERE distribution_id = :id"
            " AND state IN ('planned', 'retrying')",
            id=distribution_id,
        )
        return bool(left)

    def _keep_at_work(self, orders: dict[int, Order]) -> None:
        senders = self.driver.senders
        for one in [one for one in senders.at_work if not one.process.is_alive()]:
            self.failures += one.process.exitcode != 0
            one.told.close()
            senders.at_work.remove(one)
        for distribution_id, order in orders.items():
            at_work = sum(one.order.distribution_id == distribution_id for one in senders.at_work)
            if at_work < SENDERS and self._has_work(distribution_id):
                senders.begin(order)

    def _kill(self) -> None:
        """Each sender as often as any other, also when few are left: the last channel is to get on, too."""
        at_work = self.driver.senders.at_work
        drawn = self.chance.randrange(SENDERS * len(self.driver.channels))
        if drawn < len(at_work):
            self.kills += at_work.pop(drawn).kill()

    def _trouble(self) -> None:
        channel = self.chance.choice(self.driver.channels)
        kind, values = self.chance.choice(TROUBLES)
        self.driver.side.fault(channel, kind, **values)
        self.faults += 1

    def balance(self) -> dict[Channel, "Balance"]:
        """Address by address, once nothing is under way: what we say, and what the provider says."""
        return {channel: self._balance(channel) for channel in self.driver.channels}

    def _balance(self, channel: Channel) -> "Balance":
        log = self.driver.side.reached(channel)
        rows = dict(self.driver.rows("SELECT address, state FROM deliveries WHERE channel = :c", c=channel))
        states = {address: DeliveryState(state) for address, state in rows.items()}
        return Balance(
            lost=sum(state in REACHED_STATES and address not in log for address, state in states.items()),
            unasked=sum(states.get(address) not in MAY_BE_REACHED_STATES for address in log),
            doubles=sum(count > 1 for count in log.values()),
            sent=sum(state in REACHED_STATES for state in states.values()),
            doubtful=sum(state is DeliveryState.UNKNOWN for state in states.values()),
            doubtful_that_arrived=sum(states.get(address) is DeliveryState.UNKNOWN for address in log),
            accepted=sum(log.values()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    lost: int  # we say sent, the provider has nothing
    unasked: int  # the provider has a message of somebody who is neither sent to nor doubtful
    doubles: int
    sent: int
    doubtful: int
    doubtful_that_arrived: int
    accepted: int

    @property
    def holds(self) -> bool:
        sums = self.sent + self.doubtful_that_arrived == self.accepted
        return sums and not (self.lost or self.unasked or self.doubles)


class SumsWrong(AssertionError):
    """What must hold at every moment did not."""

    def __init__(self, look: Look, problems: list[str]) -> None:
        self.look, self.problems = look, tuple(problems)
        super().__init__("; ".join(problems))
