"""`python -m benchmarks`: a table, and benchmarks/out/results.json."""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import sink, task_per_recipient
from benchmarks.audience import database
from benchmarks.sending import measure
from channels.states import Channel

OUT = Path(__file__).parent / "out" / "results.json"
TIMES_A_TASK_PER_RECIPIENT = 30


@dataclass(frozen=True, kw_only=True)
class Result:
    name: str
    value: float
    unit: str
    bound: float | None = None  # the least value that will do

    @property
    def holds(self) -> bool:
        return self.bound is None or self.value >= self.bound


def results(*, recipients: int, tasks: int, console: Console) -> Iterator[Result]:
    with sink.running() as address:
        with database() as opened:
            console.print(f"mini-program: {recipients:,} recipients, one call each …")
            single = measure(opened, address, channel=Channel.MINI_PROGRAM, recipients=recipients)
            console.print(f"push: {recipients:,} recipients in batches …")
            push = measure(opened, address, channel=Channel.PUSH, recipients=recipients)
        console.print(f"Prefect: {tasks:,} task runs, one a recipient …")
        per_task = task_per_recipient.measure(address, count=tasks)
    per_second, micros = "deliveries/s", "µs of CPU"
    yield Result(name="planning", value=single.planned_per_second, unit="rows/s")
    yield Result(name="push, 1,000 a call", value=push.sent_per_second, unit=per_second)
    yield Result(name="push, sender process per delivery", value=push.cpu_microseconds, unit=micros)
    yield Result(name="mini-program, one call each", value=single.sent_per_second, unit=per_second)
    yield Result(name="mini-program, sender process per delivery", value=single.cpu_microseconds, unit=micros)
    yield Result(name="a Prefect task per recipient", value=per_task, unit=per_second)
    yield Result(
        name="one call each, against a task per recipient",
        value=single.sent_per_second / per_task,
        unit="times",
        bound=TIMES_A_TASK_PER_RECIPIENT,
    )


def table(measured: list[Result]) -> Table:
    shown = Table("what", "value", "unit", "at least", "holds")
    for result in measured:
        bound = "" if result.bound is None else f"{result.bound:,.0f}"
        holds = "" if result.bound is None else ("yes" if result.holds else "NO")
        shown.add_row(result.name, f"{result.value:,.1f}", result.unit, bound, holds)
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Deliveries a second, end to end.")
    parser.add_argument("--recipients", type=int, default=100_000)
    parser.add_argument("--tasks", type=int, default=2_000, help="Prefect task runs to compare with")
    asked = parser.parse_args()
    console = Console()
    measured = list(results(recipients=asked.recipients, tasks=asked.tasks, console=console))
    console.print(table(measured))
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([{**asdict(result), "holds": result.holds} for result in measured], indent=2) + "\n")
    return 0 if all(result.holds for result in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
