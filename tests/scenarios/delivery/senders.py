"""Sender processes of a scenario: begun, killed, told to stop, waited for."""

import multiprocessing
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess

from tests.scenarios.delivery.clock import Clock
from tests.scenarios.delivery.sender_process import Order, work

STARTS_WITHIN = 30.0  # seconds
Told = Sequence[tuple[dict[str, int], int, str | None]]


class SenderFailed(AssertionError):
    """A sender ended by itself, and not in good order; its own words are in what the test printed."""

    def __init__(self, *, pid: int | None, exit_code: int | None) -> None:
        self.pid, self.exit_code = pid, exit_code
        super().__init__(f"sender process {pid} ended with status {exit_code}")


def forked() -> ForkServerContext:
    """Processes that are there at once: the server has imported everything, each sender is forked from it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tests.scenarios.delivery.sender_process"])
    return context


@dataclass(slots=True)
class AtWork:
    order: Order
    process: ForkServerProcess
    told: Connection
    is_ready: bool = False

    def ready(self, seconds: float) -> None:
        """Wait until it can be told to stop; from then on it says no more until its end."""
        with suppress(EOFError):
            while not self.is_ready and self.told.poll(seconds):
                self.is_ready = self.told.recv() == "ready"

    def end(self, seconds: float) -> Told:
        """Wait until it has ended. Raises SenderFailed."""
        self.ready(seconds)
        told: Told = ()
        with suppress(EOFError):  # it died without a word: its exit code says so
            if self.told.poll(seconds):
                told = self.told.recv()
        self.process.join(seconds)
        if self.process.exitcode != 0:
            raise SenderFailed(pid=self.process.pid, exit_code=self.process.exitcode)
        self.told.close()
        return told

    def kill(self) -> bool:
        """SIGKILL; False when it had ended by itself."""
        was_alive = self.process.is_alive()
        self.process.kill()
        self.process.join()
        self.told.close()
        return was_alive


@dataclass(slots=True)
class Senders:
    context: ForkServerContext
    clock: Clock
    at_work: list[AtWork] = field(default_factory=list)

    def begin(self, order: Order) -> AtWork:
        mine, its = self.context.Pipe(duplex=False)
        process = self.context.Process(target=work, args=(order, self.clock, its), daemon=True)
        process.start()
        its.close()
        self.at_work.append(AtWork(order, process, mine))
        return self.at_work[-1]

    def end_all(self, seconds: float = 60.0) -> list[Told]:
        deadline = time.monotonic() + seconds
        told = [one.end(max(0.1, deadline - time.monotonic())) for one in self.at_work]
        self.at_work.clear()
        return told

    def kill_all(self) -> int:
        killed = sum(one.kill() for one in self.at_work)
        self.at_work.clear()
        return killed

    def stop_all(self) -> None:
        """SIGTERM: calls in flight finish, the rest is given back."""
        for one in self.at_work:
            one.ready(STARTS_WITHIN)
            one.process.terminate()
