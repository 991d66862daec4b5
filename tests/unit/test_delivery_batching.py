import pytest

from channels.batching import into_calls
from channels.message import Capabilities, PushContent, SmsContent
from channels.rate import TokenBucket
from channels.states import Channel


def capable(*, size: int, personal: bool) -> Capabilities:
    return Capabilities(
        channel=Channel.SMS,
        batch_size=size,
        idempotent_replay=False,
        status_query=False,
        receipts=False,
        personal_content=personal,
    )


def test_calls_are_filled_in_order_up_to_the_batch_size() -> None:
    items = [(SmsContent(text=f"{n}"), n) for n in range(5)]
    assert into_calls(items, capable(size=2, personal=True)) == [[0, 1], [2, 3], [4]]


def test_messages_of_different_templates_never_share_a_call() -> None:
    items = [(SmsContent(template="AB"[n % 2]), n) for n in range(4)]
    assert into_calls(items, capable(size=10, personal=True)) == [[0, 2], [1, 3]]


def test_without_personal_content_only_equal_contents_share_a_call() -> None:
    items = [(PushContent(title="t", body="ab"[n // 2], extras={"k": "v"}), n) for n in range(4)]
    assert into_calls(items, capable(size=10, personal=False)) == [[0, 1], [2, 3]]


def test_the_bucket_lets_a_fifth_of_a_second_go_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(per_second=100, now=0.0)
    assert bucket.available(0.0) == 20
    bucket.take(20)
    assert bucket.available(0.0) == 0
    assert bucket.seconds_to_next() == pytest.approx(0.01)
    assert bucket.available(0.05) == 5
    assert bucket.available(60.0) == 20


def test_no_rate_is_no_limit_and_a_rate_of_nothing_is_refused() -> None:
    assert TokenBucket(per_second=None, now=0.0).available(1.0) is None
    with pytest.raises(ValueError, match="rate_per_second"):
        TokenBucket(per_second=0, now=0.0)
