"""`python -m benchmarks [GROUP...]`: a table, and benchmarks/out/results.json. Ratios come from one run.

The machine should have nothing else to do. `--quick` takes a twentieth of the recipients, to see that all of it works.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import (
    api,
    bare,
    claims,
    codes,
    email,
    offers,
    operations,
    others,
    planning,
    preflight,
    sending,
    sink,
    task_per_recipient,
)
from benchmarks.audience import database
from channels.states import Channel

OUT = Path(__file__).parent / "out" / "results.json"
SINGLE, PUSH, SMS = Channel.MINI_PROGRAM, Channel.PUSH, Channel.SMS
AT_ONCE = sending.CONCURRENCY[SINGLE]
ROUNDS = 3  # of bare loop and sender in turn, for a ratio of things that share the same minute
SLOW_SINK, SLOW_CONNECTIONS = 0.05, 32


@dataclass(frozen=True, kw_only=True)
class Result:
    name: str
    value: float
    unit: str
    bound: float | None = None
    at_most: bool = False  # the bound is one from above

    @property
    def holds(self) -> bool:
        if self.bound is None:
            return True
        return self.value <= self.bound if self.at_most else self.value >= self.bound


Rows = Iterator[Result]


def one_call_each(scale: int) -> Rows:
    """Tracked sending against the bare loop, and against a task and a job per recipient."""
    recipients, jobs = 100_000 // scale, max(500, 4_000 // scale)
    with sink.running() as address, database() as opened:
        rounds = []
        for _ in range(ROUNDS):
            loop = bare.measure(address, channel=SINGLE, count=recipients, concurrency=AT_ONCE)
            by_one, by_two = (
                sending.measure(
                    opened,
                    address,
                    channel=SINGLE,
                    recipients=recipients,
                    senders=senders,
                    concurrency=AT_ONCE // senders,
                ).per_second
                for senders in (1, 2)
            )
            rounds.append((loop, by_one, by_two))
        per_task = task_per_recipient.measure(address, count=jobs)
        per_job = others.procrastinate(opened, address, count=jobs)
        in_celery = others.celery(address, count=jobs)
    bare_loop, tracked, by_two = (median(column) for column in zip(*rounds, strict=True))
    per_second = "deliveries/s"
    yield Result(name="one call each, without a database", value=bare_loop, unit=per_second)
    yield Result(name="one call each, tracked", value=tracked, unit=per_second)
    ratio = median(one / loop for loop, one, _ in rounds)
    yield Result(name="tracked against the bare loop", value=ratio, unit="times", bound=0.85)
    yield Result(name="one call each, tracked, by two senders of half the connections", value=by_two, unit=per_second)
    ratio = median(two / loop for loop, _, two in rounds)
    yield Result(name="tracked by two senders against the bare loop", value=ratio, unit="times")
    yield Result(name="a Prefect task per recipient", value=per_task, unit=per_second)
    yield Result(
        name="tracked against a task per recipient", value=max(tracked, by_two) / per_task, unit="times", bound=50
    )
    yield Result(name="a job per recipient in procrastinate", value=per_job, unit=per_second)
    yield Result(name="tracked against procrastinate", value=tracked / per_job, unit="times", bound=8)
    if in_celery is not None:
        yield Result(name="a job per recipient in Celery", value=in_celery, unit=per_second)
        yield Result(name="tracked against Celery", value=tracked / in_celery, unit="times", bound=8)


def batches(scale: int) -> Rows:
    recipients = 200_000 // scale
    with sink.running() as address, database() as opened:
        for channel, size in ((PUSH, "1,000"), (SMS, "100")):
            measured = sending.measure(opened, address, channel=channel, recipients=recipients)
            yield Result(name=f"{channel}, {size} a call", value=measured.per_second, unit="deliveries/s")
            yield Result(
                name=f"{channel}, per CPU second of the sender",
                value=measured.per_cpu_second,
                unit="deliveries",
                bound=30_000,
            )


def two_senders(scale: int) -> Rows:
    """A sink that takes its time: then it is connections that limit, and a second sender brings as many again."""
    recipients = 20_000 // scale
    with sink.running(seconds=SLOW_SINK) as address, database() as opened:
        rates = {
            senders: sending.measure(
                opened,
                address,
                channel=SINGLE,
                recipients=recipients * senders,
                senders=senders,
                concurrency=SLOW_CONNECTIONS,
            ).per_second
            for senders in (1, 2)
        }
    yield Result(name="a sink of 50 ms, 32 connections a sender: one sender", value=rates[1], unit="deliveries/s")
    yield Result(name="two senders against one", value=rates[2] / rates[1], unit="times", bound=1.8)


def memory(scale: int) -> Rows:
    peaks = []
    for recipients in (50_000 // scale, 1_000_000 // scale):
        with sink.running() as address, database() as opened:
            measured = sending.measure(opened, address, channel=PUSH, recipients=recipients)
        peaks.append(measured.senders[0].peak_bytes)
    yield Result(name="peak memory of a sender, 50,000 deliveries", value=peaks[0] / 2**20, unit="MiB")
    yield Result(name="at 1,000,000 against 50,000", value=peaks[1] / peaks[0], unit="times", bound=1.2, at_most=True)


def plans(scale: int) -> Rows:
    with database() as opened:
        measured = planning.measure(opened, recipients=1_000_000 // scale)
    yield Result(name="planning", value=measured.planned_per_second, unit="rows/s")
    yield Result(name="planning against the bare INSERT … SELECT", value=measured.ratio, unit="times", bound=0.4)
    with database() as opened:
        seconds = preflight.measure(opened, customers=1_000_000 // scale)
    yield Result(name="a look ahead at 1,000,000 customers on four channels", value=seconds, unit="s")


def ops(scale: int) -> Rows:
    with database() as opened:
        measured = operations.measure(opened, rows=1_000_000 // scale, failed=10_000 // scale)
    for name, value in asdict(measured).items():
        bound = 100 if name in {"select_failed", "progress"} else None
        yield Result(name=f"of 1,000,000: {name.replace('_', ' ')}", value=value, unit="ms", bound=bound, at_most=True)


def mails(scale: int) -> Rows:
    measured = email.measure(mails=email.MAILS // scale)
    yield Result(name="email to smtp-sink", value=measured.per_second, unit="mails/s")
    yield Result(name="email against smtp-source", value=measured.ratio, unit="times", bound=email.LEAST)


def combinations(scale: int) -> Rows:
    measured, name = offers.measure(offers.CARTS // scale), "best combination, 10 lines, 30 candidates"
    yield Result(name=f"{name}: median", value=measured.median_ms, unit="ms", bound=10, at_most=True)
    yield Result(name=f"{name}: 99th percentile", value=measured.p99_ms, unit="ms", bound=100, at_most=True)
    yield Result(name=f"{name}: share that is exact", value=measured.exact, unit="of 1", bound=0.99)


def claiming(scale: int) -> Rows:
    with database() as opened:
        measured = claims.measure(opened, claims=claims.CLAIMS // scale)
    yield Result(name="claims of one coupon, a transaction each, 32 clients", value=measured.each, unit="claims/s")
    yield Result(name="claims of one coupon, settled by 500", value=measured.together, unit="claims/s")
    yield Result(
        name="settled by 500 against a transaction each", value=measured.ratio, unit="times", bound=claims.LEAST_RATIO
    )


def asking(scale: int) -> Rows:
    measured = api.measure(claims=api.CLAIMS // scale, plain=api.PLAIN_CLAIMS // scale, quotes=api.QUOTES // scale)
    name = "POST /v1/quotes, 5 lines, 10 candidates, one process"
    yield Result(name=name, value=measured.quotes, unit="quotes/s", bound=400)
    yield Result(name="claims of one coupon over HTTP, one guarded UPDATE each", value=measured.plain, unit="claims/s")
    yield Result(name="claims of one coupon over HTTP, collected", value=measured.claims, unit="claims/s")
    yield Result(name="collected against one guarded UPDATE each", value=measured.ratio, unit="times", bound=5)


def generating(scale: int) -> Rows:
    with database() as opened:
        per_second = codes.measure(opened, count=codes.CODES // scale)
    yield Result(name="codes generated and stored", value=per_second, unit="codes/s", bound=codes.LEAST)


GROUPS: Mapping[str, Callable[[int], Rows]] = {
    "single": one_call_each,
    "batches": batches,
    "email": mails,
    "planning": plans,
    "memory": memory,
    "two-senders": two_senders,
    "operations": ops,
    "offers": combinations,
    "claims": claiming,
    "api": asking,
    "codes": generating,
}


def table(title: str, measured: list[Result]) -> Table:
    shown = Table("what", "value", "unit", "bound", "holds", title=title, title_justify="left")
    for result in measured:
        bound = "" if result.bound is None else f"{'≤' if result.at_most else '≥'} {result.bound:,g}"
        holds = "" if result.bound is None else ("yes" if result.holds else "NO")
        value = f"{result.value:,.2f}" if abs(result.value) < 100 else f"{result.value:,.0f}"
        shown.add_row(result.name, value, result.unit, bound, holds)
    return shown


def write(measured: list[Result]) -> None:
    OUT.parent.mkdir(exist_ok=True)
    kept = ("name", "value", "unit", "bound")
    found = [{**{key: asdict(one)[key] for key in kept}, "holds": one.holds} for one in measured]
    OUT.write_text(json.dumps(found, indent=2) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed, end to end.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"only these: {', '.join(GROUPS)}")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the recipients; the figures say little")
    asked = parser.parse_args()
    if unknown := set(asked.groups) - GROUPS.keys():
        parser.error(f"there is no group {', '.join(sorted(unknown))}: there are {', '.join(GROUPS)}")
    console, measured = Console(), list[Result]()
    for name in asked.groups or GROUPS:
        group = list(GROUPS[name](20 if asked.quick else 1))
        console.print(table(name, group))
        measured += group
        write(measured)  # a group takes minutes: what was measured stays, whatever comes of the next
    return 0 if all(result.holds for result in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
