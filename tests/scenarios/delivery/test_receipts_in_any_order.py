"""Guarantee: what is said of a message leads to the same end in any order, however often, in however many pieces."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from channels.message import Receipt, ReceiptKind
from channels.states import Channel, ErrorClass
from tests.scenarios.delivery.driver import DeliveryDriver
from tests.scenarios.delivery.scenario_file import STARTS_AT, Scenario

EXAMPLES = 60
KINDS = (ReceiptKind.ACCEPTED, ReceiptKind.DELAYED, ReceiptKind.DELIVERED, ReceiptKind.FAILED, ReceiptKind.OPENED)

words = some.tuples(some.sampled_from(KINDS), some.integers(0, 600))
stories = some.lists(words, min_size=1, max_size=5, unique=True)


@pytest.fixture
def sent(stage_of: Callable[[Scenario], DeliveryDriver]) -> DeliveryDriver:
    """A mini-program theme that was sent; every fourth message is in doubt, though it arrived."""
    scenario = Scenario(
        name="receipts in any order",
        guarantee=str(__doc__),
        where="here",
        customers=2 * EXAMPLES + 20,
        channels=(Channel.MINI_PROGRAM,),
        at=STARTS_AT,
        steps=(),
        expect={},
    )
    driver = stage_of(scenario)
    driver.side.fault(Channel.MINI_PROGRAM, "cut_after_accept", share=0.25)
    driver.do_launch("spring")
    driver.do_work_to_end()
    assert driver.look(["doubtful"])["doubtful"]
    return driver


def test_receipts_lead_to_the_same_end_in_any_order(sent: DeliveryDriver) -> None:
    by_state: dict[str, Iterator[str]] = {
        state: iter([row[0] for row in sent.rows("SELECT address FROM deliveries WHERE state = :s", s=state)])
        for state in ("sent", "unknown")
    }
    runs = count()

    @settings(max_examples=EXAMPLES // 2, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(story=stories, shuffled=some.data())
    def check(story: Sequence[tuple[ReceiptKind, int]], shuffled: some.DataObject) -> None:
        state = "unknown" if next(runs) % 4 == 0 else "sent"
        told_once, told_anyhow = (next(by_state[state], None) for _ in range(2))
        if told_once is None or told_anyhow is None:
            return  # shrinking a failure takes more messages than were sent
        tell(sent, told_once, [[word] for word in sorted(story, key=lambda word: word[1])])
        again = shuffled.draw(some.lists(some.sampled_from(story), max_size=4))
        order = shuffled.draw(some.permutations([*story, *again]))
        cut = shuffled.draw(some.integers(0, len(order)))
        tell(sent, told_anyhow, [order[:cut], order[cut:]])
        assert standing(sent, told_once) == standing(sent, told_anyhow), (state, story, order, cut)

    check()
    assert not sent.broken()
    assert next(runs) >= EXAMPLES // 4


def tell(driver: DeliveryDriver, address: str, pieces: Sequence[Sequence[tuple[ReceiptKind, int]]]) -> None:
    ids = {record["recipient"]: record["message_id"] for record in driver.side.records(Channel.MINI_PROGRAM)}
    for piece in pieces:
        receipts = [
            Receipt(
                kind=kind,
                occurred_at=STARTS_AT + timedelta(hours=1, seconds=second),
                dedupe=f"{address}:{kind}:{second}",
                provider_message_id=ids[address],
                address=address,
                error=ErrorClass.UNRECOGNISED if kind is ReceiptKind.FAILED else None,
                code=str(second) if kind is ReceiptKind.FAILED else "",
            )
            for kind, second in piece
        ]
        driver.tell("mini_program", receipts)
        driver.do_join_receipts()


def standing(driver: DeliveryDriver, address: str) -> tuple[object, ...]:
    (found,) = driver.rows("SELECT state, error_class, error_code FROM deliveries WHERE address = :a", a=address)
    return found
