import time

import pytest

from sandbox.credentials import JPushAccount
from sandbox.faults import Fault, Faults, Kind, falls_in_share
from sandbox.jpush import JPush
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
        "by_provider": {"jpush": 4},
    }
    assert [record.call for record in log.of_recipient("a")] == [1, 2]


def test_clearing_starts_the_counts_again_but_not_the_numbers_of_calls() -> None:
    log = a_log()
    log.accept(log.begin(), [message("a")])
    log.clear()
    assert not any(log.summary().values())
    assert log.begin() == 2
    assert log.summary()["calls"] == 1


def test_fault_of_one_provider_is_none_of_the_other_s() -> None:
    faults = Faults()
    faults.add(fault(provider="fcm"))
    faults.add(fault(Kind.DOWN, provider="jpush"))
    faults.add(fault(Kind.RECIPIENT_ERROR, provider="fcm"))
    assert faults.judge("push", "send", 1, (), provider="jpush").fault is None
    assert faults.judge("push", "send", 1, (), provider="fcm").fault is not None
    assert faults.is_down("push", "send", 1, provider="jpush")
    assert not faults.is_down("push", "send", 1, provider="fcm")
    assert faults.struck("push", "send", ["a"], provider="jpush") == {}
    assert set(faults.struck("push", "send", ["a"], provider="fcm")) == {"a"}


def test_accepted_messages_are_counted_by_provider() -> None:
    log = a_log()
    log.accept(log.begin(), [message("a"), message("b")], provider="fcm")
    log.accept(log.begin(), [message("c")])
    assert log.summary()["by_provider"] == {"fcm": 2, "jpush": 1}
    assert [record.provider for record in log.records] == ["fcm", "fcm", "jpush"]


def test_key_of_a_message_of_another_provider_is_no_known_cid() -> None:
    account, log = JPushAccount(), a_log()
    cid = f"{account.app_key}-00000000-0000-0000-0000-000000000001"
    log.accept(log.begin(), [message("a", cid)], provider="fcm")
    log.accept(log.begin(), [message("a", f"{cid}2")])
    jpush = JPush(account=account, log=log, faults=Faults())
    assert (jpush._first_result(cid), jpush._first_result(f"{cid}2")) == (None, "m-1")


def test_journal_from_before_there_were_two_providers_is_still_read() -> None:
    log = a_log()
    log.restore({"channel": "push", "call": 7, "at": 1.0, "messages": [["a", "1", "m-1", {}]]})
    assert (log.summary()["by_provider"], log.begin()) == ({"jpush": 1}, 8)


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
