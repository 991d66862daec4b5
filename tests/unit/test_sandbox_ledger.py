import time

import pytest

from sandbox.faults import Fault, Faults, Kind, falls_in_share
from sandbox.ledger import ChannelLog, Message


def a_log() -> ChannelLog:
    return ChannelLog("push", journal=None, keep_content=True, identity=str.lower)


def message(recipient: str, reference: str | None = None) -> Message:
    return Message(recipient, reference, "m-1", {})


def fault(kind: Kind = Kind.STATUS, **other: object) -> Fault:
    return Fault(**{"channel": "push", "kind": kind, "endpoint": "send", **other})  # type: ignore[arg-type]


def test_the_same_recipient_and_reference_is_a_duplicate() -> None:
    log = a_log()
    log.accept(log.begin(), [message("a", "1"), message("b", "1")])
    log.accept(log.begin(), [message("A", "1"), message("b", "2")])
    log.refuse(3)
    assert log.summary() == {
        "calls": 2,
        "accepted": 4,
        "refused": 3,
        "refused_calls": 1,
        "recipients": 2,
        "duplicates": 1,
        "max_per_recipient": 2,
        "token_calls": 0,
    }
    assert [record.call for record in log.of_recipient("a")] == [1, 2]


def test_clearing_starts_the_counts_again_but_not_the_numbers_of_calls() -> None:
    log = a_log()
    log.accept(log.begin(), [message("a")])
    log.clear()
    assert set(log.summary().values()) == {0}
    assert log.begin() == 2
    assert log.summary()["calls"] == 1


def test_a_share_is_about_as_large_as_asked_for_and_grows_with_it() -> None:
    keys = [f"1380000{n:04d}" for n in range(10_000)]
    small = {key for key in keys if falls_in_share(key, 0.05)}
    large = {key for key in keys if falls_in_share(key, 0.1)}
    assert 400 < len(small) < 600
    assert small < large
    assert not any(falls_in_share(key, 0) for key in keys)
    assert all(falls_in_share(key, 1) for key in keys)


def test_the_first_fault_that_strikes_decides_and_delays_add_up() -> None:
    faults = Faults()
    for kind, more in ((Kind.DELAY, {"delay": 1.0}), (Kind.DELAY, {"delay": 2.0}), (Kind.HANG, {}), (Kind.STATUS, {})):
        faults.add(fault(kind, **more))
    verdict = faults.judge("push", "send", 1, ())
    assert (verdict.delay, verdict.is_(Kind.HANG)) == (3.0, True)
    assert [listed.hits for listed in faults.listed()] == [1, 1, 1, 0]


def test_a_count_is_used_up_by_matches_only() -> None:
    faults = Faults()
    faults.add(fault(Kind.RECIPIENT_ERROR, count=2, share=0.5))
    keys = [f"reg-{n}" for n in range(100)]
    struck = faults.struck("push", "send", keys)
    assert list(struck) == [key for key in keys if falls_in_share(key, 0.5)][:2]
    assert faults.struck("push", "send", keys) == {}


def test_a_fault_strikes_its_own_channel_and_endpoint() -> None:
    faults = Faults()
    faults.add(fault(Kind.DOWN, endpoint=None))
    assert not faults.is_down("sms", "send", 1)
    assert faults.is_down("push", "cid", 1)
    faults.remove()
    faults.add(fault())
    assert faults.judge("push", "cid", 1, ()).fault is None
    assert faults.judge("push", "send", 1, ()).fault is not None


@pytest.mark.parametrize("rate", [1.0, 3.0])
def test_a_rate_is_counted_anew_each_second(rate: float) -> None:
    throttle = fault(Kind.THROTTLE, requests_per_second=rate)
    start = throttle.started = time.monotonic()
    for second in range(3):
        struck = [throttle.strikes_call("send", n, (), start + second + n / 10) for n in range(5)]
        assert struck.count(False) == int(rate)
        assert struck[: int(rate)] == [False] * int(rate)
